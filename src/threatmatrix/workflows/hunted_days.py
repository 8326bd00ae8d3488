"""The lake's days for a hunt, one at a time: what a compaction moves meanwhile is listed anew, damage is set aside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TypeVar

import duckdb

from threatmatrix.telemetry.lake.layout import DAY, DayFiles, days_in, list_day
from threatmatrix.telemetry.lake.reading import make_view, parquet
from threatmatrix.telemetry.lake.staging import failed, failures
from threatmatrix.telemetry.lake.status import damaged_in, without_parts

__all__ = ["SOURCE", "HuntedDays", "Portion"]

SOURCE = "hunted"
"""The relation that a portion's events are read from."""

_HOURS = 24
_HOUR = DAY // _HOURS
_LARGE = 1_000_000  # events: a portion of about so many is hunted at a time
_TRIES = 5
_EPOCH = date(1970, 1, 1).toordinal()

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Portion:
    """Whole hours of one day; ``loose``: exact repeats may lie in it, because a compaction has not seen it all."""

    day: str
    low: int  # µs
    high: int  # µs, not included
    loose: bool


@dataclass(slots=True)
class HuntedDays:
    """The days between ``low`` and ``high`` (µs, None: no bound). ``damaged`` collects what cannot be read."""

    root: Path
    connection: duckdb.DuckDBPyConnection
    low: int | None
    high: int | None
    damaged: set[str] = field(default_factory=set)  # day=…/name
    _checked: set[Path] = field(default_factory=set)
    _bad: set[Path] = field(default_factory=set)

    def names(self) -> list[str]:
        """The days, oldest first."""
        return [day for day, _ in days_in(self.root) if self._bounds(day) is not None]

    def portions(self, day: str) -> Iterator[Portion]:
        """A day cut at full hours, so that memory does not grow with the events of a day."""
        bounds, files = self._bounds(day), self._listed(day)
        if bounds is None or files is None:
            return
        pieces = min(_HOURS, 1 + self._events(files) // _LARGE)
        step = -(-_HOURS // pieces) * _HOUR
        start = _number(day) * DAY
        loose = len(files.fresh) + len(files.revisions) > 0
        for at in range(start, start + DAY, step):
            low, high = max(at, bounds[0]), min(at + step, start + DAY, bounds[1])
            if low < high:
                yield Portion(day, low, high, loose)

    def read(self, portion: Portion, work: Callable[[], _T]) -> _T:
        """What ``work`` makes of SOURCE; again where files were moved or turn out to be damaged meanwhile.

        Raises InputError where the lake fails otherwise.
        """
        for _ in range(_TRIES - 1):
            try:
                self._show(portion)
                return work()
            except (duckdb.Error, OSError) as error:
                if not self._explained(portion.day):
                    raise failed(self.root, error) from error
        with failures(self.root):
            self._show(portion)
            return work()

    def _show(self, portion: Portion) -> None:
        found = [files for day in self._around(portion) if (files := self._listed(day)) is not None]
        self.connection.execute("DROP VIEW IF EXISTS events")
        make_view(self.connection, self.root, found)
        within = f"time >= {portion.low} AND time < {portion.high}"
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {SOURCE} AS SELECT * FROM events WHERE {within}")  # noqa: S608

    def _around(self, portion: Portion) -> Iterator[str]:
        """The day, and a neighbour that has events of it: within an hour of midnight a revision may lie there."""
        number = _number(portion.day)
        for day, folder in days_in(self.root):
            distance = abs(_number(day) - number)
            if distance == 0 or (distance == 1 and _strays(list_day(day, folder), _number(day) * DAY)):
                yield day

    def _listed(self, day: str) -> DayFiles | None:
        """The day's files that count and can be opened."""
        files = list_day(day, self.root / f"day={day}")
        if files is None:
            return None
        new = [path for path in (*files.base, *files.newer) if path not in self._checked]
        self._set_aside(day, damaged_in(self.connection, new))
        self.damaged.update(f"day={day}/{path.name}" for path in files.folder.glob("*.damaged"))
        self._checked.update(new)
        return without_parts(files, {path.name for path in self._bad if path.parent == files.folder})

    def _set_aside(self, day: str, bad: list[Path]) -> None:
        self._bad.update(bad)
        self.damaged.update(f"day={day}/{path.name}" for path in bad)

    def _explained(self, day: str) -> bool:
        """Whether a file is gone, or damaged inside, so that trying again helps."""
        files = list_day(day, self.root / f"day={day}")
        if files is None:
            return True
        paths = {path for path in (*files.base, *files.newer) if path not in self._bad}
        gone = not paths <= self._checked
        bad = damaged_in(self.connection, sorted(paths), deep=True)
        self._set_aside(day, bad)
        return bool(bad) or gone

    def _bounds(self, day: str) -> tuple[int, int] | None:
        start = _number(day) * DAY
        low = start if self.low is None else max(start, self.low)
        high = start + DAY if self.high is None else min(start + DAY, self.high)
        return (low, high) if low < high else None

    def _events(self, files: DayFiles) -> int:
        if not files.base:
            return 0
        row = self.connection.execute(f"SELECT count(*) FROM {parquet(files.base)}").fetchone()  # noqa: S608 - quoted
        return int(row[0]) if row else 0


def _number(day: str) -> int:
    """Days since 1970-01-01."""
    return date.fromisoformat(day).toordinal() - _EPOCH


def _strays(files: DayFiles | None, start: int) -> bool:
    """Whether the day whose first moment is ``start`` may have events of another."""
    if files is None or files.revisions:
        return files is not None
    return any(
        part.first is None or part.last is None or part.first < start or part.last >= start + DAY
        for part in files.manifest.parts
    )
