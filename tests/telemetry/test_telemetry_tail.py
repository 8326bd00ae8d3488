"""Following logs: every line once, whatever becomes of the file under us or while we are away."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.telemetry.log_records import RECORDS

from threatmatrix.model.errors import FormatError, UnknownNameError
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.following.directory import DirectoryFollower
from threatmatrix.telemetry.following.file import FileFollower
from threatmatrix.telemetry.following.parsing import EventFollower
from threatmatrix.telemetry.following.siblings import is_sibling
from threatmatrix.telemetry.following.stdin import StdinFollower
from threatmatrix.telemetry.records import MAX_LINE

Follower = FileFollower | DirectoryFollower
NOW = {"grace": 0, "look_every": 0}


def line(name: str) -> bytes:
    return json.dumps({**RECORDS["gateway"], "event_id": name}).encode() + b"\n"


def append(path: Path, *names: str) -> None:
    with path.open("ab") as log:
        log.write(b"".join(map(line, names)))


def names(follower: Any, most: int = 1 << 20) -> list[str]:
    """Everything that is there, as event ids."""
    found: list[str] = []
    empty = 0
    while empty < 3:  # what is found only after a rotation was noticed needs another look
        pieces = follower.read(most)
        empty = 0 if pieces else empty + 1
        for piece in pieces:
            found += [json.loads(raw)["event_id"] for raw in piece.lines if raw.strip()]
    return found


def after_restart(follower: Follower, fresh: Follower) -> Follower:
    """What another process makes of the position, which went through JSON."""
    position = json.loads(json.dumps(follower.moved()))
    follower.close()
    fresh.resume(position)
    return fresh


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


@pytest.fixture
def follower(log: Path) -> Iterator[FileFollower]:
    found = FileFollower(log, **NOW)
    yield found
    found.close()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 4000), max_size=6))
def test_any_cut_gives_the_same_events(tmp_path: Path, cuts: list[int]) -> None:
    log = tmp_path / "log.jsonl"
    log.unlink(missing_ok=True)
    data = line("e0") + line("e1") + b"{broken\n" + line("e2") + line("e3")
    letters = DeadLetterFile()
    tail = EventFollower(FileFollower(log, "gateway", **NOW), letters)
    got: list[str] = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        with log.open("ab") as file:
            file.write(data[start:end])
        got += [event.event_id for event in tail.read_new()]
    tail.close()
    assert got == ["e0", "e1", "e2", "e3"]
    assert letters.count == 1


def test_a_log_that_is_not_there_yet(log: Path, follower: FileFollower) -> None:
    assert names(follower) == []
    append(log, "a")
    [piece] = follower.read(1 << 20)
    assert (piece.reader, piece.first, len(piece.lines)) == ("gateway", 1, 1)


def test_what_is_appended_to_the_old_file_before_its_rotation_is_seen_is_not_lost(
    log: Path, follower: FileFollower
) -> None:
    append(log, "a")
    assert names(follower) == ["a"]
    append(log, "b")
    log.rename(log.with_name("log.jsonl.1"))
    append(log, "c")
    assert names(follower) == ["b", "c"]
    append(log.with_name("log.jsonl.1"), "late")  # a writer that has not been told yet
    append(log, "d")
    assert sorted(names(follower)) == ["d", "late"]


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
def test_packed_while_nobody_looked(log: Path, follower: FileFollower, pack: str) -> None:
    append(log, "a", "b")
    assert names(follower, 300) == ["a", "b"]
    append(log, "c")
    packed = gzip.compress(log.read_bytes()) if pack == "gzip" else zstd.compress(log.read_bytes())
    log.with_name(f"log.jsonl.1.{'gz' if pack == 'gzip' else 'zst'}").write_bytes(packed)
    log.unlink()
    append(log, "d")
    fresh = after_restart(follower, FileFollower(log, **NOW))
    assert names(fresh) == ["c", "d"]
    assert fresh.notices() == []
    fresh.close()


def test_copied_and_emptied(log: Path, follower: FileFollower) -> None:
    append(log, "a")
    assert names(follower) == ["a"]
    append(log, "b")
    shutil.copy(log, log.with_name("log.jsonl.1"))
    assert names(follower) == ["b"]  # the copy is no new log
    append(log, "c")
    shutil.copy(log, log.with_name("log.jsonl.1"))
    os.truncate(log, 0)
    append(log, "d")
    assert names(follower) == ["c", "d"]
    assert follower.notices() == []


def test_emptied_and_longer_than_before_when_we_look_again(log: Path, follower: FileFollower) -> None:
    append(log, "a", "b")
    assert names(follower) == ["a", "b"]
    os.truncate(log, 0)
    append(log, "c", "d", "e")
    assert names(follower) == ["c", "d", "e"]
    [notice] = follower.notices()
    assert "was emptied" in notice


def test_a_hole_where_a_writer_went_on_after_the_log_was_emptied(log: Path, follower: FileFollower) -> None:
    append(log, "a", "b")
    assert names(follower) == ["a", "b"]
    place = log.stat().st_size
    os.truncate(log, 0)
    with log.open("r+b") as file:
        file.seek(place)
        file.write(line("c"))
    assert names(follower) == ["c"]


def test_rotated_twice_while_nobody_looked(log: Path, follower: FileFollower) -> None:
    append(log, "a")
    assert names(follower) == ["a"]
    append(log, "b")
    log.rename(log.with_name("log.jsonl.2"))
    append(log, "c")
    log.with_name("log.jsonl.1.gz").write_bytes(gzip.compress(log.read_bytes()))
    log.unlink()
    append(log, "d")
    fresh = after_restart(follower, FileFollower(log, **NOW))
    assert names(fresh) == ["b", "c", "d"]
    fresh.close()


def test_the_same_rotation_seen_while_running(log: Path, follower: FileFollower) -> None:
    append(log, "a")
    assert names(follower) == ["a"]
    append(log, "b")
    log.rename(log.with_name("log.jsonl.2"))
    append(log, "c")
    log.rename(log.with_name("log.jsonl.1"))
    append(log, "d")
    assert names(follower) == ["b", "c", "d"]
    log.with_name("log.jsonl.2.gz").write_bytes(gzip.compress(log.with_name("log.jsonl.2").read_bytes()))
    log.with_name("log.jsonl.2").unlink()
    append(log, "e")
    log.rename(log.with_name("log.jsonl.0"))
    append(log, "f")
    assert names(follower) == ["e", "f"]


def test_an_inode_that_is_used_again_and_a_link_that_points_elsewhere(tmp_path: Path) -> None:
    first, second, link = tmp_path / "first", tmp_path / "second", tmp_path / "current.jsonl"
    append(first, "a")
    append(second, "c")
    link.symlink_to(first)
    follower = FileFollower(link, **NOW)
    assert names(follower) == ["a"]
    append(first, "b")
    link.unlink()
    link.symlink_to(second)
    follower = after_restart(follower, FileFollower(link, **NOW))
    assert sorted(names(follower)) == ["b", "c"]
    second.write_bytes(line("x") + line("y"))  # the same inode with other content
    follower = after_restart(follower, FileFollower(link, **NOW))
    assert names(follower) == ["x", "y"]
    assert any("is gone" in notice for notice in follower.notices())
    follower.close()


def test_a_last_line_without_newline_counts_once_the_file_is_rotated_away(log: Path, follower: FileFollower) -> None:
    log.write_bytes(line("a") + line("b").rstrip(b"\n"))
    assert names(follower) == ["a"]
    log.rename(log.with_name("log.jsonl.1"))
    append(log, "c")
    assert names(follower) == ["b", "c"]


def test_a_line_without_end_is_one_dead_letter(log: Path) -> None:
    letters = DeadLetterFile()
    tail = EventFollower(FileFollower(log, **NOW), letters)
    for part in (b"x" * (MAX_LINE + 10), b"y" * (MAX_LINE + 10), b"z\n" + line("next") + b"{\n"):
        with log.open("ab") as file:
            file.write(part)
        events = tail.read_new()
    tail.close()
    assert [event.event_id for event in events] == ["next"]
    assert letters.count == 2


def test_packed_at_the_path_and_cut_in_the_middle(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(line(f"e{n}") for n in range(2000)))
    packed = tmp_path / "log.jsonl.gz"
    packed.write_bytes(whole[: len(whole) // 2])
    follower = FileFollower(packed, **NOW)
    first = names(follower)
    packed.write_bytes(whole)  # it was only half written when we came
    assert first + names(follower) == [f"e{n}" for n in range(2000)]
    follower.close()


def test_what_cannot_be_read_is_named_and_read_when_it_can(log: Path, follower: FileFollower) -> None:
    log.write_bytes(b"what is this\n")
    assert names(follower) == []
    [why] = follower.refused.values()
    assert "no reader recognises" in why
    assert follower.notices() == [why]
    assert follower.behind == 13
    append(log, "a")
    [piece] = follower.read(1 << 20)
    assert len(piece.lines) == 2
    assert follower.refused == {}


def test_positions_of_something_else_are_refused(log: Path, follower: FileFollower) -> None:
    append(log, "a")
    names(follower)
    good: dict[str, Any] = dict(follower.moved())
    with pytest.raises(FormatError):
        follower.resume({"logs": 7})
    with pytest.raises(FormatError, match="offset"):
        follower.resume({**good, "logs": [{**good["logs"][0], "offset": "7"}]})
    with pytest.raises(UnknownNameError):
        FileFollower(log, "nonsense")


def test_names_of_generations() -> None:
    mine = [
        "log.jsonl.1",
        "log.jsonl.2.gz",
        "log.jsonl-20260101",
        "log-2026-01-01.jsonl",
        "log.1.jsonl.zst",
        "log.jsonl.gz",
    ]
    others = ["log.jsonl", "log.jsonl.tmp", "log.jsonlx", "other.jsonl.1", "log-eu.jsonl", "log.jsonl.1.swp"]
    assert [name for name in mine + others if is_sibling("log.jsonl", name)] == mine


def test_a_directory_with_all_that_comes_and_goes(tmp_path: Path) -> None:
    append(tmp_path / "a.jsonl", "a1")
    append(tmp_path / "a.jsonl.1", "a0")
    append(tmp_path / "b-2026-01-01.jsonl", "b1")
    os.utime(tmp_path / "a.jsonl.1", (1, 1))
    (tmp_path / ".hidden").write_bytes(line("hidden"))
    follower = DirectoryFollower(tmp_path, "*", **NOW)
    assert sorted(names(follower)) == ["a0", "a1", "b1"]
    (tmp_path / "a.jsonl.1").rename(tmp_path / "a.jsonl.2")
    append(tmp_path / "a.jsonl", "a2")
    (tmp_path / "a.jsonl").rename(tmp_path / "a.jsonl.1")
    append(tmp_path / "a.jsonl", "a3")
    append(tmp_path / "c.jsonl", "c1")
    assert sorted(names(follower)) == ["a2", "a3", "c1"]
    everything = dict(follower.moved())
    append(tmp_path / "c.jsonl", "c2")
    assert names(follower) == ["c2"]
    assert set(follower.moved()) == {"c.jsonl"}  # only what moved is kept anew
    append(tmp_path / "b-2026-01-01.jsonl", "b2")
    (tmp_path / "b-2026-01-01.jsonl.gz").write_bytes(gzip.compress((tmp_path / "b-2026-01-01.jsonl").read_bytes()))
    (tmp_path / "b-2026-01-01.jsonl").unlink()
    follower.close()
    fresh = DirectoryFollower(tmp_path, "*", **NOW)
    fresh.resume(json.loads(json.dumps(everything)))
    assert sorted(names(fresh)) == ["b2", "c2"]
    fresh.close()


def test_standard_input_in_pieces() -> None:
    read, write = os.pipe()
    follower = StdinFollower(fd=read)
    assert follower.read(100) == []
    os.write(write, line("a") + line("b")[:20])
    assert [piece.first for piece in follower.read(1 << 20)] == [1]
    os.write(write, line("b")[20:].rstrip(b"\n"))
    assert follower.read(1 << 20) == []
    os.close(write)
    [piece] = follower.read(1 << 20)
    assert (json.loads(piece.lines[0])["event_id"], piece.first, follower.ended) == ("b", 2, True)
    os.close(read)


def test_copied_and_emptied_before_anything_was_read_of_it(log: Path, follower: FileFollower) -> None:
    log.touch()
    assert names(follower) == []
    append(log, "a")
    shutil.copy(log, log.with_name("log.jsonl.1"))
    os.truncate(log, 0)
    append(log, "b")
    assert sorted(names(follower)) == ["a", "b"]


def test_emptied_between_the_look_and_the_reading(log: Path) -> None:
    class Late(FileFollower):
        def _look_beside(self, now: float, *, at_once: bool = False) -> bool:
            told = super()._look_beside(now, at_once=at_once)
            if log.exists() and b"new1" not in log.read_bytes() and self.behind == 0 and self._logs:
                shutil.copy(log, log.with_name("log.jsonl.1"))
                os.truncate(log, 0)
                append(log, "new1", "new2", "new3")
            return told

    append(log, "a", "b")
    follower = Late(log, **NOW)
    assert names(follower) == ["a", "b", "new1", "new2", "new3"]
    follower.close()


def test_messages_of_several_lines_are_for_ingest_and_the_same_as_lines_are_followed(tmp_path: Path) -> None:
    raw, lines = tmp_path / "raw.http", tmp_path / "lines.jsonl"
    raw.write_bytes(b"POST / HTTP/1.1\r\nCe-Id: 1\r\nContent-Length: 2\r\n\r\n{}\n")
    lines.write_bytes(b'{"headers": {"ce-id": "1"}, "body": "{}"}\n')
    followers = [FileFollower(path, "kserve", **NOW) for path in (raw, lines)]
    found = [follower.read(1 << 20) for follower in followers]
    assert [len(pieces) for pieces in found] == [0, 1]
    assert "cannot be followed" in followers[0].refused[str(raw)]
    for follower in followers:
        follower.close()
