"""Events on their way into the lake: a Parquet file for every batch would be thousands of tiny ones."""

from __future__ import annotations

from collections.abc import Sequence

from threatmatrix.model.event import Event
from threatmatrix.telemetry.lake import Lake
from threatmatrix.workflows.watch.judging import Judged

__all__ = ["Gathered"]

MOST = 50_000  # events
LONGEST = 30_000_000  # µs


class Gathered:
    """Gathers batches and writes them as one part, whose id says which: written again, it is the same part.

    When it is due follows from the batches alone, never from the moment at which a process stood there.
    """

    def __init__(self, lake: Lake | None, name: str = "", *, most: int = MOST, longest: int = LONGEST) -> None:
        """``name``: of the watch, and of its journal; "": parts get ids of their own, for who does not write again.

        ``lake`` None: nothing is kept.
        """
        self._lake, self._name = lake, name
        self._most, self._longest = most, longest
        self.events: list[Event] = []
        self._revised: dict[str, Event] = {}
        self._waited = 0
        self._first = self._last = 0

    @property
    def empty(self) -> bool:
        return not self.events and not self._revised

    @property
    def due(self) -> bool:
        return len(self.events) >= self._most or (not self.empty and self._waited >= self._longest)

    def add(self, judged: Judged, number: int = 0, elapsed: int = 0) -> None:
        if not self.empty:
            self._waited += elapsed
        elif judged.events or judged.revised:
            self._first, self._waited = number, 0
        self.events.extend(judged.events)
        self._revise([after for _, after in judged.revised])
        self._last = number

    def _revise(self, revised: Sequence[Event]) -> None:
        """What still lies here is replaced here; the rest is told to the lake."""
        if not revised:
            return
        newest = {event.event_id: event for event in revised}
        for index, event in enumerate(self.events):
            if event.event_id in newest:
                self.events[index] = newest.pop(event.event_id)
        self._revised.update(newest)

    def flush(self) -> int:
        """Write what is here; returns how many events. Raises InputError, and then everything is still here."""
        written = 0
        if self._lake is not None and not self.empty:
            part = f"watch-{self._name}-{self._first}-{self._last}" if self._name else ""
            if self.events:
                written = self._lake.append(self.events, part=part)
            if self._revised:
                self._lake.revise(list(self._revised.values()), part=part and f"{part}-revised")
        self.events, self._revised, self._waited = [], {}, 0
        return written
