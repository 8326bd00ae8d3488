"""Parts of a day → other parts of that day, in one step for whoever reads, and in pieces for the memory."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import duckdb

from threatmatrix.model.event import Event
from threatmatrix.telemetry.columns import to_table
from threatmatrix.telemetry.lake.erased import Erasures, Name, without
from threatmatrix.telemetry.lake.layout import (
    MANIFEST,
    DayFiles,
    Manifest,
    Merged,
    absorbed,
    id_of,
    list_day,
    ulid,
)
from threatmatrix.telemetry.lake.reading import COLUMNS, SUPERSEDED, from_parquet, load_revisions
from threatmatrix.telemetry.lake.slicing import Slice, cut, groups_of, overlapping, rows_per_slice, seconds, sorted_runs
from threatmatrix.telemetry.lake.staging import Staging, place, place_text, sync_folder, unlink_all
from threatmatrix.telemetry.lake.writing import copy_out

__all__ = ["Change", "Editor", "Rewritten", "Work", "holding", "rewrite", "sweep", "working"]


class Editor(Protocol):
    """Changes events on their way. ``revised``: (before, after) of events that an earlier call had let pass."""

    revised: list[tuple[Event, Event]]

    def edit(self, con: duckdb.DuckDBPyConnection, piece: Slice, last: bool) -> None:
        """Change the table ``slice`` before it is written; ``last``: no slice comes after it."""


_SAFE = re.compile(r"(part|revision|merged|ids)-[A-Za-z0-9._-]{1,160}")


@dataclass(frozen=True, slots=True)
class Work:
    """What a rewriting operation works with: its connection is bounded, and spills into the lake's own disk."""

    root: Path
    con: duckdb.DuckDBPyConnection
    staging: Staging
    erasures: Erasures
    grace: float  # seconds that replaced parts stay, for readers that listed them just before


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to the events on the way: ``names`` are principals to leave out, ``editor`` changes each slice."""

    names: Sequence[Name] = ()
    editor: Editor | None = None


@dataclass(slots=True)
class Rewritten:
    """What became of a day."""

    parts: tuple[Merged, ...] = ()
    repeats: int = 0
    read: int = 0
    written: int = 0
    temporary: list[Path] = field(default_factory=list)


@contextmanager
def working(root: Path, *, memory_mb: int, threads: int, grace: float) -> Iterator[Work]:
    """Needs the lake's lock."""
    with Staging(root) as staging:
        spill = staging.path(".spill")
        spill.mkdir(mode=0o700)
        limits: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{memory_mb}MB",
            "threads": str(threads),
            "temp_directory": str(spill),
        }
        with closing(duckdb.connect(config=limits)) as con:
            con.execute("SET preserve_insertion_order = false")
            yield Work(root, con, staging, Erasures.load(root), grace)


def rewrite(work: Work, files: DayFiles, taken: Sequence[str], change: Change) -> Rewritten:
    """Replace the ``taken`` parts and all revisions of a day by merged parts, sorted by time, exact repeats dropped.

    Every part with an event that has a revision must be among them.
    """
    done = Rewritten()
    try:
        kept = [part for part in files.manifest.parts if part.name not in taken]
        edges = sorted(part.first for part in kept if part.first is not None)
        outputs: list[tuple[Path, Merged]] = []
        for piece in _pieces(work, files, [files.folder / name for name in taken], edges, done):
            _load(work, piece, files, change.names)
            done.read += _count(work.con)
            done.repeats += _drop_repeats(work.con)
            if change.editor is not None:
                change.editor.edit(work.con, piece.slice, piece.last)
            outputs += _write_slice(work, done)
        if change.editor is not None and change.editor.revised:
            outputs = list(_amended(work, outputs, change.editor.revised, done))
        done.parts = _commit(work, files, {*taken, *files.revisions}, kept, outputs)
    finally:
        unlink_all(done.temporary)
    return done


class Piece(NamedTuple):
    """One slice, the files that have its events, and whether it is the last one."""

    slice: Slice
    files: list[Path]
    last: bool


def _pieces(work: Work, files: DayFiles, paths: list[Path], edges: Sequence[int], done: Rewritten) -> Iterator[Piece]:
    times = [from_parquet(work.root, paths)] if paths else []
    if files.revisions:
        load_revisions(work.con, work.root, [files])
        times.append(f"SELECT {COLUMNS} FROM _revisions")  # noqa: S608 - our own names
    if not times:
        return
    groups = groups_of(work.con, paths)
    most = rows_per_slice(groups)
    slices = list(cut(seconds(work.con, " UNION ALL ".join(times)), most, edges))
    groups, runs = sorted_runs(work.con, work.staging, groups, slices, most)
    done.temporary += runs
    for number, piece in enumerate(slices, 1):
        yield Piece(piece, overlapping(groups, piece), number == len(slices))


def _load(work: Work, piece: Piece, files: DayFiles, names: Sequence[Name]) -> None:
    """The table ``slice``."""
    superseded = f"NOT EXISTS ({SUPERSEDED})" if files.revisions else ""
    queries = [from_parquet(work.root, piece.files, where=superseded)] if piece.files else []
    if files.revisions:
        queries.append(f"SELECT {COLUMNS} FROM _revisions WHERE _newest")  # noqa: S608 - our own names
    events = f"SELECT * FROM ({' UNION ALL '.join(queries)}) WHERE {piece.slice.condition}"  # noqa: S608
    work.con.execute(f"CREATE OR REPLACE TEMP TABLE slice AS {without(names, events)}")


def _count(con: duckdb.DuckDBPyConnection) -> int:
    row = con.execute("SELECT count(*) FROM slice").fetchone()
    return int(row[0]) if row else 0


