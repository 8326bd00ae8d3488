"""A window that slides with every occurrence: what all kinds but the plain count have in common.

Cost of an occurrence that comes in order: its place among the rows, what it adds, and what falls out; it does not grow
with the window. A late one walks over the rows within one timespan on either side of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from threatmatrix.detect.engines.counting.evidence import Row
from threatmatrix.detect.engines.counting.groups import Episode, Group, Step
from threatmatrix.detect.engines.counting.occurrences import Occurrence
from threatmatrix.detect.engines.judging.aggregates import Aggregate
from threatmatrix.detect.engines.judging.judges import Firing, slots_of

__all__ = ["Sliding", "Together", "Verdict", "first_of_each"]

A = TypeVar("A", bound=Aggregate)


class Verdict(NamedTuple):
    """What a window says where it fires; without ``started`` that is the oldest occurrence in it."""

    figure: float
    started: int | None = None
    chain: object = None


@dataclass(slots=True)
class _Window(Generic[A]):
    """What lies in [at - timespan, at]; ``begin`` is no later than the oldest of it."""

    at: int
    begin: int
    aggregate: A


class Sliding(Generic[A]):
    """Fires where ``ask`` has a verdict on the window.

    ``newest_of`` gives what of a row is superseded by a newer row with the same (the value that is counted, the rule
    that matched); without it every row counts. A group of fewer than ``least`` rows never fires: its window is not
    looked at before.
    """

    def __init__(
        self,
        timespan: int,
        cap: int,
        aggregate: Callable[[], A],
        ask: Callable[[A, int], Verdict | None],
        newest_of: Callable[[Occurrence], Sequence[object]] | None = None,
        *,
        least: int = 0,
    ) -> None:
        self._timespan = timespan
        self.cap = cap
        self._aggregate = aggregate
        self._ask = ask
        self._newest_of = newest_of
        self._least = least

    def firings(self, group: Group, place: int) -> Iterable[Firing]:
        if len(group.rows) < self._least:
            group.state = None
            return ()
        return self._fired(group, place)

    def _fired(self, group: Group, place: int) -> Iterator[Firing]:
        rows = group.rows
        time = rows[place].row.time
        window = self._arrived(group, place)
        for later in range(place, len(rows)):
            moment = rows[later].row.time
            if moment > time + self._timespan:
                return
            if moment > window.at:
                self._move(group, window, later)
            verdict = self._ask(window.aggregate, moment - self._timespan)
            if verdict is not None:
                started = verdict.started
                if started is None:
                    started = rows[group.first_at(moment - self._timespan)].row.time
                yield Firing(started, rows[later], verdict.figure, verdict.chain)

    def steps(self, group: Group, firing: Firing) -> tuple[Step, ...]:
        return ()

    def alarm(self, group: Group, episode: Episode) -> Row | None:
        return None  # the first firing says it

    def drop(self, group: Group, one: Occurrence) -> None:
        window: _Window[A] | None = group.state
        if window is not None and window.at - self._timespan <= one.row.time <= window.at:
            window.aggregate.remove(one)

    def needed(self, group: Group) -> set[int] | None:
        if self._newest_of is None:
            return None
        known: set[object] = set()
        serials = set()
        for _, one in reversed(group.arrived[group.gone :]):  # not by time: one that is far ahead replaces nothing
            what = self._newest_of(one)
            if not known.issuperset(what):
                known.update(what)
                serials.add(one.serial)
        return serials

    def _arrived(self, group: Group, place: int) -> _Window[A]:
        """The window that ends with the row at ``place``, which has just come."""
        one = group.rows[place]
        window: _Window[A] | None = group.state
        if window is None or one.row.time < window.at:
            window = group.state = self._anew(group, one.row.time)
        elif one.row.time == window.at:
            window.aggregate.add(one)
        else:
            self._move(group, window, place)
        return window

    def _move(self, group: Group, window: _Window[A], place: int) -> None:
        """Let it slide on to the row at ``place``."""
        rows = group.rows
        time = rows[place].row.time
        begin = place
        if place and rows[place - 1].row.time > window.at:
            begin = group.first_at(window.at + 1)
        for at in range(begin, len(rows)):
            if rows[at].row.time > time:
                break
            window.aggregate.add(rows[at])
        window.at = time
        since = time - self._timespan
        if window.begin >= since:
            return
        at = group.first_at(window.begin)
        while rows[at].row.time < since:
            window.aggregate.remove(rows[at])
            at += 1
        window.begin = rows[at].row.time

    def _anew(self, group: Group, time: int) -> _Window[A]:
        since = time - self._timespan
        window = _Window(time, since, self._aggregate())
        for at in range(group.first_at(since), len(group.rows)):
            if group.rows[at].row.time > time:
                break
            window.aggregate.add(group.rows[at])
        return window


class Together(Sliding[A]):
    """Rules that occur in any order: its findings tell the steps."""

    def steps(self, group: Group, firing: Firing) -> tuple[Step, ...]:
        time = firing.at.row.time
        return first_of_each(group, time - self._timespan, time)


def first_of_each(group: Group, since: int, until: int, slots: int = -1) -> tuple[Step, ...]:
    """Of each rule (in ``slots``) its first occurrence between two times, both included."""
    steps: list[Step] = []
    known = ~slots
    for place in range(group.first_at(since), len(group.rows)):
        one = group.rows[place]
        if one.row.time > until:
            break
        steps += [Step(slot, one.row) for slot in slots_of(one.slots & ~known)]
        known |= one.slots
    return tuple(steps)
