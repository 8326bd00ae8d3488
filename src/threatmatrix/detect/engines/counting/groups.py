"""The hot rows of a correlation: what an event that is still to come may need, group by group, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from threatmatrix.detect.engines.counting.evidence import Evidence, Row
from threatmatrix.detect.engines.counting.occurrences import Key, Occurrence

__all__ = ["MAX_HOT", "Episode", "Group", "HotRows", "Keeper", "Key", "Step"]

MAX_HOT = 100_000  # rows of one rule; beyond that the group that was still longest is let go
LEAST_CAP = 1024  # rows of one group that are always kept, however small its count
_LOOSE_ENDS = 64  # rows gone from a group before its list of arrivals is shortened


class Step(NamedTuple):
    """One step of a chain: which rule of the correlation, and the event."""

    slot: int
    row: Row


@dataclass(slots=True, eq=False)
class Episode:
    """One run of firing events. ``started``: the oldest event of its first window; ``fired`` … ``last``: the run."""

    finding_id: str
    started: int
    fired: int
    last: int
    touched: int  # stamp of its last growth
    opened: Row
    alarm: Row
    evidence: Evidence
    figure: float = 0.0  # the largest of its firings
    steps: tuple[Step, ...] = ()  # of the first firing
    merged_into: str = ""


@dataclass(slots=True, eq=False)
class Group:
    """Occurrences that are counted together."""

    key: Key
    touched: int = 0  # stamp of the last arrival
    rows: list[Occurrence] = field(default_factory=list)  # hot, in order
    loose: list[Occurrence] = field(default_factory=list)  # those of them that belong to no episode yet
    episodes: list[Episode] = field(default_factory=list)  # in order, more than a timespan apart
    arrived: list[tuple[int, Occurrence]] = field(default_factory=list)  # (stamp, row), after ``gone`` others
    gone: int = 0
    state: Any = None  # what the judge has worked out of ``rows``; None: to be worked out anew

    def add(self, one: Occurrence, stamp: int, *, again: bool = False) -> int:
        """Take an occurrence in; the place that it has among the rows. ``again``: its event is evidence already."""
        self.touched = stamp
        self.arrived.append((stamp, one))
        if not again and (not self.rows or self.rows[-1] < one):  # what is loose is among the rows
            self.rows.append(one)
            self.loose.append(one)
            return len(self.rows) - 1
        for rows in (self.rows,) if again else (self.rows, self.loose):
            if not rows or rows[-1] < one:
                rows.append(one)
            else:
                insort(rows, one)
        return len(self.rows) - 1 if self.rows[-1] is one else self.place_of(one)

    def place_of(self, one: Occurrence) -> int:
        """Where it stands among the rows, or would stand."""
        return bisect_left(self.rows, one)

    def first_at(self, time: int) -> int:
        """The place of the first row at ``time`` or later."""
        return bisect_left(self.rows, ((time,),))

    def slots_of(self, row: Row) -> int:
        """The rules that the same event matched; 0 where it is not among the rows."""
        slots, place = 0, bisect_left(self.rows, (row,))
        while place < len(self.rows) and self.rows[place].row == row:
            slots |= self.rows[place].slots
            place += 1
        return slots

    def holds(self, one: Occurrence) -> bool:
        """Whether it is still hot."""
        place = self.place_of(one)
        return place < len(self.rows) and self.rows[place].serial == one.serial

    def drop_oldest(self) -> Occurrence:
        """Let the row go that arrived first."""
        _, one = self.arrived[self.gone]
        self.gone += 1
        for rows in (self.rows, self.loose):
            place = bisect_left(rows, one)
            if place < len(rows) and rows[place].serial == one.serial:
                del rows[place]
        if self.gone > _LOOSE_ENDS and 2 * self.gone > len(self.arrived):
            del self.arrived[: self.gone]
            self.gone = 0
        return one

    def keep(self, serials: Collection[int]) -> None:
        """Let every other row go."""
        self.arrived = [(stamp, one) for stamp, one in self.arrived[self.gone :] if one.serial in serials]
        self.gone = 0
        self.rows = [one for one in self.rows if one.serial in serials]
        self.loose = [one for one in self.loose if one.serial in serials]
        self.state = None


class Keeper(Protocol):
    """What the hot rows ask of a judge."""

    cap: int
    """Rows of one group that it needs, as far as memory goes."""

    def drop(self, group: Group, one: Occurrence) -> None:
        """It is no longer among the rows of ``group``."""

    def needed(self, group: Group) -> set[int] | None:
        """Serials of the rows that decide about events to come in order; None: all of them."""


class HotRows:
    """The groups of one correlation, the one that was still longest first.

    ``keep`` (µs) is how long a row stays, by the clock of :class:`~threatmatrix.detect.clock.Clock`. A group keeps at
    most the judge's cap: of a crowded group first what cannot decide any more goes, then the oldest, before a quiet
    group loses any. ``let_go`` is told of each group that is dropped.
    """

    def __init__(self, keep: int, judge: Keeper, let_go: Callable[[Group], None]) -> None:
        self._keep = keep
        self._judge = judge
        self._cap = max(judge.cap, LEAST_CAP)
        self._let_go = let_go
        self.groups: OrderedDict[Key, Group] = OrderedDict()
        self.count = 0

    def add(self, key: Key, one: Occurrence, stamp: int, elapsed: int, *, again: bool = False) -> tuple[Group, int]:
        """Take an occurrence in: its group, and its place there."""
        horizon = elapsed - self._keep
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(key)
        else:
            self.groups.move_to_end(key)
            while group.rows and group.arrived[group.gone][0] <= horizon:
                self._drop_oldest(group)
        place = group.add(one, stamp, again=again)
        self.count += 1
        if len(group.rows) > self._cap:
            self._thin(group, one)
            place = group.place_of(one)
        if self.count > MAX_HOT or next(iter(self.groups.values())).touched <= horizon:
            self._forget(horizon)
        return group, place

    def _drop_oldest(self, group: Group) -> None:
        self._judge.drop(group, group.drop_oldest())
        self.count -= 1

    def _thin(self, group: Group, newest: Occurrence) -> None:
        """Make room: a quarter at once where finding out what is needed costs a walk over the rows."""
        needed = self._judge.needed(group)
        if needed is None:
            self._drop_oldest(group)
            return
        before = len(group.rows)
        group.keep({*needed, newest.serial})
        self.count -= before - len(group.rows)
        while 4 * len(group.rows) > 3 * self._cap:
            self._drop_oldest(group)

    def _forget(self, horizon: int) -> None:
        while len(self.groups) > 1:  # the last is the one just added to
            first = next(iter(self.groups.values()))
            if first.touched > horizon and self.count <= MAX_HOT:
                return
            del self.groups[first.key]
            self.count -= len(first.rows)
            self._let_go(first)
