"""The hot rows of sliding counts: what an event that is still to come may need, group by group, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from threatmatrix.detect.engines.evidence import Evidence, Row

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_HOT", "Episode", "Group", "HotRows", "Key"]

MAX_HOT = 100_000  # rows of one rule; beyond that the group that was still longest is let go
LEAST_CAP = 1024  # rows of one group that are always kept, however small its count
_LOOSE_ENDS = 64  # rows gone from a group before its list of arrivals is shortened

Key = tuple[Any, ...]


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
    merged_into: str = ""


@dataclass(slots=True, eq=False)
class Group:
    """Events that are counted together."""

    key: Key
    touched: int = 0  # stamp of the last arrival
    rows: list[Row] = field(default_factory=list)  # hot, in order
    loose: list[Row] = field(default_factory=list)  # those of them that belong to no episode yet
    episodes: list[Episode] = field(default_factory=list)  # in order, more than a timespan apart
    arrived: list[tuple[int, Row]] = field(default_factory=list)  # (stamp, row) of the hot rows, after ``gone`` others
    gone: int = 0

    def add(self, row: Row, stamp: int) -> int:
        """Take a row in; the place that it has among the rows."""
        self.touched = stamp
        self.arrived.append((stamp, row))
        for rows in (self.rows, self.loose):
            if not rows or rows[-1] <= row:
                rows.append(row)
            else:
                insort(rows, row)
        return len(self.rows) - 1 if self.rows[-1] is row else bisect_left(self.rows, row)

    def drop_oldest(self) -> None:
        """Let the row go that arrived first."""
        _, row = self.arrived[self.gone]
        self.gone += 1
        for rows in (self.rows, self.loose):
            place = bisect_left(rows, row)
            if place < len(rows) and rows[place] == row:
                del rows[place]
        if self.gone > _LOOSE_ENDS and 2 * self.gone > len(self.arrived):
            del self.arrived[: self.gone]
            self.gone = 0

    def expire(self, horizon: int) -> int:
        """Drop the rows with stamps up to ``horizon``, from the first to arrive on; how many."""
        before = len(self.rows)
        while self.rows and self.arrived[self.gone][0] <= horizon:
            self.drop_oldest()
        return before - len(self.rows)


class HotRows:
    """The groups of one count, the one that was still longest first.

    ``keep`` (µs) is how long a row stays, by the clock of :class:`~threatmatrix.detect.clock.Clock`; ``cap`` how many
    rows a group keeps at most: the oldest of a crowded group go before a quiet group loses any. ``let_go`` is told of
    each group that is dropped.
    """

    def __init__(self, keep: int, minimum: int, let_go: Callable[[Group], None]) -> None:
        self._keep = keep
        self._cap = max(4 * minimum, LEAST_CAP)
        self._let_go = let_go
        self.groups: OrderedDict[Key, Group] = OrderedDict()
        self.count = 0

    def add(self, key: Key, row: Row, stamp: int, elapsed: int) -> tuple[Group, int]:
        """Take a row in: its group, and its place there."""
        horizon = elapsed - self._keep
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(key)
        else:
            self.groups.move_to_end(key)
            self.count -= group.expire(horizon)
        place = group.add(row, stamp)
        self.count += 1
        if len(group.rows) > self._cap:
            group.drop_oldest()
            self.count -= 1
            place = bisect_left(group.rows, row)
        for stale in self._stale(horizon):
            del self.groups[stale.key]
            self.count -= len(stale.rows)
            self._let_go(stale)
        return group, place

    def _stale(self, horizon: int) -> Iterator[Group]:
        while len(self.groups) > 1:  # the last is the one just added to
            first = next(iter(self.groups.values()))
            if first.touched > horizon and self.count <= MAX_HOT:
                return
            yield first
