"""Building events fast: reading and resolving make one for every row of a log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from threatmatrix.model.event import EVENT_COLUMNS, Event

__all__ = ["build_event", "event_of", "with_place"]

_Setter = Callable[[Event, Any], None]
_SLOTS: tuple[tuple[str, _Setter], ...] = tuple((name, getattr(Event, name).__set__) for name in EVENT_COLUMNS)


def build_event(fields: Mapping[str, Any]) -> Event:
    """``Event(**fields)`` for fields that have been checked; missing ones are None.

    Keys that come out of JSON are not interned, so a call compares each keyword with every
    parameter's name; setting the slots also spares the frozen class's own detour. Measured: 9 → 3 µs.
    """
    event = object.__new__(Event)
    get = fields.get
    for name, set_slot in _SLOTS:
        set_slot(event, get(name))
    return event


def with_place(event: Event, system: str | None, model: str | None, principal: str | None) -> Event:
    """A copy with another system, model and principal; a quarter of the time of dataclasses.replace."""
    fields = {name: getattr(event, name) for name in EVENT_COLUMNS}
    fields.update(system=system, model=model, principal=principal)
    return build_event(fields)


def event_of(row: Sequence[Any]) -> Event:
    """The event of a row with the columns of EVENT_COLUMNS, as DuckDB gives it."""
    fields = dict(zip(EVENT_COLUMNS, row, strict=True))
    scores = fields["output_scores"]
    fields["output_scores"] = None if scores is None else tuple(scores)
    return build_event(fields)
