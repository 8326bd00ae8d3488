"""How much event time has passed: what forgetting goes by, and what one false time cannot move."""

from __future__ import annotations

from typing import Any

__all__ = ["CONFIRMATIONS", "Clock"]

CONFIRMATIONS = 8
"""Events in a row that must lie far ahead before a leap of the clock is believed."""


class Clock:
    """Elapsed event time (µs), told by the events themselves; it never runs back.

    An event that is more than ``leap`` µs ahead of all before it is either the first after a pause or has a false
    time. A pause shows in the events that follow, so the clock waits for :data:`CONFIRMATIONS` of them in a row, and
    then counts the pause as one ``leap``. A single event dated far ahead moves nothing; one dated back never does.
    """

    __slots__ = ("_ahead", "_earliest", "_leap", "_newest", "elapsed")

    def __init__(self, leap: int) -> None:
        self._leap = leap
        self._newest: int | None = None  # greatest time that is believed
        self._ahead = 0  # events in a row beyond the leap
        self._earliest = 0  # the earliest of them
        self.elapsed = 0

    def tick(self, time: int) -> int:
        """Take one event's time; the stamp of what is kept of it: it outlives ``leap`` µs from here on."""
        if self._newest is None:
            self._newest = time
        ahead = time - self._newest
        if ahead > self._leap:
            self._earliest = min(self._earliest, time) if self._ahead else time
            self._ahead += 1
            if self._ahead < CONFIRMATIONS:
                return self.elapsed + self._leap  # as it will stand if the leap is true: not older than that
            self._newest, self._ahead = self._earliest, 0
            self.elapsed += self._leap
            return self.elapsed
        self._ahead = 0
        if ahead > 0:
            self._newest = time
            self.elapsed += ahead
        return self.elapsed

    def pass_by(self, latest: int) -> bool:
        """Take several events at once, of which ``latest`` is the newest time, where that comes to the same.

        False, and nothing is taken, where one of them may leap: then each is to be told by :meth:`tick`.
        """
        if self._newest is None or latest - self._newest > self._leap:
            return False
        self._ahead = 0
        if latest > self._newest:
            self.elapsed += latest - self._newest
            self._newest = latest
        return True

    @property
    def newest(self) -> int | None:
        """The greatest time (µs) that is believed; None before the first event."""
        return self._newest

    def snapshot(self) -> dict[str, Any]:
        """Everything but the leap, as JSON types."""
        return {
            "elapsed": self.elapsed,
            "newest": self._newest,
            "ahead": self._ahead,
            "earliest": self._earliest,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`snapshot`."""
        self.elapsed, self._newest = int(state["elapsed"]), state["newest"]
        self._ahead, self._earliest = int(state["ahead"]), int(state["earliest"])
