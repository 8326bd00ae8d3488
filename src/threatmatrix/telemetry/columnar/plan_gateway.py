"""The plan of the gateway's own log, whose keys are the columns."""

from __future__ import annotations

from threatmatrix.model.event import CATEGORIES, EVENT_COLUMNS
from threatmatrix.telemetry.columnar.plan import KINDS, Kind, Plan
from threatmatrix.telemetry.columnar.sql import integer_up_to, literal
from threatmatrix.telemetry.columns import quote_name as q
from threatmatrix.telemetry.readers.base import MAX_INT, MAX_TIME

__all__ = ["gateway_plan"]

_BASE64 = "[A-Za-z0-9+/]*={0,2}"


def gateway_plan(*, keep_raw: bool) -> Plan:
    """``keep_raw``: raw inputs, where the gateway logs them, are kept."""
    keys: dict[str, Kind] = {name: KINDS[sql] for name, sql in EVENT_COLUMNS.items() if name != "source"}
    columns = {name: q(name) for name in keys} | {"source": "'gateway'"}
    certain = [
        'coalesce("v", 1) = 1',
        f'"time" <= {MAX_TIME}',
        f'"category" IN ({", ".join(map(literal, CATEGORIES))})',
        "(\"outcome\" IS NULL OR \"outcome\" IN ('success', 'failure'))",
        '("vec_scale" IS NULL OR "vec_scale" > 0)',
        '("event_id" IS NOT NULL OR "request_ref" IS NOT NULL)',
    ]
    for name, sql in EVENT_COLUMNS.items():
        if sql == "BIGINT":
            certain.append(integer_up_to(q(name), MAX_INT))
            columns[name] = f"try_cast({q(name)} AS BIGINT)"
        elif sql == "BLOB":
            decodable = f"strlen({q(name)}) % 4 = 0 AND regexp_full_match({q(name)}, '{_BASE64}')"
            columns[name] = f"CASE WHEN {decodable} THEN from_base64({q(name)}) END"
            certain.append(f"({q(name)} IS NULL OR to_base64({columns[name]}) = {q(name)})")
    if not keep_raw:
        del columns["input_raw"]
    columns["event_id"] = """coalesce("event_id", "request_ref" || ':' || coalesce("row", 0))"""
    return Plan(
        "gateway",
        1,
        {**keys, "v": "integer"},
        columns,
        tuple(certain),
        never_null=frozenset({"v"}),
        conceals=("user_agent",),
    )
