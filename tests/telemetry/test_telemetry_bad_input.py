"""What a file can have wrong: one test for each, and that it is counted, named and hides nothing."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.model.errors import InputError, UsageError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.documents import parse_document
from threatmatrix.telemetry.logfile import LogFile
from threatmatrix.telemetry.readers import AUTO, SOURCES, Where, get_reader
from threatmatrix.telemetry.readers.nginx import NginxReader
from threatmatrix.telemetry.reading import read_events
from threatmatrix.telemetry.records import MAX_LINE, LineParser

Build = Callable[..., dict[str, Any]]


Write = Callable[..., Path]


def everything(files: list[Any], source: str = "auto", letters: DeadLetterFile | None = None) -> list[Event]:
    return [event for batch in read_events(files, source, letters) for event in batch]


def ids(events: list[Event]) -> list[str]:
    return [event.event_id for event in events]


def letters_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_overlong_line_is_one_dead_letter_cut_short(record: Build, write_log: Write, tmp_path: Path) -> None:
    huge = json.dumps({**record("gateway"), "user_agent": "x" * (MAX_LINE + 300_000)})
    log = write_log("huge.jsonl", [record("gateway", event_id="first"), huge, record("gateway", event_id="last")])
    with DeadLetterFile(tmp_path / "dead.jsonl") as letters:
        assert ids(everything([log], letters=letters)) == ["first", "last"]
    (letter,) = letters_in(tmp_path / "dead.jsonl")
    assert letter["line"] == 2
    assert "10 MiB" in letter["reason"]
    assert len(letter["text"]) < MAX_LINE


def test_an_endless_line_does_not_fill_the_memory(write_log: Write) -> None:
    with LogFile(write_log("endless.jsonl", [b"x" * (2 * MAX_LINE), b"{}"])) as log:
        assert [len(line) for line in log.lines()] == [MAX_LINE + 1, 2]


def test_deep_nesting_and_endless_digits_are_dead_letters(record: Build, write_log: Write) -> None:
    letters = DeadLetterFile()
    log = write_log("deep.jsonl", [record("gateway"), '{"a":' + "[" * 200_000, '{"time": ' + "9" * 5000 + "}"])
    assert len(everything([log], letters=letters)) == 1
    assert letters.count == 2


def test_bytes_that_are_no_utf8_do_not_hide_a_request(record: Build, write_log: Write) -> None:
    line = json.dumps(record("nginx")).encode().replace(b"Scanner", b"Sc\xffnner")
    (event,) = everything([write_log("odd.jsonl", [line])])
    assert event.user_agent == "Sc\ufffdnner/4.1"


def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_kept(record: Build, write_log: Write) -> None:
    line = json.dumps(record("gateway")).replace("Scanner", "\\ud800|\\ud83d\\ude00")
    (event,) = everything([write_log("half.jsonl", [line])])
    assert event.user_agent is not None
    assert event.user_agent.encode().decode().endswith("|\U0001f600/4.1")
    assert event.user_agent.startswith("\ufffd")


def zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd as module
    else:
        from backports import zstd as module
    return module


def test_a_log_that_was_truncated_under_its_writer(record: Build, tmp_path: Path) -> None:
    """It starts with a hole: as many NUL bytes as it had bytes before."""
    line = json.dumps(record("gateway")).encode()
    log = tmp_path / "log.jsonl"
    log.write_bytes(bytes(MAX_LINE + 70_000) + line + b"\n" + bytes(50) + line + b"\n\0\0\n" + line + b"\0\0")
    letters = DeadLetterFile()
    assert len(everything([log], "gateway", letters)) == 3
    assert letters.count == 0


# What stands in one line of a log of good ones → why it is a dead letter ("": it is an event all the same).
BAD_LINES: dict[str, tuple[Callable[[str], bytes], str]] = {
    "cut": (lambda good: good[:50].encode(), "not JSON"),
    "two values": (lambda good: (good + good).encode(), "more text after the value"),
    "array": (lambda good: f"[{good}]".encode(), "not a JSON object"),
    "Latin-1": (lambda good: good.replace("Scanner", "Sc\xe4nner").encode("latin-1"), ""),
    "NUL within": (lambda good: good.replace("Scanner", "Sc\0nner").encode(), "Invalid control character"),
    "NUL escaped": (lambda good: good.replace("Scanner", "Sc\\u0000nner").encode(), ""),
    "lone surrogate": (lambda good: good.replace("Scanner", "\\udc80").encode(), ""),
    "lone surrogate as key": (lambda good: good.replace('"v"', '"\\ud800"').encode(), ""),
    "deep": (lambda good: good.replace('"v": 1', '"v": 1, "x": ' + "[" * 100_000 + "]" * 100_000).encode(), "nested"),
    "key twice": (lambda good: good.replace('"v": 1', '"v": 1, "status": 500').encode(), ""),
    "huge integer": (lambda good: good.replace('"status": 200', '"status": 1' + "0" * 4000).encode(), "status: "),
    "endless integer": (
        lambda good: good.replace('"status": 200', '"status": ' + "9" * 9000).encode(),
        "too many digits",
    ),
    "huge exponent": (lambda good: good.replace('"latency_ms": 2.5', '"latency_ms": 1e999').encode(), "latency_ms: "),
    "NaN": (lambda good: good.replace('"latency_ms": 2.5', '"latency_ms": NaN').encode(), "NaN is not JSON"),
    "UTF-16 in the middle": (lambda good: good.encode("utf-16-le").replace(b"\n", b" "), "not JSON"),
    "BOM in the middle": (lambda good: b"\xef\xbb\xbf" + good.encode(), "not JSON"),
    "year 10000": (
        lambda good: good.replace('"time": 1767225600250000', '"time": 253402300800000000').encode(),
        "time: ",
    ),
    "long": (lambda good: good.replace("Scanner", "x" * MAX_LINE).encode(), "longer than 10 MiB"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_line_is_named_and_hides_no_other(record: Build, write_log: Write, tmp_path: Path, case: str) -> None:
    change, why = BAD_LINES[case]
    good = [record("gateway", event_id=f"{n}") for n in range(3)]
    log = write_log("log.jsonl", [good[0], change(json.dumps(good[1])), good[2]])
    with DeadLetterFile(tmp_path / "dead.jsonl") as letters:
        events = everything([log], letters=letters)
    if why:
        assert ids(events) == ["0", "2"]
        (reason,) = letters.reasons
        assert why in reason
        assert "Scanner" not in reason
    else:
        assert ids(events) == ["0", "1", "2"]
        assert letters.count == 0


def test_of_a_key_that_stands_twice_the_last_counts(record: Build, write_log: Write) -> None:
    line = json.dumps(record("gateway")).replace('"status": 200', '"status": 500, "status": 200')
    (event,) = everything([write_log("twice.jsonl", [line])])
    assert event.status == 200


def test_a_client_cannot_make_a_log_look_binary(record: Build, write_log: Write) -> None:
    odd = json.dumps(record("nginx")).encode().replace(b"Scanner", b"\xff" * 9000)
    assert len(everything([write_log("odd.jsonl", [odd] * 20)])) == 20


def test_a_mistake_in_a_reader_costs_one_record(
    record: Build, write_log: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(self: NginxReader, obj: dict[str, Any], where: Where) -> Any:
        return real(self, obj, where) if obj["status"] != 500 else {}["secret"]

    real = NginxReader.parse
    monkeypatch.setattr(NginxReader, "parse", parse)
    letters = DeadLetterFile()
    log = write_log("log.jsonl", [record("nginx", status=status) for status in (200, 500, 200)])
    assert len(everything([log], "nginx", letters)) == 2
    assert list(letters.reasons) == ["reader nginx failed with KeyError"]


@pytest.mark.parametrize(
    "document",
    [
        '{"a":[\n' * 20_000,
        ('{"a":[\n' + '{"x":1},\n' * 20) * 900 + "}",
        "[" * 200_000,
        "{\n" * 20_000,
    ],
)
def test_broken_documents_end_in_bounded_time(document: str) -> None:
    """Each of these is quadratic for a parser that starts again at every brace; the suite's time limit is the judge."""
    letters = DeadLetterFile()
    parser = LineParser(get_reader("litellm"), "log", letters)
    parse_document("log", document.encode(), parser, [])
    assert letters.count == parser.dead


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.jsonl", b"", "is empty"),
        ("blank.jsonl", b"\n \n\n", "is empty"),
        ("empty.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("model.bin", b"\x80\x04\x95\x00\x00\x00" * 50, "binary"),
        ("latin.txt", bytes(range(128, 256)) * 20, "binary"),
        ("wide.jsonl", '{"time": 1}\n'.encode("utf-16"), "UTF-16"),
        ("bare.jsonl", '{"time": 1}\n'.encode("utf-16-le"), "binary"),
        ("log.zst", b"\x28\xb5\x2f\xfd\x00abc", "truncated zstd"),
        ("log.xz", b"\xfd7zXZ\x00abc", "xz -dc"),
        ("log.parquet", b"PAR1abc", "is a Parquet file"),
        ("prose.txt", b"once upon a time\nthere was a log\n", "no reader recognises"),
        ("other.jsonl", b'{"some": "thing"}\n', "--source"),
    ],
)
def test_refused_at_the_door(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=problem) as error:
        everything([path])
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.hint


