"""Many small parts → a few: sorted by time, exact repeats gone, revisions folded in, records of one request joined."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from threatmatrix.telemetry.lake.erased import Name, names_in
from threatmatrix.telemetry.lake.joined import REACH, SetJoiner
from threatmatrix.telemetry.lake.layout import MANIFEST, DayFiles, days_in, list_day
from threatmatrix.telemetry.lake.reading import from_parquet, load_revisions
from threatmatrix.telemetry.lake.rewriting import Change, Rewritten, Work, holding, rewrite, sweep
from threatmatrix.telemetry.lake.slicing import seconds
from threatmatrix.telemetry.lake.staging import place_text
from threatmatrix.telemetry.lake.status import damaged_in, without_parts

__all__ = ["CompactReport", "compact", "holding_revised"]

_SMALL = 125_000  # events: a merged part with fewer is merged again with what comes after it
_SECOND = 1_000_000
_ID_PASS = 2_000_000  # ids compared at a time when clashes are counted


@dataclass(slots=True)
class CompactReport:
    """What a compaction did. ``events`` counts those in the days that it rewrote, afterwards."""

    days: int = 0
    parts_before: int = 0
    parts_after: int = 0
    events: int = 0
    repeats: int = 0  # exact repeats that went
    clashes: int = 0  # events that share their id with another one of that day that differs; all are kept
    revisions: int = 0  # parts with revisions that were folded in
    joined: int = 0  # records that went into the event of another record
    forgotten_early: int = 0  # records that, for want of memory, were not held against all that lay near them
    swept: int = 0  # left-over and replaced files that were removed
    damaged: list[str] = field(default_factory=list)  # paths of what was set aside, under their new names


def compact(
    work: Work,
    days: Collection[str] | None,
    *,
    join: bool = False,
    on_day: Callable[[str, int], None] | None = None,
) -> CompactReport:
    """Compact the days (None: all); days in which nothing is new cost a listing. Needs the lake's lock.

    ``on_day(day, events)`` is told of every day that was rewritten.
    """
    report = CompactReport()
    for day, folder in days_in(work.root):
        if days is not None and day not in days:
            continue
        report.damaged += _set_aside(work, day, folder)
        try:
            done = _compact_day(work, day, folder, report, join=join)
        except duckdb.Error:
            damaged = _set_aside(work, day, folder, deep=True)
            if not damaged:
                raise  # the disk, or the memory
            report.damaged += damaged
            done = _compact_day(work, day, folder, report, join=join)
        if done is not None and on_day is not None:
            on_day(day, done.written)
        report.swept += sweep(work, day, folder)
    return report


def _compact_day(work: Work, day: str, folder: Path, report: CompactReport, *, join: bool) -> Rewritten | None:
    files = list_day(day, folder)
    names = _erased_in(work, files) if files else []
    if files is None or not (files.fresh or files.revisions or names):
        return None
    taken = _taken(work, files, REACH if join else 0, everything=bool(names))
    joiner = SetJoiner(work.con, from_parquet(work.root, [*files.base, *files.newer])) if join else None
    done = rewrite(work, files, taken, Change(names, joiner))
    if joiner is not None:
        report.joined += joiner.records
        report.repeats += joiner.repeats
        report.forgotten_early += joiner.forgotten_early
    report.days += 1
    report.parts_before += len(files.manifest.parts) + len(files.fresh) + len(files.revisions)
    report.parts_after += len(done.parts)
    report.events += sum(part.events for part in done.parts)
    report.repeats += done.repeats
    report.revisions += len(files.revisions)
    report.clashes += _clashes(work, files.folder, [part.name for part in done.parts])
    return done


def _taken(work: Work, files: DayFiles, window: int, *, everything: bool) -> list[str]:
    """The fresh parts, and of the merged ones those that a new event, a revision or a neighbour reaches into."""
    parts = files.manifest.parts
    if everything:
        return [*(part.name for part in parts), *files.fresh]
    taken = {part.name for part in parts if part.events < _SMALL or part.first is None or part.last is None}
    if files.fresh and parts:
        new = [files.folder / name for name in files.fresh]
        times = [at for at, _ in seconds(work.con, from_parquet(work.root, new)) if at is not None]
        taken |= {
            part.name
            for part in parts
            if part.first is not None and part.last is not None and _any_between(times, part.first, part.last, window)
        }
    if files.revisions and parts:
        taken |= set(holding_revised(work, files, [files.folder / part.name for part in parts]))
    return [*sorted(taken), *files.fresh]


def holding_revised(work: Work, files: DayFiles, paths: Sequence[Path]) -> list[str]:
    """Those of the parts with an event that has a revision."""
    load_revisions(work.con, work.root, [files])
    return holding(work, paths, "e.event_id IN (SELECT event_id FROM _revisions)")


def _any_between(times: Sequence[int], first: int, last: int, window: int) -> bool:
    at = bisect_left(times, (first - window) // _SECOND)
    return at < len(times) and times[at] <= (last + window) // _SECOND


def _erased_in(work: Work, files: DayFiles) -> list[Name]:
    """Erased principals that the day still has: of events that came late, or of an erasure that was cut off."""
    if not work.erasures.entries:
        return []
    paths = files.base if files.manifest.erasures < len(work.erasures.entries) else []
    paths = paths or [files.folder / name for name in files.fresh]
    paths += files.newer
    return work.erasures.among(names_in(work.con, from_parquet(work.root, paths))) if paths else []


def _clashes(work: Work, folder: Path, names: Sequence[str]) -> int:
    """Events − distinct ids, over a day whose exact repeats are gone; so many ids at a time that memory stays small."""
    if not names:
        return 0
    rows = from_parquet(work.root, [folder / name for name in names])
    count = work.con.execute(f"SELECT count(*) FROM ({rows})").fetchall()[0][0]  # noqa: S608
    passes = count // _ID_PASS + 1
    number = "count(*) - count(DISTINCT hash(event_id))"
    return sum(
        int(work.con.execute(f"SELECT {number} FROM ({rows}) WHERE hash(event_id) % {passes} = {at}").fetchall()[0][0])  # noqa: S608
        for at in range(passes)
    )


def _set_aside(work: Work, day: str, folder: Path, *, deep: bool = False) -> list[str]:
    """Parts that cannot be read get a name that readers ignore: the rest of the day can be read again."""
    files = list_day(day, folder)
    bad = damaged_in(work.con, [*files.base, *files.newer], deep=deep) if files else []
    if files and any(path.name in {part.name for part in files.manifest.parts} for path in bad):
        rest = without_parts(files, {path.name for path in bad}).manifest
        place_text(work.staging, folder / MANIFEST, rest.text())
    return [str(path.rename(path.with_name(f"{path.name}.damaged"))) for path in bad]
