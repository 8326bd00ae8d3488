"""The records in sight, by what they may have in common, and which of them are one request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter

from threatmatrix.model.event import Event
from threatmatrix.telemetry.joining.buckets import Bucket, drop, few_in, first_two, near_in, outermost, put
from threatmatrix.telemetry.joining.facts import may_be_one, may_be_one_by_trace, may_be_one_by_who
from threatmatrix.telemetry.joining.unit import Key, Unit

__all__ = ["MOST_BY_REF", "Board"]

_SEQ = attrgetter("seq")
MOST_BY_REF = 16  # records of one request id within reach; more, and the id tells nothing
_MOST_BY_TRACE = 32
_MOST_IN_GROUP = 16


class Board:
    """Two records are one request where each is the other's only candidate.

    A record's candidates are those that share its request id (or its trace, or its principal), lie near in time and
    contradict it in nothing; where any two of them could not both belong to it, it has none. So another record can
    part what was joined and never unite what was apart, and the outcome is a function of the set of records, whatever
    their order. ``window`` in µs. A look-up costs O(log n) in the number of records with the same id, trace or
    principal: what is crowded is not looked through.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        #: a record further away in time than this is never a candidate
        self.reach = 2 * window
        #: records so far whose request id another record of their source has, too
        self.clashes = 0
        self._units: dict[Key, Unit] = {}
        self._by_ref: dict[str, Bucket] = {}
        self._by_trace: dict[str, Bucket] = {}
        self._by_who: dict[str, dict[tuple[str, str], Bucket]] = {}
        self._joined: dict[tuple[str, str], Bucket] = {}  # what was given out as one event, by id and trace

    def __len__(self) -> int:
        return len(self._units)

    def __iter__(self) -> Iterator[Unit]:
        return iter(self._units.values())

    def get(self, key: Key) -> Unit | None:
        """The unit that rows with this key belong to."""
        return self._units.get(key)

    def add(self, unit: Unit) -> None:
        """Put a record in sight."""
        self._units[unit.key] = unit
        if unit.ref is not None:
            self._note_clash(put(self._by_ref, unit.ref, unit), unit)
        if unit.trace is not None:
            put(self._by_trace, unit.trace, unit)
        if unit.by_who:
            put(self._by_who.setdefault(unit.who, {}), (unit.source, unit.role), unit)

    def extend(self, unit: Unit, event: Event) -> bool:
        """Put another row of a record in sight; False for one that is there already, all fields equal."""
        crowded = len(unit.crowd)
        if not unit.add(event):
            return False
        if unit.clash:
            self.clashes += 1
        elif len(unit.crowd) > crowded:
            self._flag(unit)
        return True

    def remove(self, unit: Unit) -> None:
        """Forget a record."""
        del self._units[unit.key]
        self.note_parted((unit,))
        if unit.ref is not None:
            drop(self._by_ref, unit.ref, unit)
        if unit.trace is not None:
            drop(self._by_trace, unit.trace, unit)
        if unit.by_who:
            lists = self._by_who[unit.who]
            drop(lists, (unit.source, unit.role), unit)
            if not lists:
                del self._by_who[unit.who]

    def sharing_ref(self, unit: Unit) -> int:
        """How many records there are with its request id, itself among them."""
        return len(self._by_ref[unit.ref]) if unit.ref is not None else 0

    def note_joined(self, units: Iterable[Unit], *, strong: bool) -> None:
        """Remember that these were given out as one event, by request id alone (``strong``) or not."""
        for unit in units:
            unit.weak = not strong
            unit.noted = tuple(tie for tie in _ties(unit) if tie[0] == "ref" or not strong)
            for tie in unit.noted:
                put(self._joined, tie, unit)

    def note_parted(self, units: Iterable[Unit]) -> None:
        """Take back :meth:`note_joined`."""
        for unit in units:
            for tie in unit.noted:
                drop(self._joined, tie, unit)
            unit.noted, unit.weak = (), False

    def in_doubt(self, unit: Unit) -> set[Unit]:
        """The records given out as joined that a new record may part."""
        found: set[Unit] = set()
        for tie in _ties(unit):
            bucket = self._joined.get(tie)
            if bucket:
                found.update(near_in(bucket, unit.time, self.reach))
        if unit.by_who:
            # A principal ties only what is alone in its list within reach: in a crowd, the outermost at most.
            for bucket in self._by_who[unit.who].values():
                found.update(u for u in outermost(bucket, unit, self.reach) if u.weak)
        found.discard(unit)
        return found

    def group_of(self, unit: Unit) -> tuple[tuple[Unit, ...], bool]:
        """The records that are one request with this one, itself among them, and whether by request id alone.

        In the order of their arrival.
        """
        if unit.crowd:
            return (unit,), True
        strong = self._by_ref_alone(unit)
        every = dict.fromkeys(strong)
        waiting = list(strong)
        while waiting and len(every) <= _MOST_IN_GROUP:
            here = waiting.pop()
            for candidates in (self._trace_candidates, self._who_candidates):
                for other in candidates(here, every):
                    if other not in every and here in candidates(other, {}):
                        more = self._by_ref_alone(other)
                        every.update(dict.fromkeys(more))
                        waiting.extend(more)
        if len(every) == len(strong) or not self._clique(tuple(every)):
            return strong, True
        return tuple(sorted(every, key=_SEQ)), False

    def _by_ref_alone(self, unit: Unit) -> tuple[Unit, ...]:
        bucket = self._by_ref[unit.ref] if unit.ref is not None else [unit]
        if len(bucket) == 1:
            return (unit,)
        if len(bucket) <= MOST_BY_REF and near_in(bucket, unit.time, self.reach) is bucket and self._clique(bucket):
            return tuple(sorted(bucket, key=_SEQ))  # the common case: everything with this id is one request
        found = {unit: None}
        waiting = [unit]
        while waiting:
            here = waiting.pop()
            for other in self._ref_candidates(here):
                if other not in found and here in self._ref_candidates(other):
                    found[other] = None
                    waiting.append(other)
        return tuple(sorted(found, key=_SEQ))

    def _clique(self, units: Sequence[Unit]) -> bool:
        """Whether all of them can be one request, each with each."""
        if len(units) > _MOST_IN_GROUP:
            return False
        for index, one in enumerate(units):
            if one.crowd:
                return False
            for other in units[:index]:
                if one.excludes(other) or not may_be_one(one, other, self.window):
                    return False
        return True

    def _ref_candidates(self, unit: Unit) -> Sequence[Unit]:
        if unit.ref is None or unit.crowd:
            return ()
        near = few_in(self._by_ref[unit.ref], unit.time, self.reach, MOST_BY_REF)
        if near is None or len(near) == 1:
            return ()
        return _agreed([u for u in near if not u.excludes(unit) and may_be_one(u, unit, self.window)], self.window)

    def _trace_candidates(self, unit: Unit, known: Mapping[Unit, None]) -> Sequence[Unit]:
        """Those that share the request id, too, count but are joined by that; none where all are known."""
        if unit.trace is None or unit.crowd:
            return ()
        bucket = self._by_trace[unit.trace]
        if len(bucket) <= len(known) and all(other in known for other in bucket):
            return ()
        near = few_in(bucket, unit.time, self.reach, _MOST_BY_TRACE)
        if near is None or len(near) == 1:
            return ()
        found = _agreed([u for u in near if not u.excludes(unit) and may_be_one(u, unit, self.reach)], self.reach)
        return [u for u in found if may_be_one_by_trace(u, unit, self.window) and self._free(u, unit)]

    def _who_candidates(self, unit: Unit, known: Mapping[Unit, None]) -> Sequence[Unit]:
        """Each other source's only record of the principal within reach, whatever else it asked for."""
        if not unit.by_who or unit.crowd:
            return ()
        lists = self._by_who[unit.who]
        if len(lists) == 1 or len(first_two(lists[unit.source, unit.role], unit.time, self.reach)) > 1:
            return ()
        near = [
            u for bucket in lists.values() for u in first_two(bucket, unit.time, self.reach) if not u.excludes(unit)
        ]
        found = () if _contested(near) or all(u in known for u in near) else near
        return [u for u in found if may_be_one_by_who(u, unit, self.window) and self._free(u, unit, traced=True)]

    def _free(self, one: Unit, other: Unit, *, traced: bool = False) -> bool:
        """Whether the stronger ties, the request id and (``traced``) the trace, leave room for a weaker one."""
        if one.ref is not None and one.ref == other.ref:
            return False
        ours, theirs = self._tied(one, traced), self._tied(other, traced)
        if ours is None or theirs is None:
            return False
        return not any(a.excludes(b) for a in ours for b in theirs if a is not b)

    def _tied(self, unit: Unit, traced: bool) -> Sequence[Unit] | None:
        """Everything near with the same request id, in doubt or not; ``traced``: also what is reached from there."""
        if not traced:
            return (unit,) if unit.ref is None else few_in(self._by_ref[unit.ref], unit.time, self.reach, MOST_BY_REF)
        found = [unit]
        for here in found:
            for buckets, name in ((self._by_ref, here.ref), (self._by_trace, here.trace)):
                near = [] if name is None else few_in(buckets[name], here.time, self.reach, _MOST_IN_GROUP)
                if near is None or len(found) > _MOST_IN_GROUP:
                    return None
                found += [other for other in near if other not in found]
        return found

    def _note_clash(self, bucket: Bucket, unit: Unit) -> None:
        if len(bucket) == 1:
            return
        near = few_in(bucket, unit.time, self.reach, MOST_BY_REF)
        if near is None:
            self._flag(unit)
            return
        for other in near:
            if other is not unit and other.excludes(unit):
                self._flag(other)
                self._flag(unit)

    def _flag(self, unit: Unit) -> None:
        if not unit.clash:
            unit.clash = True
            self.clashes += unit.size


def _agreed(candidates: list[Unit], window: int) -> Sequence[Unit]:
    """The candidates where all of them can be one request, else none."""
    for index, one in enumerate(candidates):
        for other in candidates[:index]:
            if one.excludes(other) or not may_be_one(one, other, window):
                return ()
    return candidates


def _contested(candidates: Sequence[Unit]) -> bool:
    return any(one.excludes(other) for index, one in enumerate(candidates) for other in candidates[:index])


def _ties(unit: Unit) -> Iterator[tuple[str, str]]:
    """What can tie it to others, but for its principal."""
    if unit.ref is not None:
        yield "ref", unit.ref
    if unit.trace is not None:
        yield "trace", unit.trace
