"""Up to which time of the events everything is there, as far as anybody can know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from threatmatrix.model.event import Event

__all__ = ["AHEAD", "Watermark"]

AHEAD = 300_000_000
"""µs that an event may lie ahead of the clock and still be believed."""


class Watermark:
    """Greatest event time − ``lateness`` (µs); goes on with the clock while nothing comes. Never moves back.

    Told by batches alone, so the same batches give the same watermarks. An event more than ``AHEAD`` ahead of its
    batch's arrival is counted in ``ahead`` and moves nothing; one older than the watermark is counted in ``late``. Both
    are judged like any other.
    """

    def __init__(self, lateness: int) -> None:
        self.lateness = lateness
        self.value: int | None = None
        self.late = self.ahead = 0
        self._newest: int | None = None
        self._quiet = 0  # µs since the newest event came

    def take(self, events: Sequence[Event], arrived: int, elapsed: int) -> int | None:
        """The watermark after a batch; None as long as no event was believed."""
        limit = arrived + AHEAD
        before, newest = self.value, self._newest
        for event in events:
            if event.time > limit:
                self.ahead += 1
                continue
            if before is not None and event.time < before:
                self.late += 1
            if newest is None or event.time > newest:
                newest = event.time
        if newest is None:
            return None
        self._quiet = 0 if newest != self._newest else self._quiet + elapsed
        self._newest = newest
        value = newest + self._quiet - self.lateness
        self.value = value if before is None else max(before, value)
        return self.value

    @property
    def quiet(self) -> int:
        """µs that the watermark went on by the clock alone."""
        return self._quiet

    @property
    def newest(self) -> int | None:
        """µs, of the newest event that was believed."""
        return self._newest

    def snapshot(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "newest": self._newest,
            "quiet": self._quiet,
            "late": self.late,
            "ahead": self.ahead,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.value, self._newest, self._quiet = state["value"], state["newest"], state["quiet"]
        self.late, self.ahead = state["late"], state["ahead"]
