"""What a lake holds, day by day, damage included."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from threatmatrix.telemetry.lake.layout import DayFiles, days_in, list_day
from threatmatrix.telemetry.lake.reading import make_view, parquet

__all__ = ["DayStatus", "damaged_in", "statuses", "without_parts"]

_MAGIC = b"PAR1"
_SMALLEST = 12


@dataclass(frozen=True, slots=True)
class DayStatus:
    """One day of a lake. ``events`` are those that can be read."""

    day: str  # YYYY-MM-DD
    parts: int  # files that count, revisions included
    events: int
    bytes: int
    sources: tuple[str, ...]
    fresh: int  # of the parts, those that no compaction has seen
    waiting: int  # replaced files that a later compaction removes
    damaged: tuple[str, ...]  # names: parts that cannot be opened, and those that a compaction set aside


def statuses(root: Path, *, deep: bool = False) -> list[DayStatus]:
    """Every day that has files; ``deep`` reads every value of them to find damage inside.

    Raises InputError for a damaged manifest, never for a damaged part.
    """
    with closing(duckdb.connect()) as con:
        found = [
            _status(con, root, files, deep=deep) for day, folder in days_in(root) if (files := list_day(day, folder))
        ]
    return [status for status in found if status.parts or status.damaged]


def _status(con: duckdb.DuckDBPyConnection, root: Path, files: DayFiles, *, deep: bool) -> DayStatus:
    bad = damaged_in(con, [*files.base, *files.newer], deep=deep)
    sound = without_parts(files, {path.name for path in bad})
    aside = sorted(path.name for path in files.folder.glob("*.damaged"))
    paths = [*sound.base, *sound.newer]
    events, sources = 0, set[str]()
    for part in () if sound.revisions else sound.manifest.parts:
        events += part.events
        sources.update(part.sources)
    if sound.revisions or sound.fresh:
        rest = sound if sound.revisions else replace(sound, manifest=replace(sound.manifest, parts=()))
        con.execute("DROP VIEW IF EXISTS events")
        make_view(con, root, [rest])
        for source, count in con.execute("SELECT source, count(*) FROM events GROUP BY source").fetchall():
            events += count
            sources.add(str(source))
    return DayStatus(
        files.day,
        len(paths),
        events,
        sum(path.stat().st_size for path in paths if path.exists()),
        tuple(sorted(sources)),
        len(sound.fresh),
        sum((files.folder / name).exists() for name in files.manifest.retired) + len(files.other),
        (*(path.name for path in bad), *aside),
    )


def without_parts(files: DayFiles, names: set[str]) -> DayFiles:
    """The day without some of its parts."""
    manifest = replace(files.manifest, parts=tuple(part for part in files.manifest.parts if part.name not in names))
    fresh = tuple(name for name in files.fresh if name not in names)
    revisions = tuple(name for name in files.revisions if name not in names)
    return replace(files, manifest=manifest, fresh=fresh, revisions=revisions)


def damaged_in(con: duckdb.DuckDBPyConnection, paths: Sequence[Path], *, deep: bool = False) -> list[Path]:
    """Those of the parts that are no whole Parquet files; ``deep`` reads every value, not just the ends and footers."""
    found = [path for path in paths if not _has_ends(path)]
    rest = [path for path in paths if path not in set(found)]
    if rest and (deep or not _readable(con, rest, deep=False)):
        found += [path for path in rest if not _readable(con, [path], deep=deep)]
    return found


def _has_ends(path: Path) -> bool:
    """Whether the file begins and ends as Parquet does. One that vanished was compacted away, not damaged."""
    try:
        with path.open("rb") as file:
            head, size = file.read(4), file.seek(0, 2)
            if size < _SMALLEST or head != _MAGIC:
                return False
            file.seek(-8, 2)
            tail = file.read(8)
    except FileNotFoundError:
        return True
    return tail[4:] == _MAGIC and int.from_bytes(tail[:4], "little") <= size - _SMALLEST


def _readable(con: duckdb.DuckDBPyConnection, paths: Sequence[Path], *, deep: bool) -> bool:
    query = f"SELECT count(*) FROM {parquet(paths)}"  # noqa: S608 - paths quoted
    if deep:
        query = f"SELECT bit_xor(hash(t)) FROM (SELECT * FROM {parquet(paths)}) AS t"  # noqa: S608
    try:
        con.execute(query).fetchall()
    except duckdb.Error:
        return not all(path.exists() for path in paths)
    return True
