"""The plan of anybody's own JSON lines, made from their mapping file."""

from __future__ import annotations

from typing import Any

from threatmatrix.model.event import EVENT_COLUMNS
from threatmatrix.telemetry.columnar.plan import KEY, KINDS, Kind, Plan, Told
from threatmatrix.telemetry.columnar.sql import first_text, integer_up_to, iso_time, literal, rounds
from threatmatrix.telemetry.columns import quote_name as q
from threatmatrix.telemetry.readers.base import MAX_INT, MAX_TIME, without_secrets
from threatmatrix.telemetry.readers.mapping_file import UNITS, WORDS, FieldMapping, Place
from threatmatrix.telemetry.readers.paths import clean_path

__all__ = ["mapping_plan"]


def mapping_plan(mapping: FieldMapping) -> Plan | None:
    """None where the mapping file asks for more than a plan can say.

    That is: a category that the record tells, values within objects or lists, values that are turned into others or
    multiplied, inputs, times in ns, and records without an id of their own.
    """
    keys = _all_keys(mapping)
    if keys is None or mapping.id is None or mapping.category is None:
        return None
    own, time = first_text(str(mapping.id[0])), str(mapping.time[0])
    moment, certain = _time(time, mapping.unit)
    conditions = [certain, f"{moment} BETWEEN 0 AND {MAX_TIME}", f"{own} IS NOT NULL"]
    columns = {name: _constant(value) for name, value in mapping.constants.items()}
    columns |= {"event_id": f"'mapping:' || {own}", "time": moment, "source": "'mapping'"}
    columns["category"] = literal(mapping.category)
    for name, source in mapping.fields.items():
        columns[name], condition = _field(name, str(source.place[0]))
        conditions += condition
    told = (Told((columns["endpoint"],), ("endpoint",), _clean),) if "endpoint" in mapping.fields else ()
    quoted = frozenset(key for key, kind in keys.items() if kind in ("integer", "number")) - {time}
    return Plan("mapping", 1, keys, columns, tuple(conditions), told, quoted)


def _field(name: str, key: str) -> tuple[str, list[str]]:
    """(expression, conditions) of one field."""
    kind = KINDS[EVENT_COLUMNS[name]]
    if kind == "integer":
        return f"try_cast({q(key)} AS BIGINT)", [integer_up_to(q(key), MAX_INT)]
    if kind != "text":
        return q(key), []
    text = first_text(key)
    if name not in WORDS:
        return text, []
    return text, [f"({text} IS NULL OR {text} IN ({', '.join(map(literal, WORDS[name]))}))"]


def _all_keys(mapping: FieldMapping) -> dict[str, Kind] | None:
    """Every key that is looked at; None where that is not enough."""
    sources = mapping.fields
    plain = all(source.scale is None and source.values is None for source in sources.values())
    if not plain or mapping.format != "jsonl" or mapping.inputs is not None or mapping.unit == "ns":
        return None
    places: list[tuple[Place | None, Kind]] = [(mapping.id, "text"), (mapping.time, _time_kind(mapping.unit))]
    return _keys([*((source.place, KINDS[EVENT_COLUMNS[name]]) for name, source in sources.items()), *places])


def _keys(places: list[tuple[Place | None, Kind]]) -> dict[str, Kind] | None:
    """The keys, each of one kind; None where a place is no key of the record itself, or one must be two things."""
    keys: dict[str, Kind] = {}
    for place, kind in places:
        if place is None or len(place) != 1 or not isinstance(place[0], str) or not KEY.fullmatch(place[0]):
            return None
        if keys.setdefault(place[0], kind) != kind:
            return None
    return keys if len({key.lower() for key in keys}) == len(keys) else None


def _time_kind(unit: str) -> Kind:
    return "text" if unit == "iso" else "integer" if unit == "us" else "number"


def _time(key: str, unit: str) -> tuple[str, str]:
    """(µs since 1970, condition)."""
    if unit == "iso":
        return iso_time(first_text(key))
    if unit == "us":
        return f"try_cast({q(key)} AS BIGINT)", integer_up_to(q(key), MAX_TIME)
    value = f"({q(key)} * {UNITS[unit]!r})"
    return f"CASE WHEN abs({value}) < 4e15 THEN CAST({value} AS BIGINT) END", rounds(value)


def _constant(value: Any) -> str:
    return literal(value) if isinstance(value, str) else repr(value)


def _clean(values: tuple[Any, ...]) -> tuple[Any, ...] | None:
    (path,) = values
    tidy = clean_path(path) if path else path
    return (tidy,) if without_secrets({"endpoint": tidy}, None)["endpoint"] == tidy else None
