"""Columns that few distinct values tell, worked out in Python once for each of them and joined back."""

# ruff: noqa: S608 - of the log only names that plan.KEY allows stand in SQL, quoted, and lists of quoted texts

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from threatmatrix.model.event import EVENT_COLUMNS
from threatmatrix.telemetry.columnar.plan import Plan, Told
from threatmatrix.telemetry.columns import quote_name as q
from threatmatrix.telemetry.readers.base import without_secrets
from threatmatrix.telemetry.systems import Place, Resolver

__all__ = ["join_told", "resolve"]

_PLACE = ("system", "model", "host", "endpoint")
_WHO = ("principal", "key_id", "session", "src_ip")


def join_told(con: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    """The table ``fast`` → ``sure``: its certain rows, what is told filled in. A table where that takes joins."""
    joins = "".join(_told_group(con, f"told{group}", group, told) for group, told in enumerate(plan.told))
    clean = _without_secrets(con, plan)
    kind = "TABLE" if joins else "VIEW"
    con.execute(f"CREATE TEMP {kind} sure AS SELECT _n, {_columns({})} FROM fast{joins} WHERE _ok{clean}")


def _without_secrets(con: duckdb.DuckDBPyConnection, plan: Plan) -> str:
    """A condition that leaves out the rows in which a secret would have to be named; mostly there is none."""
    told = {column for group in plan.told for column in group.columns}
    condition = ""
    for name in plan.conceals:
        if name in told:
            continue
        values = con.execute(f"SELECT DISTINCT {q(name)} FROM fast WHERE _ok AND {q(name)} IS NOT NULL").fetchall()
        secret = [(value,) for (value,) in values if without_secrets({name: value}, None)[name] != value]
        if secret:
            _texts(con, f"secret_{name}", ["_value"], secret)
            condition += f" AND ({q(name)} IS NULL OR {q(name)} NOT IN (SELECT _value FROM secret_{name}))"
    return condition


def _told_group(con: duckdb.DuckDBPyConnection, table: str, group: int, told: Told) -> str:
    keys = [f"_told{group}_{at}" for at in range(len(told.keys))]
    distinct = con.execute(f"SELECT DISTINCT {', '.join(keys)} FROM fast WHERE _ok").fetchall()
    rows = [(*values, *answer) for values in distinct if (answer := told.tell(values)) is not None]
    _texts(con, table, [*keys, *told.columns], rows)
    return f" JOIN {table} ON {_same('fast', table, keys)}"


def resolve(con: duckdb.DuckDBPyConnection, source: str, resolver: Resolver) -> str:
    """A view over the rows of ``source`` with system, model and principal as ``Resolver.resolve`` fills them in."""
    places: list[Place] = con.execute(f"SELECT DISTINCT {', '.join(map(q, _PLACE))} FROM {source}").fetchall()
    told = resolver.place_many(places)
    rows = [(*place, *answer) for place, answer in zip(places, told, strict=True)]
    keys = [f"_{name}" for name in _PLACE]
    _texts(con, "placed", [*keys, "system", "model"], rows)
    on = " AND ".join(f"{source}.{q(name)} IS NOT DISTINCT FROM placed._{name}" for name in _PLACE)
    columns = _columns({"system": "placed.system", "model": "placed.model"}, source)
    con.execute(f"CREATE OR REPLACE TEMP VIEW at_place AS SELECT {columns} FROM {source} JOIN placed ON {on}")
    return _who(con, resolver, {system for system, _ in told if system is not None})


def _who(con: duckdb.DuckDBPyConnection, resolver: Resolver, systems: set[str]) -> str:
    """Ask who it was only where the log does not say, or where the system puts another field first."""
    fields = {system: resolver.told_by(system) for system in sorted(systems)}
    asking = [system for system, order in fields.items() if order != ("principal",)]
    if not asking:
        return "at_place"
    stays = [system for system in asking if fields[system][0] == "principal"]
    asked = f"(system IN {_list(asking)} AND NOT (principal IS NOT NULL AND system IN {_list(stays)}))"
    seen = {
        name: f"CASE WHEN system IN {_list([s for s in asking if name in fields[s]])} THEN {name} END" for name in _WHO
    }
    who = ", ".join(f"{expression} AS _{name}" for name, expression in seen.items())
    distinct = con.execute(f"SELECT DISTINCT system, {who} FROM at_place WHERE {asked}").fetchall()
    rows = [(*values, answer) for values, answer in zip(distinct, resolver.tell_many(distinct), strict=True)]
    _texts(con, "asked", ["_system", *(f"_{name}" for name in _WHO), "_told"], rows)
    on = " AND ".join(f"{expression} IS NOT DISTINCT FROM asked._{name}" for name, expression in seen.items())
    columns = _columns({"principal": f"CASE WHEN {asked} THEN asked._told ELSE principal END"})
    con.execute(
        f"CREATE OR REPLACE TEMP VIEW resolved AS SELECT {columns} FROM at_place "
        f"LEFT JOIN asked ON system IS NOT DISTINCT FROM asked._system AND {on}"
    )
    return "resolved"


def _list(names: Sequence[str]) -> str:
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
    return f"({quoted or 'NULL'})"


def _columns(instead: dict[str, str], table: str = "") -> str:
    before = f"{table}." if table else ""
    return ", ".join(f"{instead.get(name, before + q(name))} AS {q(name)}" for name in EVENT_COLUMNS)


def _same(left: str, right: str, keys: Sequence[str]) -> str:
    return " AND ".join(f"{left}.{key} IS NOT DISTINCT FROM {right}.{key}" for key in keys)


def _texts(con: duckdb.DuckDBPyConnection, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table of texts. They go in as one parameter: rows one by one would take 50 µs each."""
    columns = ", ".join(f"_row[{at}] AS {q(name)}" for at, name in enumerate(names, 1))
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {columns} FROM (SELECT unnest($rows::VARCHAR[][]) AS _row)",
        {"rows": [list(row) for row in rows]},
    )
