"""The growing findings of one correlation: events in, findings out, and firings for the correlations above it.

A rule that waits (``not``) judges an occurrence at time t when the clock of *all* events, matched or not, has gone on
by more than its timespan and the allowance for late events since the occurrence came. What is still waiting stays in
the snapshot; where the events end, :meth:`CorrelationFindings.finish` judges the windows that have passed, and those
that have not are never judged. An event that comes later than allowed does not take a finding back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from threatmatrix.detect.engines.counting.chains import Plan
from threatmatrix.detect.engines.counting.episode_state import keep_correlation, kept_correlation
from threatmatrix.detect.engines.counting.episodes import Episodes
from threatmatrix.detect.engines.counting.evidence import Row, Rows
from threatmatrix.detect.engines.counting.groups import Group
from threatmatrix.detect.engines.counting.identity import identity
from threatmatrix.detect.engines.counting.occurrences import Key, Occurrence, Part, Reader
from threatmatrix.detect.engines.counting.telling import finding_of
from threatmatrix.detect.engines.judging.absences import Absences
from threatmatrix.detect.sigma.rules import TEMPORAL, VALUED
from threatmatrix.detect.state import State
from threatmatrix.model.detection import Finding
from threatmatrix.model.event import Event

__all__ = ["CorrelationFindings", "Passed"]

_STALE = 1000  # of those that wait, how many more than there are hot rows before the gone ones are cleared away


class Passed(NamedTuple):
    """A firing, for the correlations above: it happened when the event at ``position`` arrived."""

    position: int
    row: Row
    group: Key
    first: bool  # of its episode


class CorrelationFindings:
    """One correlation, of any kind."""

    def __init__(self, plan: Plan) -> None:
        rule = self._rule = plan.rule
        self._plan = plan
        self._waits = rule.waits
        self.identity = identity(rule.meta.detector, rule, *plan.beneath)
        self._reader = Reader(rule, plan.below)
        self._episodes = Episodes(plan)
        self._absences = self._episodes.judge if isinstance(self._episodes.judge, Absences) else None
        self._by_rule = rule.kind in TEMPORAL  # a second rule that matches the same event is news
        self._waiting: list[tuple[int, int, Key, Occurrence]] = []  # heap of (due, serial, group, occurrence)
        self.passed: list[Passed] = []  # by the last feed

    @property
    def detector(self) -> str:
        return self._rule.meta.detector

    @property
    def rules(self) -> tuple[str, ...]:
        return self._rule.rules

    @property
    def key(self) -> str:
        return self._rule.meta.key

    @property
    def used(self) -> bool:
        """Whether other correlations are built on it."""
        return self._plan.used

    @property
    def silent(self) -> bool:
        """Whether its findings are not told; its firings are."""
        return self._rule.silent

    @property
    def rows(self) -> int:
        """Hot rows held."""
        return self._episodes.hot.count

    @property
    def _groups(self) -> Mapping[Key, Group]:
        return self._episodes.hot.groups

    @property
    def _open(self) -> Mapping[str, object]:
        return self._episodes.open

    def new_slots(self, before: Event, counted: int, slots: int) -> tuple[int, bool]:
        """Of a revised event: the rules in ``slots`` that are news, and whether the event is counted already.

        ``counted``: the rules that matched the event as it was, ``before``.
        """
        parts = self._reader.event(before, counted)
        if not parts:
            return slots, False
        if self._by_rule:
            return slots & ~counted, True
        blank = self._rule.kind in VALUED and not any(part.values for part in parts)
        return (slots, True) if blank else (0, True)

    def feed(
        self,
        events: Sequence[Event],
        matched: Mapping[int, int],
        *,
        again: Collection[int] = (),
        below: Sequence[tuple[int, Passed]] = (),
        rows: Rows | None = None,
    ) -> list[Finding]:
        """Count events in their order; the findings that are new or have grown.

        ``matched``: position → the rules that matched, one bit each; ``again``: those of the positions whose events
        are counted already; ``below``: (slot, firing) of the correlations in ``rules``, in order of position;
        ``rows``: those of ``events``, where other correlations read them too.
        """
        self.passed = []
        if not (matched or below or self._waits):
            return []
        firings = self._by_position(below)
        rows = Rows(events) if rows is None else rows
        if not (firings or self._waits):
            read, take = self._reader.event, self._take
            for position in sorted(matched):
                for part in read(events[position], matched[position]):
                    take(part, rows[position], None, position, again=position in again)
            return self._told()
        stamp, before = None, 0
        for position in sorted({*matched, *firings}):
            if self._waits:
                stamp, before = self._go_by(events, before, position + 1), position + 1
            slots, fired = matched.get(position, 0), firings.get(position, ())
            self._count(position, events[position], rows[position], slots, fired, again=position in again, stamp=stamp)
        if self._waits:
            self._go_by(events, before, len(events))
        return self._told()

    def finish(self, below: Sequence[tuple[int, Passed]] = ()) -> list[Finding]:
        """No more events: judge every window that has passed, without waiting for late events any more."""
        self.passed = []
        for firing in [one for firings in self._by_position(below).values() for one in firings]:
            self._take_firing(*firing, None, 0)
        newest = self._episodes.clock.newest
        kept = []
        for entry in sorted(self._waiting):
            if newest is not None and entry[3].row.time + self._rule.timespan < newest:
                self._judge(entry, 0)
            else:
                kept.append(entry)
        self._waiting = kept
        return self._told()

    def snapshot(self) -> State:
        """The clock, the hot rows, what waits, and the episodes that may still grow. Only between two feeds."""
        return keep_correlation(self._episodes, self._waiting)

    def restore(self, state: State) -> None:
        """Go on from :meth:`snapshot`."""
        self._waiting = kept_correlation(self._episodes, state)
        heapify(self._waiting)
        self.passed = []

    def _by_position(self, below: Sequence[tuple[int, Passed]]) -> dict[int, list[tuple[int, Passed]]]:
        found: dict[int, list[tuple[int, Passed]]] = {}
        for slot, passed in below:
            if self._by_rule or passed.first:
                found.setdefault(passed.position, []).append((slot, passed))
        return found

    def _count(
        self,
        position: int,
        event: Event,
        row: Row,
        slots: int,
        firings: Sequence[tuple[int, Passed]],
        *,
        again: bool,
        stamp: int | None,
    ) -> None:
        parts = self._reader.event(event, slots) if slots else []
        older = []
        for slot, passed in firings:
            part = self._reader.firing(passed.group, slot)
            if passed.row != row:
                older.append((slot, passed))
            elif part is not None:
                parts = _with(parts, part)
        for part in parts:
            self._take(part, row, stamp, position, again=again)
        for slot, passed in older:
            self._take_firing(slot, passed, stamp, position)

    def _take_firing(self, slot: int, passed: Passed, stamp: int | None, position: int) -> None:
        """Count the firing of an event that came earlier, unless it is counted already."""
        part = self._reader.firing(passed.group, slot)
        if part is None:
            return
        known = self._episodes.slots_of(part.key, passed.row)
        if not known:
            self._take(part, passed.row, stamp, position)
        elif self._by_rule and part.slots & ~known:
            self._take(part, passed.row, stamp, position, again=True)

    def _take(self, part: Part, row: Row, stamp: int | None, position: int, *, again: bool = False) -> None:
        episodes = self._episodes
        if stamp is None:
            stamp = episodes.clock.elapsed if self._waits else episodes.clock.tick(row.time)
        group, one = episodes.take(part, row, stamp, again=again)
        if self._absences is not None and part.slots & self._absences.asks_for:
            heappush(self._waiting, (stamp + self._plan.wait, one.serial, group.key, one))
            if len(self._waiting) > 2 * episodes.hot.count + _STALE:
                self._waiting = [entry for entry in self._waiting if self._is_hot(entry)]
                heapify(self._waiting)
        if episodes.fired:
            self._pass_on(position)

    def _go_by(self, events: Sequence[Event], begin: int, end: int) -> int:
        """Move the clock by the events from ``begin`` to ``end``, and judge what is due meanwhile; the last stamp."""
        clock = self._episodes.clock
        if end - begin > 1:
            latest = max(event.time for event in events[begin:end])
            elapsed = clock.elapsed + max(0, latest - (latest if clock.newest is None else clock.newest))
            if not (self._waiting and self._waiting[0][0] < elapsed) and clock.pass_by(latest):
                return clock.elapsed
        stamp = clock.elapsed
        for position in range(begin, end):
            stamp = clock.tick(events[position].time)
            self._judge_due(position)
        return stamp

    def _judge_due(self, position: int) -> None:
        while self._waiting and self._waiting[0][0] < self._episodes.clock.elapsed:
            self._judge(heappop(self._waiting), position)

    def _judge(self, entry: tuple[int, int, Key, Occurrence], position: int) -> None:
        if self._absences is not None and self._is_hot(entry):
            group = self._groups[entry[2]]
            firing = self._absences.judged(group, entry[3])
            if firing is not None:
                self._episodes.fire(group, firing)
                self._pass_on(position)

    def _is_hot(self, entry: tuple[int, int, Key, Occurrence]) -> bool:
        group = self._groups.get(entry[2])
        return group is not None and group.holds(entry[3])

    def _pass_on(self, position: int) -> None:
        if self._plan.used:
            self.passed += [Passed(position, one.row, group.key, first) for group, one, first in self._episodes.fired]
        self._episodes.fired.clear()

    def _told(self) -> list[Finding]:
        grown, self._episodes.grown = self._episodes.grown, {}
        if self.silent:
            return []
        return [finding_of(self._plan, group, episode) for group, episode in grown.values()]


def _with(parts: Sequence[Part], part: Part) -> list[Part]:
    """The parts of one event, and one more of it."""
    if not any(known.key == part.key for known in parts):
        return [*parts, part]
    return [known.with_(part) if known.key == part.key else known for known in parts]
