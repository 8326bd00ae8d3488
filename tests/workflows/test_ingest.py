"""Logs at rest → lake: each event once, however often, whatever happens in between."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.telemetry.log_records import RECORDS

from threatmatrix.model.errors import InputError, UnknownNameError, UsageError
from threatmatrix.model.event import EVENT_COLUMNS
from threatmatrix.model.system import ModelEntry, System
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.lake import Lake
from threatmatrix.telemetry.reading import read_events
from threatmatrix.workflows.ingest import IngestProgress, IngestReport, ingest
from threatmatrix.workflows.ingest import lines as ingest_lines
from threatmatrix.workflows.ingest import pool as ingest_pool

SORTER = System(
    name="parcel-sorter", owner="o", criticality="low", models=(ModelEntry("labels", ("/v2/models/labels*",)),)
)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with Lake(tmp_path / "lake") as opened:
        yield opened


def gateway(n: int, **changes: Any) -> bytes:
    record = {**RECORDS["gateway"], "event_id": f"e{n}", "time": RECORDS["gateway"]["time"] + n, **changes}
    return json.dumps(record).encode() + b"\n"


def nginx(n: int, **changes: Any) -> bytes:
    return json.dumps({**RECORDS["nginx"], "request_id": f"r{n}", **changes}).encode() + b"\n"


def run(lake: Lake, *files: Path, **given: Any) -> IngestReport:
    return ingest(files, lake=lake, home=lake.root.parent / "home", **given)


def ids(lake: Lake) -> list[str]:
    with lake.connect() as con:
        return [name for (name,) in con.execute("SELECT event_id FROM events ORDER BY event_id").fetchall()]


def small_chunks(monkeypatch: pytest.MonkeyPatch, size: int = 5_000) -> None:
    cut = ingest_lines.cut
    monkeypatch.setattr(ingest_lines, "cut", lambda *a, **k: cut(*a, **{**k, "size": size}))


def test_the_lake_holds_what_the_reader_reads(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_chunks(monkeypatch)
    log = tmp_path / "g.jsonl"
    lines = [gateway(n, status="odd" if n % 7 == 3 else 200) for n in range(60)]
    log.write_bytes(b"".join([*lines[:30], b"\n", b"{torn\n", *lines[30:]]))
    letters = DeadLetterFile(tmp_path / "dead.jsonl", keep_raw=True)
    expected = DeadLetterFile(tmp_path / "expected.jsonl", keep_raw=True)
    report = run(lake, log, dead_letters=letters)
    events = [event for batch in read_events([log], dead_letters=expected) for event in batch]
    assert report.events == len(events) == lake.count()
    assert report.dead_letters == letters.count == expected.count
    letters.close()
    expected.close()
    assert (tmp_path / "dead.jsonl").read_bytes() == (tmp_path / "expected.jsonl").read_bytes()  # in the file's order
    with lake.connect() as con:
        rows = con.execute("SELECT * FROM events ORDER BY event_id").fetchall()
    fields = [[getattr(event, name) for name in EVENT_COLUMNS] for event in sorted(events, key=lambda e: e.event_id)]
    assert [list(row) for row in rows] == [[[*v] if isinstance(v, tuple) else v for v in row] for row in fields]
    assert report.days == ("2026-01-01",)
    assert report.files[0].source == "gateway"


def test_the_same_file_again_adds_nothing(lake: Lake, tmp_path: Path) -> None:
    log = tmp_path / "g.jsonl"
    log.write_bytes(b"".join(map(gateway, range(5))))
    assert run(lake, log).events == 5
    again = run(lake, log)
    assert (again.events, again.files[0].is_known, lake.count()) == (0, True, 5)
    copy = tmp_path / "copy.jsonl.gz"
    copy.write_bytes(gzip.compress(log.read_bytes()))
    packed = run(lake, copy)
    assert (packed.events, packed.known, packed.files[0].is_known) == (0, 5, True)


def test_a_log_that_has_grown_adds_what_is_new(lake: Lake, tmp_path: Path) -> None:
    log = tmp_path / "g.jsonl"
    log.write_bytes(b"\xef\xbb\xbf" + b"".join(map(gateway, range(5))))
    run(lake, log)
    for step in range(1, 3):
        with log.open("ab") as file:
            file.write(b"not json\n" + gateway(10 * step))
        letters = DeadLetterFile(tmp_path / f"dead-{step}.jsonl")
        report = run(lake, log, dead_letters=letters)
        assert (report.events, letters.count, lake.count()) == (1, 1, 5 + step)
        letters.close()
        assert json.loads((tmp_path / f"dead-{step}.jsonl").read_text())["line"] == 4 + 2 * step
    packed = tmp_path / "g.jsonl.1.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))  # as rotation leaves it: cut where the log was
    log.unlink()
    assert run(lake, packed).events == 0
    assert lake.count() == 7


def test_a_line_that_is_still_being_written_is_read_when_it_is_whole(lake: Lake, tmp_path: Path) -> None:
    log, letters = tmp_path / "g.jsonl", DeadLetterFile()
    log.write_bytes(gateway(1) + gateway(2)[:80])
    assert (run(lake, log, dead_letters=letters).events, letters.count) == (1, 1)
    assert (run(lake, log, dead_letters=letters).events, letters.count) == (0, 1)  # nothing new, no letter twice
    log.write_bytes(gateway(1) + gateway(2) + gateway(3)[:-1])
    assert (run(lake, log, dead_letters=letters).events, letters.count) == (2, 1)
    with log.open("ab") as file:
        file.write(b"\n" + gateway(4))
    assert run(lake, log).events == 1
    assert ids(lake) == ["e1", "e2", "e3", "e4"]


@pytest.mark.parametrize("died", [0, 2])
def test_killed_between_a_part_and_the_note_of_it(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, died: int
) -> None:
    """A process that dies there, at any chunk, in a log that grows before the next run: nothing lost, nothing twice."""
    log = tmp_path / "g.jsonl"
    log.write_bytes(b"".join(map(gateway, range(20))))
    code = (
        "import os, sys; from pathlib import Path; from threatmatrix.workflows.ingest import ingest, lines, manifest\n"
        "from threatmatrix.telemetry.lake import Lake; cut = lines.cut; seen = []\n"
        "lines.cut = lambda *a, **k: cut(*a, **{**k, 'size': 5000}); done = manifest.Manifest.done\n"
        "def die(self, *a):\n"
        "    if len(seen) == int(sys.argv[2]): os._exit(9)\n"
        "    seen.append(a); done(self, *a)\n"
        "manifest.Manifest.done = die; folder = Path(sys.argv[1])\n"
        "ingest([folder / 'g.jsonl'], lake=Lake(folder / 'lake'), home=folder / 'home')\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(died)], check=False, timeout=60)
    assert killed.returncode == 9
    with log.open("ab") as file:
        file.write(b"".join(map(gateway, range(20, 30))))
    small_chunks(monkeypatch)
    run(lake, log)
    assert ids(lake) == sorted(f"e{n}" for n in range(30))


def test_a_full_disk_says_how_far_it_came_and_goes_on_from_there(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_chunks(monkeypatch, 200_000)
    log = tmp_path / "g.jsonl"
    log.write_bytes(
        b"".join(gateway(n, input_fp=os.urandom(16).hex(), tenant=os.urandom(900).hex()) for n in range(500))
    )
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    write = ingest_pool.Lake.append_table
    calls = []

    def full_later(self: Lake, *given: Any, **more: Any) -> int:
        """From the third part on the disk takes no file of more than 20 KB."""
        calls.append(1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000 if len(calls) > 2 else limit[0], limit[1]))
        try:
            return write(self, *given, **more)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    monkeypatch.setattr(ingest_pool.Lake, "append_table", full_later)
    with pytest.raises(InputError, match=r"lake.*disk is full.*g\.jsonl all before line \d+ is in the lake") as raised:
        run(lake, log, workers=1)
    assert "same command again" in raised.value.hint
    assert 0 < lake.count() < 500
    monkeypatch.setattr(ingest_pool.Lake, "append_table", write)
    before = lake.count()
    assert run(lake, log).events == 500 - before
    assert ids(lake) == sorted(f"e{n}" for n in range(500))


def test_records_of_one_request_become_one_event(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    seen = {"src_ip": "198.51.100.7", "status": 200, "decision": "allow", "key_id": "key_b2"}
    served = gateway(1, request_ref="shared", row=0, rows=1, trace_id=None, principal="key_b2", **seen)
    proxied = nginx(1, request_id="shared", traceparent="", uri="/v2/models/labels/infer", ua="Scanner/4.1", **seen)
    (tmp_path / "logs" / "g.jsonl").write_bytes(served)
    (tmp_path / "logs" / "n.jsonl").write_bytes(proxied)
    (tmp_path / "logs" / "empty.jsonl").touch()
    (tmp_path / "logs" / ".hidden").write_bytes(b"x")
    report = run(lake, tmp_path / "logs", systems=[SORTER])
    assert [(file.source, file.events) for file in report.files] == [("gateway", 1), ("nginx", 1)]
    assert report.joined == 1
    with lake.connect() as con:
        assert con.execute("SELECT source FROM events").fetchall() == [("gateway+nginx",)]


def test_systems_are_told_as_the_resolver_tells_them(lake: Lake, tmp_path: Path) -> None:
    log = tmp_path / "n.jsonl"
    log.write_bytes(nginx(1) + nginx(2, uri="/v2/models/other/infer"))
    run(lake, log, systems=[SORTER])
    with lake.connect() as con:
        assert con.execute("SELECT system FROM events ORDER BY event_id").fetchall() == [("parcel-sorter",), (None,)]


def test_a_damaged_file_is_named_and_hides_nothing(lake: Lake, tmp_path: Path) -> None:
    bad, good = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl"
    noisy = b"".join(gateway(n, tenant=os.urandom(40).hex()) for n in range(2000))
    bad.write_bytes(gzip.compress(noisy)[:-20_000])
    good.write_bytes(gateway(9999))
    letters = DeadLetterFile()
    report = run(lake, bad, good, dead_letters=letters)
    assert report.unreadable is not None
    assert "truncated gzip" in report.unreadable.message
    assert 100 < report.files[0].events < 2000
    assert letters.reasons["cut off: the file ends in the middle of this line"] == 1
    assert report.files[1].events == 1
    bad.write_bytes(gzip.compress(noisy))  # fetched again
    run(lake, bad)
    assert lake.count() == 2001


def test_a_lake_that_was_removed_is_filled_again(tmp_path: Path) -> None:
    log = tmp_path / "g.jsonl"
    log.write_bytes(gateway(1))
    with Lake(tmp_path / "lake") as lake:
        assert run(lake, log).events == 1
    (tmp_path / "lake").rename(tmp_path / "gone")
    with Lake(tmp_path / "lake") as lake:
        assert run(lake, log).events == 1


def test_standard_input_twice_adds_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(map(gateway, range(3)))
    found = []
    for _ in range(2):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        found.append(ingest(["-"], lake=lake, home=lake.root.parent / "home").events)
    assert found == [3, 0]
    document = json.dumps([RECORDS["litellm"]], indent=1).encode()
    for expected in (1, 0):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(document)))
        assert ingest(["-"], lake=lake, home=lake.root.parent / "home").events == expected


def test_a_document_that_has_grown_adds_what_is_new(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "calls.json"
    records = [{**RECORDS["litellm"], "litellm_call_id": f"c{n}"} for n in range(3)]
    path.write_text(json.dumps(records[:2], indent=1))
    assert run(lake, path).events == 2
    assert run(lake, path).files[0].is_known
    path.write_text(json.dumps(records, indent=1))
    assert run(lake, path).events == 1
    assert ids(lake) == ["litellm:c0", "litellm:c1", "litellm:c2"]


def test_worker_processes_come_to_the_same(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_lines, "_WORTH_PROCESSES", 0)
    monkeypatch.setattr(ingest_lines, "plan_for", lambda reader, options: None)
    small_chunks(monkeypatch)
    log, letters = tmp_path / "g.jsonl", DeadLetterFile()
    log.write_bytes(b"".join([*map(gateway, range(20)), b"no\n"]))
    report = run(lake, log, workers=2, dead_letters=letters)
    assert (report.events, letters.count, lake.count()) == (20, 1, 20)


def test_progress_is_told(lake: Lake, tmp_path: Path) -> None:
    log = tmp_path / "g.jsonl"
    log.write_bytes(gateway(1))
    told: list[IngestProgress] = []
    run(lake, log, on_progress=told.append)
    assert (told[-1].events, told[-1].bytes_read, told[-1].bytes_total) == (1, log.stat().st_size, log.stat().st_size)
    assert told[-1].rate > 0


def test_what_cannot_be_read_is_refused_before_anything_is(lake: Lake, tmp_path: Path) -> None:
    log = tmp_path / "g.jsonl"
    log.write_bytes(gateway(1))
    with pytest.raises(InputError, match="no such file"):
        run(lake, log, tmp_path / "missing")
    with pytest.raises(InputError, match="no file matches"):
        run(lake, log, tmp_path / "*.none")
    with pytest.raises(UnknownNameError):
        run(lake, log, source="nothing")
    with pytest.raises(UsageError, match="no file"):
        run(lake)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="holds no log"):
        run(lake, tmp_path / "folder")
    assert lake.count() == 0
    assert run(lake, tmp_path / "*.jsonl", log).events == 1


def test_a_log_that_was_written_anew_in_its_place_is_read_from_its_start(lake: Lake, tmp_path: Path) -> None:
    """Only the first line is as it was, as with a header."""
    log = tmp_path / "g.jsonl"
    log.write_bytes(b"".join(map(gateway, range(3))))
    run(lake, log)
    with log.open("r+b") as file:
        file.truncate()
        file.write(b"".join(map(gateway, (0, 4, 5, 6))))
    assert run(lake, log).events == 4  # the first one once more: an exact repeat, which a compaction drops
    lake.compact()
    assert ids(lake) == [f"e{n}" for n in (0, 1, 2, 4, 5, 6)]
    table = tmp_path / "calls.json"
    for count in (5, 2, 3):
        records = [{**RECORDS["litellm"], "litellm_call_id": f"c{count}{n}" if n else "c"} for n in range(count)]
        table.write_text(json.dumps(records, indent=1))
        run(lake, table)
    assert len({name for name in ids(lake) if name.startswith("litellm")}) == 1 + 4 + 1 + 2
