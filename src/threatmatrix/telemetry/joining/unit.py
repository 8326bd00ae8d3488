"""What one source says of one request at one moment: a record, or its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from threatmatrix.model.event import Event
from threatmatrix.telemetry.joining.facts import JOINABLE, space_of

if TYPE_CHECKING:
    from threatmatrix.telemetry.joining.groups import Group

__all__ = ["Key", "Unit", "can_join", "key_of"]

Key = tuple[object, ...]

_OF_WHO = frozenset({"http", "inference", "model_access"})  # what principal and time alone may join


def can_join(event: Event) -> bool:
    """Whether there is anything by which another record could be found to be of the same request."""
    if event.category not in JOINABLE:
        return False
    return event.request_ref is not None or event.trace_id is not None or _by_who(event)


def _by_who(event: Event) -> bool:
    return (
        event.principal is not None
        and event.category in _OF_WHO
        and (event.model is not None or event.endpoint is not None)
    )


def key_of(event: Event, role: str) -> Key:
    """Rows of one record share it: they say the same of everything that is compared."""
    name = event.request_ref
    if name is None:
        name = event.event_id if event.row is None else event.event_id.removesuffix(f":{event.row}")
    return (
        name,
        event.request_ref is None,
        event.source,
        role,
        event.time,
        event.rows,
        event.row is None,
        event.category,
        event.operation,
        event.model,
        event.principal,
        event.key_id,
        event.src_ip,
        event.trace_id,
        event.system,
    )


class Unit:
    """One record of one source, with all its rows; ``head`` is any of them, for what they have in common.

    ``crowd``: records beyond the first for a row that came twice. Such a unit is joined with nothing.
    ``weak``: given out as joined by more than the request id.
    ``lasted``: µs by which its time may lie off because one source logs the start and another the end.
    """

    __slots__ = (
        "by_who",
        "clash",
        "crowd",
        "group",
        "head",
        "key",
        "lasted",
        "noted",
        "ref",
        "role",
        "rows",
        "seq",
        "source",
        "sources",
        "space",
        "time",
        "trace",
        "weak",
        "who",
    )

    def __init__(self, event: Event, role: str, key: Key, window: int, seq: int) -> None:
        self.head = event
        self.source = event.source
        self.sources = event.source.split("+") if "+" in event.source else (event.source,)
        self.role = role
        self.key = key
        self.time = event.time
        latency = event.latency_ms
        self.lasted = 0 if latency is None else int(min(max(latency, 0.0) * 1000, window))
        self.ref = event.request_ref
        self.space = space_of(event.source)
        self.trace = event.trace_id
        self.by_who = _by_who(event)
        self.who = event.principal or ""
        self.rows: dict[int | None, Event] = {event.row: event}
        self.crowd: dict[Event, None] = {}  # a set that keeps its order
        self.seq = seq
        self.clash = False
        self.group: Group | None = None
        self.noted: tuple[tuple[str, str], ...] = ()
        self.weak = False

    def add(self, event: Event) -> bool:
        """Take another row in; False for a record that is here already, all fields equal."""
        have = self.rows.get(event.row)
        if have is None:
            self.rows[event.row] = event
            return True
        if have == event or event in self.crowd:
            return False
        self.crowd[event] = None
        return True

    @property
    def size(self) -> int:
        """How many records it has."""
        return len(self.rows) + len(self.crowd)

    def straighten(self) -> None:
        """Put rows and crowd in an order that does not depend on that of their arrival."""
        if self.crowd:
            every = sorted(self.records(), key=repr)
            self.rows = {event.row: event for event in reversed(every)}
            self.crowd = dict.fromkeys(event for event in every if self.rows[event.row] is not event)

    @property
    def full(self) -> bool:
        """Whether every row that the record speaks of is here."""
        rows = self.head.rows
        return self.head.row is None or rows is None or len(self.rows) >= rows

    def records(self) -> Iterator[Event]:
        """Every record of it."""
        yield from self.rows.values()
        yield from self.crowd

    def excludes(self, other: Unit) -> bool:
        """Whether both cannot be in one event: at most one record of a source in a role."""
        if self.source == other.source:
            return self.role == other.role or "whole" in (self.role, other.role)
        if len(self.sources) == len(other.sources) == 1:
            return False
        return not set(self.sources).isdisjoint(other.sources)
