"""The lake of an installation: what is in it, compaction, retention, and the erasure of one principal everywhere."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from threatmatrix.model.errors import InputError
from threatmatrix.telemetry.lake import CompactReport, DayStatus, ExpireReport
from threatmatrix.workflows.erasure import ErasureReport, Left, erase
from threatmatrix.workflows.home import Home

__all__ = [
    "ErasureReport",
    "LakeStatus",
    "Left",
    "compact_lake",
    "erase",
    "expire_lake",
    "lake_status",
]


@dataclass(frozen=True, slots=True)
class LakeStatus:
    """What the lake holds; ``days`` oldest first."""

    path: str
    days: tuple[DayStatus, ...]

    @property
    def events(self) -> int:
        return sum(day.events for day in self.days)

    @property
    def bytes(self) -> int:
        return sum(day.bytes for day in self.days)

    @property
    def damaged(self) -> tuple[str, ...]:
        """Files that cannot be read, with their folders: their events are missing from everything."""
        return tuple(f"day={day.day}/{name}" for day in self.days for name in day.damaged)

    @property
    def to_compact(self) -> tuple[str, ...]:
        """Days with more than one part that no compaction has seen."""
        return tuple(day.day for day in self.days if day.fresh > 1)


def lake_status(home: Home, *, deep: bool = False) -> LakeStatus:
    """``deep`` reads every value to find damage inside files. Raises InputError where the lake cannot be listed."""
    with closing(home.open_lake()) as lake:
        return LakeStatus(str(home.lake), tuple(lake.days(deep=deep)))


def compact_lake(
    home: Home,
    days: Collection[str] | None = None,
    *,
    join: bool = True,
    on_day: Callable[[str, int], None] | None = None,
) -> CompactReport:
    """Compact the days (YYYY-MM-DD; None: all that have something new). ``on_day(day, events)`` after each.

    Raises InputError for what is no day, where another process is at it, and where disk or file fail.
    """
    for day in days or ():
        _checked(day)
    with closing(home.open_lake()) as lake:
        return lake.compact(days, join=join, on_day=on_day)


def expire_lake(
    home: Home, *, before: str | None = None, keep_days: int | None = None, today: str | None = None
) -> ExpireReport:
    """Remove the days before ``before`` (YYYY-MM-DD), or all but today and the ``keep_days`` days before it (UTC).

    Raises InputError where neither or both are given, or one is no day or number of days.
    """
    if (before is None) == (keep_days is None):
        raise InputError("lake", "what is to go was not said", hint="Give a first day to keep, or a number of days")
    if keep_days is not None:
        if not 0 <= keep_days <= 3_650_000 // 10:
            raise InputError("lake", "the number of days is out of range", hint="Give 0 to 365000 days")
        now = datetime.now(UTC).date() if today is None else datetime.fromisoformat(_checked(today)).date()
        before = (now - timedelta(days=keep_days)).isoformat()
    with closing(home.open_lake()) as lake:
        return lake.expire(_checked(str(before)))


def _checked(day: str) -> str:
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        raise InputError("lake", "that is no day", hint="Write days as YYYY-MM-DD") from None
