"""A joiner's records as plain data, and back: columns, because most fields of most records are empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.joining.board import Board
from threatmatrix.telemetry.joining.compose import VALUES, build_many
from threatmatrix.telemetry.joining.facts import role_of
from threatmatrix.telemetry.joining.groups import Group
from threatmatrix.telemetry.joining.names import Names
from threatmatrix.telemetry.joining.unit import Unit, key_of

__all__ = ["dump", "load"]


class _Events:
    """Events numbered as they come; each object once."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._at: dict[int, int] = {}

    def number(self, event: Event) -> int:
        at = self._at.setdefault(id(event), len(self.events))
        if at == len(self.events):
            self.events.append(event)
        return at


def dump(board: Board) -> dict[str, Any]:
    """Units in the order of their arrival, and the groups that were given out."""
    events, groups = _Events(), dict[Group, int]()
    units = []
    for unit in board:
        group = -1 if unit.group is None else groups.setdefault(unit.group, len(groups))
        rows = [events.number(event) for event in unit.rows.values()]
        units.append([unit.seq, unit.clash, group, rows, [events.number(event) for event in unit.crowd]])
    given = [
        [group.strong, [[row, copy, events.number(event)] for (row, copy), event in group.events.items()]]
        for group in groups
    ]
    return {"clashes": board.clashes, "units": units, "groups": given, "events": _columns(events.events)}


def load(state: Mapping[str, Any], board: Board, names: Names) -> None:
    """Fill an empty board, and mark the ids that were given."""
    events = _events(state["events"])
    members: list[list[Unit]] = [[] for _ in state["groups"]]
    for seq, clash, group, rows, crowd in state["units"]:
        first = events[rows[0]]
        role = role_of(first)
        unit = Unit(first, role, key_of(first, role), board.window, seq)
        unit.rows = {events[at].row: events[at] for at in rows}
        unit.crowd = dict.fromkeys(events[at] for at in crowd)
        board.add(unit)
        unit.clash = clash
        if group >= 0:
            members[group].append(unit)
    for (strong, given), units in zip(state["groups"], members, strict=True):
        made = Group(tuple(units), strong, {(row, copy): events[at] for row, copy, at in given})
        for unit in units:
            unit.group = made
        for event in made.events.values():
            names.take(event.event_id)
        if len(units) > 1:
            board.note_joined(units, strong=strong)
    board.clashes = state["clashes"]


def _columns(events: Sequence[Event]) -> dict[str, Any]:
    """Field → its values; fields that no event has are left out."""
    found: dict[str, Any] = {"count": len(events)}
    for name, values in zip(EVENT_COLUMNS, zip(*map(VALUES, events), strict=True), strict=False):
        if values.count(None) < len(values):
            found[name] = list(values)
    if "output_scores" in found:
        found["output_scores"] = [None if scores is None else list(scores) for scores in found["output_scores"]]
    return found


def _events(columns: Mapping[str, Any]) -> list[Event]:
    values = {name: column for name, column in columns.items() if name in EVENT_COLUMNS}
    if "output_scores" in values:
        values["output_scores"] = [None if scores is None else tuple(scores) for scores in values["output_scores"]]
    return build_many(values, columns["count"])
