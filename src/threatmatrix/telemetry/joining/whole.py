"""Joining records at rest: the same rules as for a stream, over all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from threatmatrix.model.event import Event
from threatmatrix.telemetry.joining.board import Board
from threatmatrix.telemetry.joining.facts import role_of
from threatmatrix.telemetry.joining.groups import Given, Releases
from threatmatrix.telemetry.joining.joiner import WINDOW
from threatmatrix.telemetry.joining.unit import Unit, can_join, key_of

__all__ = ["JoinedSet", "join"]


@dataclass(frozen=True, slots=True)
class JoinedSet:
    """The events of a set of records, by time and id.

    ``joined`` counts the events made of several records, ``duplicates`` the records that were dropped because one
    with all fields equal is there, ``clashes`` the records whose request id another record of their source has, too.
    """

    events: list[Event]
    joined: int
    duplicates: int
    clashes: int


def join(events: Iterable[Event], *, window: int = WINDOW) -> JoinedSet:
    """Records → events, whatever their order; ``window`` in µs. An event that was joined before may stand among them.

    Give it everything that may belong together, and what may speak against it: all records that share a request id,
    a trace id or a principal within twice the window of one another.
    """
    board = Board(window)
    alone: list[Event] = []
    duplicates = 0
    for event in events:
        if not can_join(event):
            alone.append(event)
            continue
        role = role_of(event)
        key = key_of(event, role)
        unit = board.get(key)
        if unit is None:
            board.add(Unit(event, role, key, window, len(board)))
        elif not board.extend(unit, event):
            duplicates += 1
    units = sorted(board, key=_canonical)
    for unit in units:
        unit.straighten()
    releases, given = Releases(board), Given()
    for unit in units:
        if unit.group is None:
            releases.settle((unit,), given)
    found = alone + given.events
    found.sort(key=lambda event: (event.time, event.event_id))
    return JoinedSet(
        events=found,
        joined=sum(len(group.events) for group in {u.group for u in units if u.group} if len(group.units) > 1),
        duplicates=duplicates,
        clashes=board.clashes,
    )


def _canonical(unit: Unit) -> tuple[int, str, str, str]:
    return unit.time, unit.source, unit.role, repr(unit.key)
