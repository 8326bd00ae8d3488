"""What a watch does for the lake while nothing comes."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from threatmatrix.model.errors import InputError
from threatmatrix.telemetry.lake import Lake
from threatmatrix.workflows.watch.config import OnEvent, Said

__all__ = ["Chores"]

_EVERY = 3600.0  # seconds


class Chores:
    """Removes the days that are older than ``days``; not more often than once an hour. None: nothing is removed."""

    def __init__(self, lake: Lake, days: int | None, say: OnEvent) -> None:
        self._lake, self._days, self._say = lake, days, say
        self._next = time.monotonic()

    def __call__(self) -> None:
        """Never raises: somebody else may be at work on the lake, and there is a next hour."""
        if self._days is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY
        oldest = (datetime.now(UTC) - timedelta(days=self._days)).date().isoformat()
        try:
            report = self._lake.expire(oldest)
        except InputError as error:
            self._say(Said(f"old events were not removed: {error.message}"))
            return
        if report.days:
            self._say(Said(f"{report.events:,} events of {len(report.days)} days before {oldest} left the lake"))
