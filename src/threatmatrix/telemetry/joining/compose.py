"""One event out of the records of one request: which source's word counts for which field."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import Any

from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.joining.facts import GENERAL
from threatmatrix.telemetry.joining.unit import Unit

__all__ = [
    "FIELDS",
    "KINDS",
    "ORDERS",
    "VALUES",
    "build",
    "build_many",
    "compose",
    "content_first",
    "rank_of",
    "with_id",
]

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "nginx": "proxy",
        "envoy": "proxy",
        "gateway": "gateway",
        "litellm": "gateway",
        "kserve": "model",
        "oip": "model",
        "sagemaker": "model",
        "azureml": "model",
        "vertex": "model",
        "bedrock": "model",
        "otel": "trace",
        "cloudtrail": "audit",
        "mlflow": "audit",
        "ocsf": "audit",
    }
)
"""Source → what it is; any other is ``other``."""

ORDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "place": ("proxy", "gateway", "audit", "model", "trace", "other"),
        "who": ("gateway", "model", "audit", "proxy", "trace", "other"),
        "content": ("model", "gateway", "trace", "other", "audit", "proxy"),
    }
)
"""Who is asked first: of where a request came from and how it ended, of who made it, of what was in it."""

_PLACE = ("src_ip", "user_agent", "host", "method", "endpoint", "status", "latency_ms", "request_ref", "trace_id")
_WHO = ("principal", "key_id", "tenant", "session", "decision", "policy_ref", "outcome")

FIELDS: Mapping[str, str] = MappingProxyType(
    {
        name: "place" if name in _PLACE else "who" if name in _WHO else "content"
        for name in EVENT_COLUMNS
        if name not in ("event_id", "source")
    }
)
"""Field → the order that it goes by."""

_NAMES = tuple(EVENT_COLUMNS)
VALUES: Callable[[Event], tuple[Any, ...]] = attrgetter(*_NAMES)
_SETTERS: tuple[Callable[[Event, Any], None], ...] = tuple(getattr(Event, name).__set__ for name in _NAMES)
_AT = {name: index for index, name in enumerate(_NAMES)}
_ID, _SOURCE, _CATEGORY, _OPERATION = (_AT[name] for name in ("event_id", "source", "category", "operation"))
_INPUT = tuple(
    _AT[name]
    for name in ("input_fp", "input_vec", "vec_scale", "vec_key", "input_fp_prev", "input_vec_prev", "vec_key_prev")
)
_ANSWER = (_AT["output_label"], _AT["output_scores"])
_DECISION = (_AT["decision"], _AT["policy_ref"])
_OF_PLACE = tuple(_AT[name] for name in _PLACE)
_OF_WHO = tuple(_AT[name] for name in _WHO)
_OF_A_ROW = frozenset((*_INPUT, *_ANSWER, *(_AT[n] for n in ("input_bytes", "input_raw", "tokens_in", "tokens_out"))))
_VAGUE = {"infer": 1, "other": 2}  # operations that any other says more than
_PLACE_RANK, _WHO_RANK, _CONTENT = range(len(ORDERS))  # their places in ORDERS

_Values = tuple[Any, ...]


def compose(units: Sequence[Unit]) -> dict[int | None, Event]:
    """The events of one request, by row; None: the request has no rows. Their ids are still those of a record.

    A record without rows flows into every row of the others, except what it says of the input and the answer where
    these are of several rows. It is used up by the first row: until that is here, it stays an event, too. The events
    of several units are new objects, those of one unit are its own.
    """
    if len(units) == 1:
        return units[0].rows
    rows: Sequence[int | None] = sorted({row for unit in units for row in unit.rows if row is not None}) or (None,)
    masked = len(rows) > 1
    if rows[0] and any(None in unit.rows for unit in units):
        rows = (None, *rows)
    by_content = _ranked(units, _CONTENT)
    parts = [_by_row(unit, masked=masked) for unit in by_content]
    ranks = [(rank_of(unit, _PLACE_RANK), rank_of(unit, _WHO_RANK), at) for at, unit in enumerate(by_content)]
    place = [at for *_, at in sorted(ranks)]
    who = [at for *_, at in sorted(ranks, key=itemgetter(1, 2))]
    source = "+".join(sorted({source for unit in units for source in unit.sources}))
    events: dict[int | None, Event] = {}
    for row in rows:
        said = [part[row] if row in part else part.get(None) for part in parts]
        events[row] = _merge(
            [values for values in said if values is not None],
            [values for at in place if (values := said[at]) is not None],
            [values for at in who if (values := said[at]) is not None],
            source,
        )
    return events


def rank_of(unit: Unit, order: int = 2) -> int:
    """Its place in one of the ORDERS, by number; a joined event counts as its best part."""
    return _ranks(unit.source)[order]


def content_first(units: Sequence[Unit]) -> Unit:
    """Of the records of one request the one whose word counts first for the content."""
    return units[0] if len(units) == 1 else _ranked(units, _CONTENT)[0]


@lru_cache(maxsize=256)
def _ranks(source: str) -> tuple[int, ...]:
    kinds = [KINDS.get(part, "other") for part in source.split("+")]
    return tuple(min(map(order.index, kinds)) for order in ORDERS.values())


def _ranked(units: Sequence[Unit], order: int) -> list[Unit]:
    """Units by :func:`rank_of`, equals by name, then by role."""
    return sorted(units, key=lambda unit: (_ranks(unit.source)[order], unit.source, unit.role == "answer"))


def _by_row(unit: Unit, *, masked: bool) -> dict[int | None, _Values]:
    found = {row: VALUES(event) for row, event in unit.rows.items()}
    if masked and None in found:
        found[None] = tuple(None if index in _OF_A_ROW else value for index, value in enumerate(found[None]))
    return found


def _merge(content: Sequence[_Values], place: Sequence[_Values], who: Sequence[_Values], source: str) -> Event:
    """One event of what was said, in the three orders."""
    fields = list(content[0])
    empty = [index for index, value in enumerate(fields) if value is None]
    for values in content[1:]:
        for index in empty:
            if fields[index] is None:
                fields[index] = values[index]
    for order, indices in ((place, _OF_PLACE), (who, _OF_WHO)):
        for index in indices:
            for values in order:
                if values[index] is not None:
                    fields[index] = values[index]
                    break
    for order, block in ((content, _INPUT), (content, _ANSWER), (who, _DECISION)):
        for values in order:  # what belongs together comes from one record: vectors of different keys never mix
            said = [values[index] for index in block]
            if said.count(None) < len(said):
                for index, value in zip(block, said, strict=True):
                    fields[index] = value
                break
    fields[_SOURCE] = source
    fields[_CATEGORY] = next((v[_CATEGORY] for v in content if v[_CATEGORY] not in GENERAL), fields[_CATEGORY])
    names = [values[_OPERATION] for values in content if values[_OPERATION] is not None]
    fields[_OPERATION] = min(names, key=lambda name: _VAGUE.get(name, 0), default=None)
    return build(fields)


def build(values: Iterable[Any]) -> Event:
    """An event of its values, in the order of EVENT_COLUMNS."""
    event = object.__new__(Event)
    for set_slot, value in zip(_SETTERS, values, strict=True):
        set_slot(event, value)
    return event


def build_many(columns: Mapping[str, Sequence[Any]], count: int) -> list[Event]:
    """Events of columns by field, of which any may lack: a fifth of the price. Raises ValueError for uneven ones."""
    if any(len(column) != count for column in columns.values()):
        raise ValueError("columns of different lengths")
    events: list[Event] = list(map(object.__new__, repeat(Event, count)))
    for name, set_slot in zip(_NAMES, _SETTERS, strict=True):
        deque(map(set_slot, events, columns.get(name, repeat(None))), maxlen=0)
    return events


def with_id(event: Event, event_id: str, *, new: bool = False) -> Event:
    """The event under another id; itself where it has that already, or where it is ``new`` and nobody else has it."""
    if event.event_id == event_id:
        return event
    if not new:
        event = build(VALUES(event))
    _SETTERS[_ID](event, event_id)
    return event