def test_missing_file_directory_and_nothing_at_all(tmp_path: Path, write_log: Write, record: Build) -> None:
    good = write_log("good.jsonl", [record("gateway")])
    for bad, problem in ((tmp_path / "no.jsonl", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(InputError, match=problem):
            read_events([good, bad])  # before anything is read
    with pytest.raises(UsageError, match="no file"):
        read_events([])


def test_paths_that_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)  # the path of a socket must be short
        listener.bind("socket")
    for name, problem in (
        ("fifo", "is a named pipe"),
        ("loop", "symbolic links"),
        ("gone", "no such file"),
        ("socket", "is a socket"),
        ("/dev/zero", "is a device"),
        ("a\0b", "not a path"),
    ):
        with pytest.raises(InputError, match=problem):
            read_events([tmp_path / name])


def test_a_pipe_that_the_shell_hands_over(record: Build, write_log: Write) -> None:
    log = write_log("log.jsonl", [record("nginx")] * 3)
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as out:
            out.write(gzip.compress(log.read_bytes()))
        assert len(everything([Path(f"/dev/fd/{reading}")])) == 3
    finally:
        os.close(reading)


def test_what_is_held_as_a_whole_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threatmatrix.telemetry.reading.MAX_DOCUMENT", 2**20)
    monkeypatch.setattr("threatmatrix.telemetry.documents.MAX_DOCUMENT", 2**20)
    log = tmp_path / "log"
    log.write_bytes(b"[{}" + b" " * (2 * 2**20))
    with pytest.raises(InputError, match="more than 1 MiB"):
        everything([log], "litellm")


@settings(max_examples=30, deadline=None)
@given(
    start=st.sampled_from([b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"{", b"[", b"POST / HTTP/1.1\r\n", b"\0"]),
    rest=st.binary(max_size=300),
    packed=st.sampled_from([bytes, gzip.compress, zstd().compress]),
    source=st.sampled_from([AUTO, *(source for source in SOURCES if source != "mapping")]),
)
def test_any_file_is_read_or_refused(start: bytes, rest: bytes, packed: Callable[[bytes], bytes], source: str) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(packed(start + rest))
        file.flush()
        with contextlib.suppress(InputError):
            everything([Path(file.name)], source, DeadLetterFile())
