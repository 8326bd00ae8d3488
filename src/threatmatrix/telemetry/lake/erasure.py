"""One principal leaves the lake: their events, and their name in events of others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from threatmatrix.telemetry.lake.compaction import holding_revised
from threatmatrix.telemetry.lake.erased import FILE, Name, mentions, theirs
from threatmatrix.telemetry.lake.layout import DayFiles, days_in, list_day
from threatmatrix.telemetry.lake.reading import make_view
from threatmatrix.telemetry.lake.rewriting import Change, Work, holding, rewrite, sweep
from threatmatrix.telemetry.lake.staging import place_text

__all__ = ["EraseReport", "erase"]


@dataclass(frozen=True, slots=True)
class EraseReport:
    """What an erasure took out of the lake."""

    days: tuple[str, ...]  # rewritten
    events: int  # theirs: removed
    renamed: int  # of others, that named them: the name is replaced
    parts: int  # rewritten or removed
    unread: tuple[str, ...]  # damaged files, set aside earlier: nobody can tell whether they hold the name


def erase(
    work: Work, principal: str, alias: str | None, at: int | None, on_day: Callable[[str, int], None] | None = None
) -> EraseReport:
    """Take a principal out of every day. Needs the lake's lock.

    The name goes onto the lake's list first: writers that come later drop its events of before ``at`` (µs, default:
    now), and a compaction ends what was cut off.
    """
    before = time.time_ns() // 1000 if at is None else at
    work = replace(work, erasures=work.erasures.plus(Name(principal, before, alias)), grace=0)
    place_text(work.staging, work.root / FILE, work.erasures.text())
    everything = Name(principal, None, alias)
    days, events, renamed, parts, unread = [], 0, 0, 0, []
    for day, folder in days_in(work.root):
        files = list_day(day, folder)
        if files is None:
            continue
        sweep(work, day, folder)
        unread += [f"{folder.name}/{path.name}" for path in sorted(folder.glob("*.damaged"))]
        taken = _named(work, files, everything)
        if taken is None:
            continue
        theirs_here, named_here = _counts(work, files, everything)
        rewrite(work, files, taken, Change([everything]))
        sweep(work, day, folder)
        events, renamed, parts = events + theirs_here, renamed + named_here, parts + len(taken) + len(files.revisions)
        days.append(day)
        if on_day is not None:
            on_day(day, theirs_here)
    return EraseReport(tuple(days), events, renamed, parts, tuple(unread))


def _named(work: Work, files: DayFiles, name: Name) -> list[str] | None:
    """The parts to rewrite; None where nothing of the day names the principal."""
    taken = set(holding(work, files.base, mentions(name)))
    if not taken and not holding(work, files.newer, mentions(name)):
        return None
    if files.revisions:  # rewriting folds them in
        taken |= set(holding_revised(work, files, files.base))
    return sorted(taken)


def _counts(work: Work, files: DayFiles, name: Name) -> tuple[int, int]:
    """(events of the principal, events of others that name them)."""
    work.con.execute("DROP VIEW IF EXISTS events")
    make_view(work.con, work.root, [files])
    query = f"SELECT count(*) FILTER ({theirs(name)}), count(*) FILTER ({mentions(name)}) FROM events"  # noqa: S608
    own, all_of_them = work.con.execute(query).fetchall()[0]
    return int(own), int(all_of_them - own)
