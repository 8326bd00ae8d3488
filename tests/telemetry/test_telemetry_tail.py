"""Following a log: only whole lines, each once, whatever the pieces in which it is written."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from threatmatrix.model.errors import InputError, UnknownNameError
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.records import MAX_LINE
from threatmatrix.telemetry.tail import LogTail

Build = Callable[..., dict[str, Any]]


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as log:
        log.write(data)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 4000), max_size=6))
def test_any_cut_gives_the_same_events(record: Build, tmp_path: Path, cuts: list[int]) -> None:
    log = tmp_path / "log.jsonl"
    log.unlink(missing_ok=True)
    lines = [json.dumps(record("gateway", event_id=f"e{n}")).encode() for n in range(4)]
    lines.insert(2, b"{broken")
    data = b"\n".join(lines) + b"\n"
    letters = DeadLetterFile()
    tail = LogTail(log, "gateway")
    got: list[str] = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        append(log, data[start:end])
        got += [event.event_id for event in tail.read_new(letters)]
    assert got == ["e0", "e1", "e2", "e3"]
    assert letters.count == 1
    assert (tail.offset, tail.line) == (len(data), 5)


def test_a_log_that_is_not_there_yet(record: Build, tmp_path: Path) -> None:
    tail = LogTail(tmp_path / "later.jsonl")
    assert tail.read_new() == []
    append(tmp_path / "later.jsonl", json.dumps(record("nginx")).encode() + b"\n")
    assert [event.source for event in tail.read_new()] == ["nginx"]
    assert tail.read_new() == []


def test_replaced_and_shortened_logs_are_read_from_their_start(record: Build, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    line = json.dumps(record("gateway")).encode() + b"\n"
    append(log, line * 3)
    tail = LogTail(log)
    assert len(tail.read_new()) == 3
    (tmp_path / "new.jsonl").write_bytes(line * 4)
    (tmp_path / "new.jsonl").replace(log)
    assert len(tail.read_new()) == 4
    log.write_bytes(line)
    assert len(tail.read_new()) == 1


def test_another_process_goes_on_at_offset_and_line(record: Build, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    append(log, json.dumps(record("gateway")).encode() + b"\n")
    first = LogTail(log)
    first.read_new()
    append(log, b"{broken\n" + json.dumps(record("gateway", event_id="new")).encode() + b"\n")
    with DeadLetterFile(tmp_path / "dead.jsonl") as letters:
        events = LogTail(log, "gateway", offset=first.offset, line=first.line).read_new(letters)
    assert [event.event_id for event in events] == ["new"]
    assert json.loads((tmp_path / "dead.jsonl").read_text())["line"] == 2


def test_a_line_without_end_is_one_dead_letter(record: Build, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    append(log, b"x" * (MAX_LINE + 10))
    tail = LogTail(log, "gateway")
    with DeadLetterFile(tmp_path / "dead.jsonl") as letters:
        assert tail.read_new(letters) == []
        append(log, b"y" * (MAX_LINE + 10))
        assert tail.read_new(letters) == []
        append(log, b"z\n" + json.dumps(record("gateway", event_id="next")).encode() + b"\n{\n")
        assert [event.event_id for event in tail.read_new(letters)] == ["next"]
    kept = [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]
    assert [letter["line"] for letter in kept] == [1, 3]


def test_refusals(tmp_path: Path) -> None:
    packed = tmp_path / "log.gz"
    packed.write_bytes(gzip.compress(b"{}") + b"\n")
    with pytest.raises(InputError, match="is compressed"):
        LogTail(packed).read_new()
    with pytest.raises(InputError, match="cannot be read"):
        LogTail(tmp_path).read_new()
    with pytest.raises(UnknownNameError):
        LogTail(packed, "syslog")
