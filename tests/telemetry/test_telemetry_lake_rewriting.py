"""Compaction, retention and erasure: under kills, among others at work, with damage, on a full disk."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from tests.telemetry.lake_kills import DAY, FIRST, event

from threatmatrix.model.errors import InputError
from threatmatrix.telemetry.columns import to_table
from threatmatrix.telemetry.lake import Lake
from threatmatrix.telemetry.lake.layout import Manifest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with Lake(tmp_path / "lake") as opened:
        yield opened


def ids(lake: Lake) -> list[str]:
    with closing(lake.connect()) as con:
        return [name for (name,) in con.execute("SELECT event_id FROM events ORDER BY ALL").fetchall()]


KILLS = ["append:9", "compact:21", "erase:21"]
BEFORE = {"a0:1": 2, "a1:1": 1, "b0:1": 1, "b1:1": 1, "c0:2": 1, "c1:1": 1}
AFTER: dict[str, dict[str, int]] = {
    "append": {**BEFORE, "d0:1": 1, "d1:1": 1},
    "revise": {**{name: count for name, count in BEFORE.items() if name != "b1:1"}, "b1:2": 1},
    "compact": {**BEFORE, "a0:1": 1},
    "expire": {"a1:1": 1, "b1:1": 1, "c1:1": 1},
    "erase": {"a0:1": 2, "a1:1": 1, "b1:1": 1, "c0:2": 1},
}


def killed(folder: Path, kills: list[str]) -> int:
    """Kill, look, do it again; returns how many kills there were."""
    command = [sys.executable, "-m", "tests.telemetry.lake_kills", str(folder), *kills]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for line in lines:
        after = AFTER[line["operation"]]
        assert line["strange"] == []
        assert line["after"] == after  # doing it again comes to the end
        for name in {*BEFORE, *after, *line["seen"]}:  # right after the kill: each event as before or as after
            assert line["seen"].get(name, 0) in {BEFORE.get(name, 0), after.get(name, 0)}
    return len(lines)


@pytest.mark.usefixtures("uncounted")
def test_sigkill_leaves_a_lake_that_reads_right(tmp_path: Path) -> None:
    assert killed(tmp_path, KILLS) == len(KILLS)


@pytest.mark.nightly
@pytest.mark.usefixtures("uncounted")
def test_sigkill_at_every_step_of_everything(tmp_path: Path) -> None:
    assert killed(tmp_path, list(AFTER)) > 50


def compact_often(root: str, times: int) -> None:
    with Lake(Path(root)) as lake:
        for _ in range(times):
            lake.compact(threads=1)


def append_often(root: str, times: int) -> None:
    with Lake(Path(root)) as lake:
        for number in range(times):
            lake.append([event(f"{number}-{n}", n % 2) for n in range(10)], part=f"w-{number}")


def both_often(root: str) -> None:
    """Two writers with nothing in common but the disk; in one process, which takes a second to start."""
    with ThreadPoolExecutor() as pool:
        for done in (pool.submit(append_often, root, 6), pool.submit(compact_often, root, 3)):
            done.result()


@pytest.mark.usefixtures("uncounted")
def test_a_reader_sees_nothing_twice_while_others_append_and_compact(tmp_path: Path) -> None:
    other = multiprocessing.get_context("spawn").Process(target=both_often, args=(str(tmp_path),))
    other.start()
    counts = []
    with Lake(tmp_path) as lake:
        while other.is_alive():
            names = ids(lake)
            assert len(names) == len(set(names))
            counts.append(len(names))
            other.join(0.02)
        other.join()
        assert other.exitcode == 0
        assert counts == sorted(counts)
        assert all(count % 5 == 0 for count in counts)
        lake.compact(grace=0)
        assert len(ids(lake)) == 60
        assert lake.append([event("0-0")], part="w-0") == 0


def test_only_one_rewrites_at_a_time(lake: Lake) -> None:
    lake.append([event("a")])
    with (lake.root / ".lock").open("w") as held:
        held.write("4711\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        for work in (lake.compact, lambda: lake.expire("2026-01-02"), lambda: lake.erase("ann")):
            with pytest.raises(InputError, match=r"by process 4711\. Try again"):
                work()
        assert lake.append([event("b")]) == 1
        assert ids(lake) == ["a", "b"]


def test_what_a_compaction_says_and_what_it_does(lake: Lake) -> None:
    late = replace(event("a"), time=FIRST + 1, source="b")
    lake.append([event("b"), event("a"), event("a")])
    lake.append([event("a"), replace(event("b"), model_version="other"), late])
    lake.append([event("n", 1)])
    lake.revise([event("n", 1, version="2")])
    told: list[tuple[str, int]] = []
    report = lake.compact(grace=0, on_day=lambda day, count: told.append((day, count)))
    assert told == [("2026-01-01", 4), ("2026-01-02", 1)]
    counts = (report.days, report.parts_before, report.parts_after, report.events, report.repeats, report.clashes)
    assert counts == (2, 4, 2, 5, 2, 2)
    assert report.revisions == 1
    (part,) = (lake.root / "day=2026-01-01").glob("*.parquet")
    with duckdb.connect() as con:
        times = [time for (time,) in con.execute("SELECT time FROM read_parquet(?)", [str(part)]).fetchall()]
    assert times == sorted(times)
    days = lake.days()
    assert [(day.parts, day.events, day.sources, day.fresh) for day in days] == [
        (1, 4, ("a", "b"), 0),
        (1, 1, ("a",), 0),
    ]
    assert lake.compact(grace=0).days == 0  # nothing is new
    lake.close()
    assert [p.name for p in lake.root.rglob(".*") if not p.name.startswith((".schema-", ".lock"))] == []


def test_replaced_parts_stay_readable_for_whoever_listed_them(lake: Lake) -> None:
    lake.append([event("a")])
    lake.append([event("b")])
    with closing(lake.connect()) as con:
        lake.compact()
        assert con.execute("SELECT count(*) FROM events").fetchone() == (2,)
        assert lake.days()[0].waiting == 2
        assert lake.compact(grace=0).swept == 2
        with pytest.raises(duckdb.IOException):
            con.execute("SELECT count(*) FROM events")
    assert ids(lake) == ["a", "b"]


def test_hostile_and_foreign_names_are_no_parts(lake: Lake, tmp_path: Path) -> None:
    lake.append([event("a")])
    day = lake.root / "day=2026-01-01"
    (part,) = day.glob("part-*.parquet")
    outside = tmp_path / "outside.parquet"
    outside.write_bytes(part.read_bytes())
    (day / "part-link.parquet").symlink_to(outside)
    (day / "part-folder.parquet").mkdir()
    for name in (
        "part-;DROP.parquet",
        "part-'.parquet",
        "x.parquet",
        "merged-zzz.parquet",
        "part-[ab].parquet",
        "ids-x.txt",
    ):
        (day / name).write_bytes(part.read_bytes())
    for name in ("day=2026-13-01", "day=../..", "day=2026-01-02x", "other"):
        (lake.root / name.replace("/", "_")).mkdir()
    (lake.root / "day=2026-01-03").symlink_to(tmp_path)
    (lake.root / ".01ARZ3NDEKTSV4RRFFQ69G5FAV-1.tmp").write_text("left over")
    (lake.root / ".hidden").write_text("not ours")
    assert ids(lake) == ["a"]
    lake.compact(grace=0)
    lake.expire("2030-01-01")
    assert ids(lake) == []
    assert outside.exists()
    assert (lake.root / ".hidden").exists()
    assert not (lake.root / ".01ARZ3NDEKTSV4RRFFQ69G5FAV-1.tmp").exists()


def test_damage_is_named_refused_and_set_aside(lake: Lake) -> None:
    lake.append([event("a")])
    lake.append([event(f"b{n}") for n in range(2000)])
    day = lake.root / "day=2026-01-01"
    small, large = sorted(day.glob("part-*.parquet"), key=lambda path: path.stat().st_size)
    raw = bytearray(large.read_bytes())
    raw[300:900] = os.urandom(600)  # inside, where only reading finds it
    large.write_bytes(raw)
    (day / "part-cut.parquet").write_bytes(small.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"part-cut\.parquet.*lake status"):
        lake.count()
    (status,) = lake.days()
    assert status.damaged == ("part-cut.parquet",)
    assert set(lake.days(deep=True)[0].damaged) == {"part-cut.parquet", large.name}
    report = lake.compact(grace=0)
    assert sorted(Path(path).name for path in report.damaged) == sorted(
        ["part-cut.parquet.damaged", f"{large.name}.damaged"]
    )
    assert ids(lake) == ["a"]
    assert len(lake.days()[0].damaged) == 2
    (merged,) = day.glob("merged-*")
    merged.write_bytes(b"PAR1")
    with pytest.raises(InputError, match="merged-"):
        lake.count()
    assert [Path(path).name for path in lake.compact(grace=0).damaged] == [f"{merged.name}.damaged"]
    assert ids(lake) == []
    assert lake.erase("nobody", at=0).unread == tuple(f"{day.name}/{name}" for name in lake.days()[0].damaged)


def test_a_damaged_manifest_and_list_of_erasures_are_named(lake: Lake) -> None:
    lake.append([event("a")])
    lake.compact()
    manifest = lake.root / "day=2026-01-01" / "manifest.json"
    good = manifest.read_text()
    for bad in ("", "[]", '{"format": 9}', good.replace("merged-", "../merged-"), "[" * 100_000):
        manifest.write_text(bad)
        with pytest.raises(InputError, match="manifest"):
            lake.count()
    manifest.write_text(good)
    (lake.root / "erasures.json").write_text("{}")
    with pytest.raises(InputError, match="list of erasures"):
        lake.append([event("b")])
    assert Manifest().text().startswith('{"format":1')


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[], None]]:
    """A file system of 2 MiB where one can be mounted; else no file may grow beyond 100 kB. Gives what fills it."""
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False, capture_output=True
        ).returncode
    )
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        if not mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
            return
        with (folder / "filler").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                return

    try:
        yield fill
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        if mounted:
            subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_changes_nothing(tmp_path: Path) -> None:
    old = signal.getsignal(signal.SIGXFSZ)
    with small_disk(tmp_path / "disk") as fill, Lake(tmp_path / "disk" / "lake") as lake:
        batch = [replace(event(f"e{n}"), input_vec=os.urandom(64)) for n in range(4_000)]
        for start in range(0, 4_000, 1_000):
            lake.append(batch[start : start + 1_000])
        fill()
        works: list[Callable[[], object]] = [lambda: lake.append(batch), lambda: lake.compact(grace=0)]
        for work in (*works, lambda: lake.erase("ann", alias="x" * 40)):
            with pytest.raises(InputError, match="disk is full"):
                work()
            assert not [p for p in lake.root.iterdir() if p.name.endswith((".tmp", ".spill"))]
            assert len(ids(lake)) == 4_000
        assert [path.name for path in lake.root.glob("*/merged-*")] == []
    assert signal.getsignal(signal.SIGXFSZ) == old


def test_tables_go_in_by_day_with_an_id_and_without_every_column(lake: Lake) -> None:
    with closing(duckdb.connect()) as con:
        to_table(con, "some", [event("a"), event("b", 1), event("c", -20_455), replace(event("d"), time=10**18)])
        assert lake.append_table(con, "some", part="p") == 4
        assert lake.append_table(con, "some", part="p") == 0
        con.execute(
            "CREATE VIEW few AS SELECT 'e' AS event_id, 5 AS time, 'x' AS source, 'http' AS category, 1 AS more"
        )
        assert lake.append_table(con, "few") == 1
        with pytest.raises(InputError, match="lake failed"):
            lake.append_table(con, "absent")
    assert ids(lake) == ["a", "b", "c", "d", "e"]
    assert [day.day for day in lake.days()] == ["1969-12-31", "1970-01-01", "2026-01-01", "2026-01-02", "9999-12-31"]
    lake.compact(grace=0)
    assert ids(lake) == ["a", "b", "c", "d", "e"]


def test_a_table_of_many_days_in_no_order(lake: Lake) -> None:
    wanted = sorted(f"e{n}" for n in range(40))
    with closing(duckdb.connect()) as con:
        to_table(con, "some", [event(f"e{n}", n * 7 % 20) for n in range(40)])
        assert lake.append_table(con, "some", part="p") == 40
        assert lake.append_table(con, "some", part="p") == 0
        assert [name for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()] == ["some"]
    assert ids(lake) == wanted
    assert [day.events for day in lake.days()] == [2] * 20


def test_of_several_erasures_of_one_principal_the_latest_counts(lake: Lake) -> None:
    lake.append([event("a", principal="bob")])
    lake.erase("ann", at=FIRST + 2 * DAY)
    lake.erase("ann", at=FIRST)
    assert lake.append([event("late", 1), event("new", 2)]) == 1


def test_late_events_of_an_erased_principal_do_not_come_back(lake: Lake) -> None:
    cut = FIRST + DAY
    stale = Lake(lake.root)
    with stale:
        lake.append([event("a"), event("b", principal="bob")])
        stale.append([event("c")])
        assert lake.erase("ann", at=cut).events == 2
        assert stale.append([event("late"), event("new", 1)]) == 1
        assert stale.revise([event("late")]) == 0
    with duckdb.connect() as con:  # an older version does not know the list
        to_table(con, "old", [event("older")])
        con.table("old").write_parquet(str(lake.root / "day=2026-01-01" / "part-older.parquet"))
    assert ids(lake) == ["b", "new", "older"]
    lake.compact(grace=0)
    assert ids(lake) == ["b", "new"]
    assert "ann" not in (lake.root / "erasures.json").read_text()
