"""The fast path and the reader come to the same, event for event and letter for letter, whatever the lines hold."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.log_records import RECORDS

from threatmatrix.model.event import DeadLetter, Event
from threatmatrix.model.system import ModelEntry, PrincipalMapping, System
from threatmatrix.telemetry.columnar.chunks import Chunk, cut
from threatmatrix.telemetry.columnar.loader import ChunkLoader
from threatmatrix.telemetry.columns import to_table
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.readers import Options, get_reader
from threatmatrix.telemetry.readers.mapping_file import parse_mapping
from threatmatrix.telemetry.records import LineParser
from threatmatrix.telemetry.systems import Resolver

PLANNED = ("gateway", "nginx", "envoy", "mapping")
OWN = """
category: inference
time: {field: ts, unit: s}
id: id
constants: {operation: infer, tokens_in: 3}
fields: {principal: user, endpoint: path, model: what, status: code, latency_ms: took, output_scores: p, outcome: ok}
"""
LOG = {"ts": 1767225600.25, "id": "q1", "user": "ann", "path": "/v2/models/labels/infer?x=1", "what": "labels"}
LINES = {name: RECORDS[name] for name in PLANNED[:3]} | {
    "mapping": LOG | {"code": 200, "took": 2.5, "p": [0.75, 0.25], "ok": "success"}
}
OPTIONS = Options(mapping=parse_mapping(OWN, "own.yaml"))
SYSTEMS = (
    System(
        name="sorter",
        owner="o",
        criticality="low",
        models=(ModelEntry("labels", ("/v2/models/labels*",)),),
        hosts=("models.example",),
        principal=PrincipalMapping(tell_by=("key_id", "src_ip"), addresses=(("203.0.113.0/24", "office"),)),
    ),
)
# Spelt as they stand in a line: what DuckDB and Python read differently, or nearly so.
_SPELT = (
    "NaN Infinity -Infinity nan 1e999 -1e999 1.0 -0 -0.0 1E5 1e-7 [1,] [1,2] [1,2.5e3] [NaN] [1e999] [null] [true] "
    '["1"] [[1]] {"a":1,} "\\ud800" "\\ud83d\\ude00" "\\u0000" "\\u00e9" "a\\/b" 01 1. .5 +1 tru null true {} [] '
    '"12" "1.5" "0x1f" "+5" "1e3" "1_0" "nan" "200" "" "-" "AAEC" "AAE=" "AAF=" "A" "====" "AB=C" '
    "9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616 -1 "
    "1767225600.0005 1767225600.0004999 0.0000005 0.0004995 1767225600250 1e11 99999999999.9995 253402300799.9995 "
    "9007199254740993 0.1234567890123456789012345678 [0.30000000000000004,123456789012345678901] "
    '"2026-01-01T00:00:00Z" "2026-02-30T00:00:00Z" "2026-01-01T00:00:00+02:00" "2026-01-01T23:59:59.25-05:30" '
    '"2026-01-01" "/v2/models/x/infer?y" "?" "/v2/./models/d%69g/infer" "/api/2.0/mlflow-artifacts/artifacts/a" '
    '"inference" "http" "success" "Bearer\\u0020abcdef123456" "sk-1234567890abcdef" "/v2/models/m?token=abcdef12" '
    '"203.0.113.9:40000" "[2001:db8::1]:443" "unix:/run/x" "NR" "UAEX,NR" "via_upstream" "labels.models:80"'
)
SPELT = st.sampled_from(_SPELT.split()) | st.sampled_from(
    ["1" * 5000, f'"00-{"0" * 32}-{"1" * 16}-01"', f'"00-{"a" * 32}-{"1" * 16}-01-x"', '" 12"']
)
VALUES = SPELT | (st.text(max_size=8) | st.integers(-(2**70), 2**70) | st.floats()).map(json.dumps)
OTHER_KEYS = ["unknown", "Time", "V", "_n", "o'x", "", "a.b", "request_time", "request_uri", "time_iso8601", "status"]
ENDS = st.sampled_from([b"", b"", b"", b"\r", b" ", b"\t", b"\x00", b" x", b","])
SEPARATORS = st.sampled_from([(",", ":"), (",", ":"), (", ", ": "), (" ,", " : ")])
RUBBISH = st.binary(max_size=40) | st.sampled_from(
    [b"", b" ", b"\x00\x00", b"\xef\xbb\xbf{}", b"[]", b"null", b"\xc2\xa0"]
)


@st.composite
def lines(draw: st.DrawFn, source: str) -> bytes:
    """A valid record, mostly with something exchanged, removed, repeated or put in another order."""
    items = [(json.dumps(key), json.dumps(value)) for key, value in LINES[source].items()]
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 4]))):
        at = draw(st.integers(0, len(items) - 1))
        how = draw(st.sampled_from(["value", "value", "drop", "again", "other", "order"]))
        if how == "value":
            items[at] = (items[at][0], draw(VALUES))
        elif how == "drop" and len(items) > 1:
            del items[at]
        elif how == "again":
            items.append((items[at][0], draw(VALUES)))
        elif how == "other":
            items.insert(at, (json.dumps(draw(st.sampled_from(OTHER_KEYS))), draw(VALUES)))
        else:
            items.append(items.pop(at))
    comma, colon = draw(SEPARATORS)
    line = ("{" + comma.join(key + colon + value for key, value in items) + "}").encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(line)))
        line = line[:at] + draw(st.binary(max_size=3)) + line[at + 1 :]
    return (line + draw(ENDS)).replace(b"\n", b" ")


class Letters(DeadLetterFile):
    def __init__(self) -> None:
        super().__init__()
        self.all: list[DeadLetter] = []

    def add(self, letter: DeadLetter) -> None:
        self.all.append(letter)


def chunk_of(data: bytes) -> Chunk:
    (chunk,) = cut([data])
    return chunk


def by_the_reader(source: str, chunk: Chunk, resolver: Resolver) -> tuple[Counter[str], list[DeadLetter]]:
    letters, events = Letters(), list[Event]()
    parser = LineParser(get_reader(source, OPTIONS), "log", letters)
    for number, raw in enumerate(chunk.data.removesuffix(b"\n").split(b"\n"), 1):
        parser.line(raw, number, events)
    with duckdb.connect() as con:
        to_table(con, "t", [resolver.resolve(event) for event in events])
        return Counter(map(repr, con.execute("SELECT * FROM t").fetchall())), letters.all


@pytest.fixture(scope="module")
def loaders() -> Iterator[dict[str, ChunkLoader]]:
    """One for all examples: what it has learned of earlier shapes must not mislead it."""
    made = {source: ChunkLoader(get_reader(source, OPTIONS), Resolver(SYSTEMS), OPTIONS) for source in PLANNED}
    yield made
    for loader in made.values():
        loader.close()


def check(source: str, loader: ChunkLoader, data: bytes) -> int:
    """The number of lines that the reader had to read."""
    chunk = chunk_of(data)
    loaded = loader.load(chunk, "log")
    found = Counter(map(repr, loader.con.execute("SELECT * FROM part").fetchall()))
    events, letters = by_the_reader(source, chunk, Resolver(SYSTEMS))
    assert found == events
    assert list(loaded.letters) == letters
    assert loaded.events == events.total()
    return loaded.by_reader


@pytest.mark.parametrize("source", PLANNED)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_almost_valid_lines(source: str, loaders: dict[str, ChunkLoader], data: st.DataObject) -> None:
    listed = data.draw(st.lists(lines(source) | RUBBISH, min_size=1, max_size=12))
    raw = b"\n".join(line.replace(b"\n", b"") for line in listed)
    loader = loaders[source]
    if data.draw(st.booleans()):
        loader = loaders[source] = ChunkLoader(get_reader(source, OPTIONS), Resolver(SYSTEMS), OPTIONS)
    check(source, loader, raw + data.draw(st.sampled_from([b"", b"\n"])) if raw else b"\n")


@pytest.mark.parametrize("source", PLANNED)
def test_what_a_log_is_made_of_goes_the_fast_way(source: str) -> None:
    records: list[dict[str, Any]] = [{**LINES[source], "unknown": 0.5, "more": f"text {n}"} for n in range(20)]
    spellings = [{"separators": (",", ":")}, {}]
    data = b"".join(json.dumps(r, **spellings[n % 2]).encode() + b"\r\n" for n, r in enumerate(records))
    loader = ChunkLoader(get_reader(source, OPTIONS), Resolver(SYSTEMS), OPTIONS)
    assert check(source, loader, data) == 0
    loader.close()


def test_numbers_in_quotes_go_the_fast_way(loaders: dict[str, ChunkLoader]) -> None:
    quoted = {key: str(value) for key, value in RECORDS["nginx"].items()} | {"rt": "", "bytes_in": "-"}
    assert check("nginx", loaders["nginx"], json.dumps(quoted).encode()) == 0


def test_a_local_time_is_moved_to_utc(loaders: dict[str, ChunkLoader]) -> None:
    record = {key: value for key, value in RECORDS["nginx"].items() if key != "msec"}
    data = b"\n".join(
        json.dumps(record | {"time": time, "request_id": f"r{n}"}).encode()
        for n, time in enumerate(["2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00.5Z", "2025-12-31T18:30:00-05:30"])
    )
    assert check("nginx", loaders["nginx"], data) <= 1  # a fraction of one digit is left to the reader
    times = loaders["nginx"].con.execute("SELECT time FROM part ORDER BY event_id").fetchall()
    assert [time for (time,) in times] == [1_767_225_600_000_000, 1_767_225_600_500_000, 1_767_225_600_000_000]


def test_a_new_shape_in_a_later_chunk_is_learned() -> None:
    loader = ChunkLoader(get_reader("gateway"))
    first = json.dumps(RECORDS["gateway"]).encode()
    assert check_plain(loader, first) == 0
    other = json.dumps({key: RECORDS["gateway"][key] for key in ("v", "time", "event_id", "category")}).encode()
    assert check_plain(loader, first + b"\n" + other) == 0
    assert check_plain(loader, other) == 0
    loader.close()


def check_plain(loader: ChunkLoader, data: bytes) -> int:
    chunk = chunk_of(data)
    loaded = loader.load(chunk, "log")
    assert loaded.events == chunk.lines
    return loaded.by_reader


def test_a_torn_line_is_a_letter_even_where_it_is_json() -> None:
    loader = ChunkLoader(get_reader("linux-auth"))
    loaded = loader.load(chunk_of(b"nothing"), "log", torn=True)
    assert [letter.reason for letter in loaded.letters] == ["cut off: the file ends in the middle of this line"]
    loader.close()
