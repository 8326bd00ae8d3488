"""Joining a stream: records wait for their partners; one that comes too late revises what was given out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from types import MappingProxyType
from typing import Any

from threatmatrix.model.event import Event
from threatmatrix.telemetry.joining.board import MOST_BY_REF, Board
from threatmatrix.telemetry.joining.facts import role_of, worth_joining
from threatmatrix.telemetry.joining.groups import Found, Given, Releases
from threatmatrix.telemetry.joining.state import dump, load
from threatmatrix.telemetry.joining.unit import Unit, can_join, key_of

__all__ = ["HOLD", "REMEMBER", "WINDOW", "Joined", "Joiner"]

WINDOW = 60_000_000  # µs between two records of one request, clock skew and all
HOLD = 10_000_000
REMEMBER = 300_000_000
AHEAD = 600_000_000  # µs before the watermark; what is further ahead comes after a pause, or has a false time
_NEVER = 2**63 - 1
_FORMAT = 1
_OTHER_HALF = {"ask": "answer", "answer": "ask"}
_NOBODY: frozenset[str] = frozenset()


@dataclass(slots=True)
class Joined:
    """What comes out: new events, and revisions (before, after) of events that came out earlier, with the same id.

    ``duplicates`` were dropped: a record with all fields equal was there. ``clashes`` came with a request id that
    another record of their source has, too; they come out as events of their own.
    """

    events: list[Event] = field(default_factory=list)
    revised: list[tuple[Event, Event]] = field(default_factory=list)
    duplicates: int = 0
    clashes: int = 0


class Joiner:
    """Joins records as they come; docs/joining.md has the rules.

    A record is held until a record of every source that its system expects is there (``sources``: system → sources,
    None for events of no known system), or until the watermark passes its time + ``hold``. What comes after that is
    joined all the same for as long as the other is remembered (``remember``), as a revision. Where the sources of a
    system leave one record of a request, records pass at once, untouched. Times in µs of event time; no clock is read.

    Memory is bounded by ``most`` records: beyond, those furthest ahead of the watermark are given out early and
    forgotten early, as far as they are more than ``AHEAD``, then the oldest (:meth:`stats`): a source with a clock that
    is hours ahead must not push out all others.
    """

    def __init__(
        self,
        *,
        window: int = WINDOW,
        hold: int = HOLD,
        remember: int = REMEMBER,
        sources: Mapping[str | None, frozenset[str]] = MappingProxyType({}),
        most: int = 100_000,
    ) -> None:
        self._window, self._hold, self._remember, self._most = window, hold, remember, most
        self._sources = {system: names for system, names in sources.items() if worth_joining(names)}
        self._begin()

    def _begin(self) -> None:
        self._board = Board(self._window)
        self._releases = Releases(self._board)
        self._waiting: list[tuple[int, int, Unit]] = []  # by when to give out at the latest
        self._aging: list[tuple[int, int, Unit]] = []  # by time
        self._far: list[tuple[int, int, Unit]] = []  # by time, the latest first: what came far ahead
        self._watermark = 0
        self._forgotten = 0  # time of the youngest record that was forgotten before it was due
        self._barred = _NEVER  # time of the earliest that was forgotten because it was far ahead
        self._seq = 0
        self._records = 0
        self._stats = dict.fromkeys(("duplicates", "too_late", "too_early", "forgotten_early"), 0)

    def add(self, events: Sequence[Event]) -> Joined:
        """Take records in; what is complete, or too late to wait, comes out."""
        if not self._sources:
            return Joined(events=list(events))
        given, before = Given(), self._counts()
        fresh: dict[Unit, None] = {}
        for event in events:
            if event.system not in self._sources or not can_join(event):
                given.events.append(event)
            elif event.time < self._too_late:
                self._stats["too_late"] += 1
                given.events.append(event)
            elif event.time >= self._barred and event.time > self._watermark + AHEAD:
                self._stats["too_early"] += 1
                given.events.append(event)
            else:
                self._take(event, fresh)
        self._settle(fresh, given)
        self._shrink(given)
        return self._joined(given, before)

    def advance(self, watermark: int) -> Joined:
        """No record before ``watermark`` (µs) is expected any more, but for late ones. It never goes back."""
        given, before = Given(), self._counts()
        self._watermark = max(self._watermark, watermark)
        self._give_due(self._watermark, given)
        if self._far and -self._far[0][0] <= self._watermark + AHEAD:
            self._far.clear()
        # A late record sees everything within reach of it, and that sees everything within reach of itself.
        floor = self._watermark - self._remember - 2 * self._board.reach
        while self._aging and self._aging[0][0] < floor:
            self._forget(heappop(self._aging)[2])
        return self._joined(given, before)

    def flush(self) -> Joined:
        """Give out everything that is held. What comes later revises it all the same."""
        given, before = Given(), self._counts()
        self._give_due(None, given)
        return self._joined(given, before)

    def stats(self) -> dict[str, int]:
        """Counts since the start, and how many records are held and remembered now.

        ``too_late``: came after what they might have belonged to was forgotten. ``too_early``: the same of what is far
        ahead. ``forgotten_early``: for want of room.
        ``kept_apart``: events that turned out to be one request after both had been given out.
        """
        held = self._seq - self._releases.released
        counts = {**self._stats, "clashes": self._board.clashes}
        return {**counts, "kept_apart": self._releases.kept_apart, "held": held, "records": self._records}

    def snapshot(self) -> dict[str, Any]:
        """All that it knows, as JSON types and bytes: :meth:`restore` goes on from it exactly."""
        return {
            "format": _FORMAT,
            "watermark": self._watermark,
            "forgotten": self._forgotten,
            "barred": self._barred,
            "seq": self._seq,
            "stats": dict(self._stats),
            "kept_apart": self._releases.kept_apart,
            **dump(self._board),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`snapshot` was taken; the settings are this joiner's own. Raises ValueError."""
        if state.get("format") != _FORMAT:
            raise ValueError("a joiner's snapshot of another version")
        self._begin()
        self._watermark, self._forgotten, self._seq = state["watermark"], state["forgotten"], state["seq"]
        self._barred = state["barred"]
        self._stats.update(state["stats"])
        self._releases.kept_apart = state["kept_apart"]
        load(state, self._board, self._releases.names)
        for unit in self._board:
            self._records += unit.size
            self._aging.append((unit.time, unit.seq, unit))
            if unit.time > self._watermark + AHEAD:
                self._far.append((-unit.time, unit.seq, unit))
            if unit.group is None:
                self._waiting.append((unit.time + self._hold, unit.seq, unit))
        self._releases.released = self._seq - len(self._waiting)
        for heap in (self._aging, self._far, self._waiting):
            heapify(heap)

    @property
    def _too_late(self) -> int:
        return max(self._watermark - self._remember, self._forgotten)

    def _take(self, event: Event, fresh: dict[Unit, None]) -> None:
        role = role_of(event)
        key = key_of(event, role)
        unit = self._board.get(key)
        if unit is None:
            self._seq += 1
            unit = Unit(event, role, key, self._window, self._seq)
            self._board.add(unit)
            heappush(self._waiting, (unit.time + self._hold, unit.seq, unit))
            heappush(self._aging, (unit.time, unit.seq, unit))
            if unit.time > self._watermark + AHEAD:
                heappush(self._far, (-unit.time, unit.seq, unit))
        elif not self._board.extend(unit, event):
            self._stats["duplicates"] += 1
            return
        self._records += 1
        fresh[unit] = None

    def _settle(self, fresh: Iterable[Unit], given: Given) -> None:
        """Give out what the new records complete or change, or what is overdue."""
        touched: dict[Unit, None] = {}
        known: dict[Unit, Found] = {}
        for unit in fresh:
            doubtful = self._board.in_doubt(unit)
            if doubtful:
                touched.update(dict.fromkeys(sorted(doubtful, key=lambda other: other.seq)))
            if unit.group is not None or unit.time + self._hold <= self._watermark or self._complete(unit, known):
                touched[unit] = None
        if touched:
            self._releases.settle(touched, given, known)

    def _complete(self, unit: Unit, known: dict[Unit, Found]) -> bool:
        if unit in known:
            return True
        expected = self._sources.get(unit.head.system, _NOBODY)
        if not len(expected) <= self._board.sharing_ref(unit) <= MOST_BY_REF:
            return False
        members, strong = self._board.group_of(unit)
        if any(member.group is not None for member in members):
            return True
        if not strong or not all(member.full for member in members):
            return False
        heard = {source for member in members for source in member.sources}
        roles = {(member.source, member.role) for member in members}
        both = all((source, _OTHER_HALF[role]) in roles for source, role in roles if role in _OTHER_HALF)
        if not both or not expected <= heard:
            return False
        known.update(dict.fromkeys(members, (members, True)))
        return True

    def _give_due(self, watermark: int | None, given: Given) -> None:
        due: dict[Unit, None] = {}
        while self._waiting and (watermark is None or self._waiting[0][0] <= watermark):
            _, _, unit = heappop(self._waiting)
            if unit.group is None and self._board.get(unit.key) is unit:
                due[unit] = None
        for unit in due:
            if unit.group is None:
                self._releases.settle((unit,), given)

    def _shrink(self, given: Given) -> None:
        while self._records > self._most and (unit := self._least_wanted()) is not None:
            if unit.group is None:
                self._releases.settle((unit,), given)
            self._stats["forgotten_early"] += 1
            self._forget(unit)
        for heap in (self._aging, self._far, self._waiting):
            if len(heap) > 2 * self._most:  # what was forgotten must not stay there while the watermark stands still
                heap[:] = [entry for entry in heap if self._board.get(entry[2].key) is entry[2]]
                heapify(heap)

    def _least_wanted(self) -> Unit | None:
        while self._far and self._watermark:
            time, _, unit = heappop(self._far)
            if -time > self._watermark + AHEAD and self._board.get(unit.key) is unit:
                self._barred = min(self._barred, -time)
                return unit
        while self._aging:
            time, _, unit = heappop(self._aging)
            if self._board.get(unit.key) is unit:
                self._forgotten = max(self._forgotten, time)
                return unit
        return None

    def _forget(self, unit: Unit) -> None:
        group = unit.group
        if group is None or self._board.get(unit.key) is not unit:
            return
        self._records -= sum(member.size for member in group.units)
        self._releases.forget(group)

    def _joined(self, given: Given, before: tuple[int, int]) -> Joined:
        given.events.sort(key=_order)
        given.revised.sort(key=lambda pair: _order(pair[1]))
        duplicates, clashes = self._counts()
        return Joined(given.events, given.revised, duplicates - before[0], clashes - before[1])

    def _counts(self) -> tuple[int, int]:
        return self._stats["duplicates"], self._board.clashes


def _order(event: Event) -> tuple[int, str]:
    return event.time, event.event_id