def _drop_repeats(con: duckdb.DuckDBPyConnection) -> int:
    """Of events that agree in every field one stays; returns how many went. They have one time: one slice has them."""
    found = con.execute(
        "CREATE OR REPLACE TEMP TABLE twice AS SELECT event_id FROM slice GROUP BY event_id HAVING count(*) > 1"
    ).fetchone()
    if not found or not found[0]:
        return 0
    before = _count(con)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE once AS "
        "SELECT DISTINCT * FROM slice WHERE event_id IN (SELECT event_id FROM twice)"
    )
    con.execute("DELETE FROM slice WHERE event_id IN (SELECT event_id FROM twice)")
    con.execute("INSERT INTO slice SELECT * FROM once")
    con.execute("DROP TABLE once")
    return before - _count(con)


def _write_slice(work: Work, done: Rewritten) -> list[tuple[Path, Merged]]:
    target = work.staging.path()
    done.temporary.append(target)
    rows = copy_out(work.con, "SELECT * FROM slice ORDER BY time, event_id", target)
    if not rows:
        return []
    done.written += rows
    about = "min(time), max(time), count(*) = count(time), list_sort(list_distinct(list(source)))"
    first, last, timed, sources = work.con.execute(f"SELECT {about} FROM slice").fetchall()[0]  # noqa: S608
    if not timed:
        first = last = None
    merged = Merged(f"merged-{ulid()}.parquet", rows, target.stat().st_size, first, last, tuple(sources or ()))
    return [(target, merged)]


_Key = tuple[str, int, str]


def _amended(
    work: Work, outputs: Sequence[tuple[Path, Merged]], revised: Sequence[tuple[Event, Event]], done: Rewritten
) -> Iterator[tuple[Path, Merged]]:
    """The parts, not yet in place, with the newest versions of events that were revised after they were written."""
    newest: dict[_Key, Event] = {}
    written: dict[_Key, _Key] = {}  # of a version that was revised in turn → of the one in the part
    for before, after in revised:
        first = written.pop(_key(before), _key(before))
        newest[first] = after
        written[_key(after)] = first
    ids = list({key[0] for key in newest})
    for output in outputs:
        rows = from_parquet(work.root, [output[0]], where="list_contains($1, e.event_id)")
        there = work.con.execute(f"SELECT event_id, time, source FROM ({rows})", [ids]).fetchall()  # noqa: S608
        stale = [key for key in there if key in newest]
        if not stale:
            yield output
            continue
        work.con.execute(f"CREATE OR REPLACE TEMP TABLE slice AS {from_parquet(work.root, [output[0]])}")
        work.con.executemany("DELETE FROM slice WHERE event_id = ? AND time = ? AND source = ?", stale)
        to_table(work.con, "slice", [newest[key] for key in stale])
        done.written -= output[1].events
        yield from _write_slice(work, done)


def _key(event: Event) -> _Key:
    return event.event_id, event.time, event.source


def _commit(
    work: Work, files: DayFiles, gone: set[str], kept: Sequence[Merged], outputs: Sequence[tuple[Path, Merged]]
) -> tuple[Merged, ...]:
    """The new parts count, and the old ones no longer, with the rename of the manifest."""
    old, placed = files.manifest, [files.folder / merged.name for _, merged in outputs]
    ids_name = old.ids
    try:
        for (temporary, _), target in zip(outputs, placed, strict=True):
            place(temporary, target)
        held = absorbed(files.folder, old) or frozenset()
        if new := {id_of(name) for name in gone} - held - {""}:
            ids_name = f"ids-{ulid()}.txt"
            placed.append(files.folder / ids_name)
            place_text(work.staging, placed[-1], "\n".join(sorted(held | new)) + "\n")
        parts = tuple(
            sorted((*kept, *(merged for _, merged in outputs)), key=lambda part: (part.first or 0, part.name))
        )
        gone |= {old.ids} - {ids_name, ""}
        manifest = Manifest(
            parts, old.retired | gone, ids_name, len(work.erasures.entries), written=time.time_ns() // 1000
        )
        place_text(work.staging, files.folder / MANIFEST, manifest.text())
    except BaseException:
        now = list_day(files.day, files.folder)
        if now is None or now.manifest == old:
            unlink_all(placed)
        raise
    return parts


def sweep(work: Work, day: str, folder: Path) -> int:
    """Remove what no longer counts, and what a compaction that was killed left; returns how many files that were."""
    files = list_day(day, folder)
    if files is None:
        return 0
    gone = [name for name in files.other if _SAFE.fullmatch(name)]
    age = time.time_ns() / 1000 - files.manifest.written
    if not 0 <= age < work.grace * 1_000_000:
        gone += [name for name in sorted(files.manifest.retired) if _SAFE.fullmatch(name) and (folder / name).exists()]
    unlink_all([folder / name for name in gone])
    if files.manifest.retired and not any((folder / name).exists() for name in files.manifest.retired):
        sync_folder(folder)
        old = files.manifest
        manifest = Manifest(old.parts, frozenset(), old.ids, old.erasures, old.written)
        place_text(work.staging, folder / MANIFEST, manifest.text())
    return len(gone)


def holding(work: Work, paths: Sequence[Path], condition: str) -> list[str]:
    """The names of the parts that have an event of which the condition (over ``e``) is true."""
    if not paths:
        return []
    rows = from_parquet(work.root, paths, "filename AS _file", condition)
    found = work.con.execute(f"SELECT DISTINCT _file FROM ({rows})").fetchall()  # noqa: S608
    return [Path(name).name for (name,) in found]
