"""A plain "at least N events": the occurrence N - 1 before is at most a timespan older.

Cost of an occurrence: a place in the group's sorted rows, and one look back; for a late one N looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from threatmatrix.detect.engines.counting.evidence import Row
from threatmatrix.detect.engines.counting.groups import Episode, Group, Step
from threatmatrix.detect.engines.counting.occurrences import Occurrence
from threatmatrix.detect.engines.judging.judges import Firing

__all__ = ["AtLeast"]


class AtLeast:
    """event_count with one bound, ``gte`` or ``gt``."""

    def __init__(self, minimum: int, timespan: int, cap: int) -> None:
        self._minimum = minimum
        self._timespan = timespan
        self.cap = cap

    def firings(self, group: Group, place: int) -> Iterable[Firing]:
        return () if len(group.rows) < self._minimum else self._fired(group, place)

    def _fired(self, group: Group, place: int) -> Iterator[Firing]:
        rows, back, timespan = group.rows, self._minimum - 1, self._timespan
        time = rows[place].row.time
        for at in range(max(place, back), min(place + back + 1, len(rows))):
            fired = rows[at]
            if fired.row.time - time > timespan:
                return
            started = rows[at - back].row.time
            if fired.row.time - started <= timespan:
                yield Firing(started, fired, self._minimum)

    def steps(self, group: Group, firing: Firing) -> tuple[Step, ...]:
        return ()

    def alarm(self, group: Group, episode: Episode) -> Row | None:
        first = group.first_at(episode.started)
        window = group.rows[first : first + self._minimum]
        if len(window) == self._minimum and window[0].row.time == episode.started:
            return window[-1].row
        return None  # no longer hot, and settled

    def drop(self, group: Group, one: Occurrence) -> None:
        pass

    def needed(self, group: Group) -> set[int] | None:
        return None
