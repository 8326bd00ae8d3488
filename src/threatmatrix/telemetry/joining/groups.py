"""What was given out of one request, and what to give out anew once more is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from threatmatrix.model.event import Event
from threatmatrix.telemetry.joining.board import Board
from threatmatrix.telemetry.joining.compose import compose, content_first, rank_of, with_id
from threatmatrix.telemetry.joining.names import Names, base_of
from threatmatrix.telemetry.joining.unit import Unit

__all__ = ["Given", "Group", "Releases"]

Found = tuple[tuple[Unit, ...], bool]
"""What :meth:`Board.group_of` says."""

Slot = tuple[int | None, int]
"""A row, and which of several records for it: 0, or from 1 those of a crowd."""


@dataclass(eq=False, slots=True)
class Group:
    """Records given out as one request, and the events that it became."""

    units: tuple[Unit, ...]
    strong: bool = True
    events: dict[Slot, Event] = field(default_factory=dict)


@dataclass(slots=True)
class Given:
    """What one call gives out."""

    events: list[Event] = field(default_factory=list)
    revised: list[tuple[Event, Event]] = field(default_factory=list)


class Releases:
    """Gives groups out, and revises what was given out: no event disappears or changes its id."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self.names = Names()
        #: groups that belong together but had both been given out before that was known
        self.kept_apart = 0
        #: records given out so far
        self.released = 0

    def settle(self, units: Iterable[Unit], given: Given, known: Mapping[Unit, Found] = MappingProxyType({})) -> None:
        """Give these records out with all that belongs to them, and revise where that is another thing than before.

        ``known``: what the board said of some of them just now.
        """
        waiting = sorted(units, key=_order, reverse=True)
        old: dict[Group, None] = {}
        new: list[Found] = []
        done: set[Unit] = set()
        while waiting:
            unit = waiting.pop()
            if unit in done:
                continue
            members, strong = known.get(unit) or self._board.group_of(unit)
            members = self._one_group(unit, members)
            new.append((members, strong))
            done.update(members)
            for member in members:
                if member.group is not None and member.group not in old:
                    old[member.group] = None
                    waiting.extend(other for other in member.group.units if other not in done)
        self._board.note_parted(unit for group in old for unit in group.units)
        self._give(old, new, given)

    def _one_group(self, unit: Unit, members: tuple[Unit, ...]) -> tuple[Unit, ...]:
        """Two groups that were given out apart cannot become one: no event disappears. The unit's own stays its own."""
        groups = dict.fromkeys(member.group for member in members if member.group is not None)
        if len(groups) < 2:
            return members
        self.kept_apart += 1
        mine = unit.group or next(iter(groups))
        return tuple(member for member in members if member is unit or member.group in (None, mine))

    def _give(self, old: Iterable[Group], new: Sequence[Found], given: Given) -> None:
        before = {group: dict(group.events) for group in old}
        made = sorted((_made(members, strong) for members, strong in new), key=_claim)
        for draft in made:
            draft.parents = tuple(dict.fromkeys(unit.group for unit in draft.group.units if unit.group is not None))
            for slot in draft.events:
                _claim_id(draft, slot, (_take(before[parent], slot) for parent in draft.parents), given)
        for draft in made:
            for slot in draft.events.keys() - draft.group.events.keys():  # an id that nothing else claimed must not go
                _claim_id(draft, slot, (_take_any(before[parent]) for parent in draft.parents), given)
            self._name(draft, given)
            for unit in draft.group.units:
                self.released += unit.group is None
                unit.group = draft.group
            if len(draft.group.units) > 1:
                self._board.note_joined(draft.group.units, strong=draft.group.strong)

    def _name(self, draft: _Draft, given: Given) -> None:
        base = ""
        for slot, event in draft.events.items():
            if slot not in draft.group.events:
                base = base or base_of(content_first(draft.group.units), event)
                named = with_id(event, self.names.give(base, slot[0], event), new=len(draft.group.units) > 1)
                draft.group.events[slot] = named
                given.events.append(named)

    def forget(self, group: Group) -> None:
        """A group goes out of sight."""
        for event in group.events.values():
            self.names.free(event.event_id)
        for unit in group.units:
            self._board.remove(unit)
            unit.group = None  # no cycle is left: the memory is free at once, without a search for garbage


@dataclass(slots=True)
class _Draft:
    """A group to be given out: its events still without their ids, and the groups that its records were in before."""

    group: Group
    events: dict[Slot, Event]
    parents: tuple[Group, ...] = ()


def _made(members: tuple[Unit, ...], strong: bool) -> _Draft:
    events: dict[Slot, Event] = {(row, 0): event for row, event in compose(members).items()}
    if len(members) == 1:
        events |= {(event.row, n): event for n, event in enumerate(members[0].crowd, 1)}
    return _Draft(Group(members, strong), events)


def _claim(draft: _Draft) -> tuple[int, int, str]:
    """Who keeps the ids where a group is parted: the one with the most rows, then the one nearest to the content."""
    first = content_first(draft.group.units)
    return -len(draft.events), rank_of(first), first.source


def _claim_id(draft: _Draft, slot: Slot, claims: Iterable[Event | None], given: Given) -> None:
    was = next((event for event in claims if event is not None), None)
    if was is None:
        return
    draft.group.events[slot] = after = with_id(draft.events[slot], was.event_id, new=len(draft.group.units) > 1)
    if after != was:
        given.revised.append((was, after))


def _take(events: dict[Slot, Event], slot: Slot) -> Event | None:
    """The event of the same row; the first row stands for a request without rows, and the other way round."""
    if slot in events:
        return events.pop(slot)
    row, copy = slot
    twin = {None: 0, 0: None}.get(row, row)
    return events.pop((twin, copy), None) if row in (None, 0) else None


def _take_any(events: dict[Slot, Event]) -> Event | None:
    return events.popitem()[1] if events else None


def _order(unit: Unit) -> tuple[int, str, str]:
    return unit.time, unit.source, unit.role
