"""Whatever a log holds: events, a counted no-interest record or exactly one dead letter; never an exception.

``python -m benchmarks.fuzz_readers`` does the same with coverage as its guide, for as long as one likes.
"""

from __future__ import annotations

import copy
import json
from typing import Any, cast

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.fuzzing import Accounts
from tests.telemetry.log_records import EVERY, as_log, options

from threatmatrix.telemetry import documents
from threatmatrix.telemetry.columns import to_table
from threatmatrix.telemetry.documents import parse_document
from threatmatrix.telemetry.messages import is_http
from threatmatrix.telemetry.readers import SOURCES, Options, get_reader
from threatmatrix.telemetry.readers.mapping_file import parse_mapping
from threatmatrix.telemetry.reading import first_lines
from threatmatrix.telemetry.records import LineParser

CON = duckdb.connect()  # one for all examples: opening takes longer than an example
OPTIONS = options()
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["", "-", "2026-01-01T00:00:00Z", "1e999", "200", "success", "\ud800", "inference", "AAEC", "[1]", "{}"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
BYTES = st.binary(max_size=200)


def holders(value: Any) -> list[Any]:
    """The objects and lists of a record, itself first."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict | list) and value else []
    return own + [holder for part in inner for holder in holders(part)]


@st.composite
def almost_valid(draw: st.DrawFn, source: str) -> bytes:
    """A valid record with some values exchanged or removed, perhaps cut or with bytes exchanged."""
    record = draw(st.sampled_from(EVERY[source]))
    if isinstance(record, dict):
        record = copy.deepcopy(record)
        for _ in range(draw(st.integers(0, 3))):
            if not (found := holders(record)):
                break
            holder = draw(st.sampled_from(found))
            key = draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
            if draw(st.booleans()):
                holder[key] = draw(VALUES)
            else:
                del holder[key]
    line = as_log(record)
    if draw(st.integers(0, 3)) == 0:
        line = line[: draw(st.integers(0, len(line)))]
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(line)))
        line = line[:at] + draw(st.binary(max_size=3)) + line[at + draw(st.integers(0, 3)) :]
    return line


def check(source: str, data: bytes) -> None:
    accounts = Accounts(get_reader(source, OPTIONS))
    accounts.reader.recognises(first_lines(data))
    if accounts.reader.form == "http":
        accounts.http(data)
    if not is_http(first_lines(data)):
        for line in data.split(b"\n"):
            accounts.line(line)
    if accounts.reader.form == "documents":
        accounts.document(data)
    to_table(CON, "t", accounts.seen)  # what a reader lets through, the database takes


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=18, deadline=None)
@given(data=st.data())
def test_almost_valid_records(source: str, data: st.DataObject) -> None:
    check(source, data.draw(almost_valid(source)))


@settings(max_examples=12, deadline=None)
@given(value=VALUES, raw=BYTES)
def test_any_json_and_any_bytes(value: Any, raw: bytes) -> None:
    for source in SOURCES:
        check(source, json.dumps(value).encode() + b"\n" + raw)


@settings(max_examples=18, deadline=None)
@given(raw=st.binary(max_size=300), values=st.lists(VALUES, max_size=3), indent=st.sampled_from([None, 1]))
def test_any_document(raw: bytes, values: list[Any], indent: int | None) -> None:
    for source, reader in SOURCES.items():
        if reader.form == "documents":
            accounts = Accounts(get_reader(source, OPTIONS))
            accounts.document(json.dumps([EVERY[source][0], *values], indent=indent).encode() + raw)
            assert accounts.seen, source


class Kept:
    """Stands for the parser of a document: keeps what it is given."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.letters: list[bytes] = []

    def value(self, value: Any, *_: Any) -> str:
        self.values.append(value)
        return ""

    def letter(self, raw: bytes, *_: Any) -> None:
        self.letters.append(raw)


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(VALUES, max_size=6),
    indent=st.sampled_from([None, 1]),
    window=st.integers(1, 70),
    broken=st.binary(max_size=4),
)
def test_where_a_document_is_cut_for_decoding_changes_nothing(
    values: list[Any], indent: int | None, window: int, broken: bytes
) -> None:
    records = [{"v": value} for value in json.loads(json.dumps(values), parse_constant=str)]
    data = "\n".join(json.dumps(record, indent=indent) for record in records).encode()
    data = data[: len(data) // 2] + broken + data[len(data) // 2 :]
    whole, cut = Kept(), Kept()
    parse_document("fuzz", data, cast(LineParser, whole), [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "_WINDOW", window)
        parse_document("fuzz", data, cast(LineParser, cut), [])
    assert (whole.values, whole.letters) == (cut.values, cut.letters)
    assert broken.strip() or whole.letters or len(whole.values) == len(records)


TABLE = (
    "format: csv\ncategory: http\ntime: {field: t, unit: s}\nfields: {principal: who, output_scores: p, status: s}\n"
)
CELLS = st.sampled_from(["", "1", '"', '""', "a", '"[1, 2]"', "\n", ",", "\r", "\0", "é", "[1", "1e999"]) | st.text(
    max_size=4
)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.lists(CELLS, max_size=6), max_size=6))
def test_any_csv(rows: list[list[str]]) -> None:
    reader = get_reader("mapping", Options(mapping=parse_mapping(TABLE, "m")))
    body = "\n".join(",".join(cells) for cells in rows).encode("utf-8", "surrogatepass")
    Accounts(reader).table(b"t,who,p,s\n" + body)
