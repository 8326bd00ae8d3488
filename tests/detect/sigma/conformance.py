"""Three readings of one detection over the same records: the engine's, the oracle's, and that of pySigma's own backend.

A record is a mapping from fields of ``SCHEMA`` to values; what it leaves out, it does not have.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import cache
from typing import Any

import duckdb
import yaml

from threatmatrix.detect.sigma.documents import read_documents
from threatmatrix.detect.sigma.ir import Node
from threatmatrix.detect.sigma.needs import without_unknown
from threatmatrix.detect.sigma.pipelines import NONE, Pipelines
from threatmatrix.detect.sigma.rules import EventRule
from threatmatrix.detect.sigma.schema import Schema
from threatmatrix.detect.sigma.translate import event_rule
from threatmatrix.detect.sql.conditions import condition
from threatmatrix.model.matrix import RuleSource

__all__ = ["SCHEMA", "by_engine", "by_sqlite", "compiled_rule", "node_of", "of_rule"]

SCHEMA = Schema(
    fields={
        "category": "VARCHAR",
        "time": "BIGINT",
        "message": "VARCHAR",
        "user": "VARCHAR",
        "image": "VARCHAR",
        "count": "BIGINT",
        "ratio": "DOUBLE",
    },
    categories=("any", "process_creation"),
    keywords=("message", "user"),
)
Record = Mapping[str, Any]
_SQLITE = {"VARCHAR": "TEXT COLLATE NOCASE", "BIGINT": "INTEGER", "DOUBLE": "REAL"}
_FULLTEXT = "all text"  # what keywords search in SQLite


def of_rule(detection: Mapping[str, Any]) -> dict[str, Any]:
    return {"title": "A rule", "logsource": {"category": "any"}, "detection": dict(detection)}


def compiled_rule(document: Mapping[str, Any], schema: Schema = SCHEMA, pipelines: Pipelines = NONE) -> EventRule:
    """Compile one rule by itself. Raises RuleError."""
    source = RuleSource("rule.yml", yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True), "t")
    (read,), refused = read_documents(source)
    for error in refused:
        raise error
    return event_rule(read, schema, pipelines)


def node_of(detection: Mapping[str, Any], schema: Schema = SCHEMA) -> Node:
    return compiled_rule({**of_rule(detection), "logsource": {"category": schema.categories[0]}}, schema).condition


@cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:")


def by_engine(nodes: Sequence[Node], records: Sequence[Record], schema: Schema = SCHEMA) -> list[list[bool]]:
    """For each condition, which records match."""
    fields = [name for name, kind in schema.fields.items() if kind in {"VARCHAR", "BIGINT", "DOUBLE"}]
    columns = ", ".join(f'CAST(c{at} AS {schema.fields[name]}) AS "{name}"' for at, name in enumerate(fields))
    row = f"({', '.join('?' * (len(fields) + 1))})"
    names = ", ".join(["c", *(f"c{at}" for at in range(len(fields)))])
    tests = ", ".join(
        condition(without_unknown(node, schema.fields), schema).sql("duckdb", copy=False) for node in nodes
    )
    query = (
        f"SELECT {tests} FROM (SELECT c, {columns} FROM (VALUES {', '.join([row] * len(records))}) AS v({names})) "
        "ORDER BY c"
    )
    values = [value for at, record in enumerate(records) for value in (at, *map(record.get, fields))]
    rows = _duckdb().execute(query, values).fetchall()
    return [[bool(one[at]) for one in rows] for at in range(len(nodes))]


def by_sqlite(detection: Mapping[str, Any], records: Sequence[Record]) -> list[bool]:
    """The same of pysigma-backend-sqlite. Raises what pySigma raises where it cannot say it."""
    from sigma.backends.sqlite.sqlite import sqliteBackend
    from sigma.collection import SigmaCollection

    text = yaml.safe_dump(of_rule(detection), sort_keys=False, allow_unicode=True)
    backend: Any = sqliteBackend
    queries = backend(fulltext_field=_FULLTEXT).convert(SigmaCollection.from_yaml(text))
    columns = ", ".join(f'"{name}" {_SQLITE[kind]}' for name, kind in SCHEMA.fields.items())
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("REGEXP", 2, _regexp)
        connection.execute(f'CREATE TABLE logs ({columns}, "{_FULLTEXT}" TEXT COLLATE NOCASE, "number" INTEGER)')
        for at, record in enumerate(records):
            keywords = "\n".join(str(record[name]) for name in SCHEMA.keywords if record.get(name) is not None)
            values = [*(record.get(name) for name in SCHEMA.fields), keywords, at]
            connection.execute(f"INSERT INTO logs VALUES ({', '.join('?' * len(values))})", values)
        found = {row[-1] for query in queries for row in connection.execute(str(query))}
    return [at in found for at in range(len(records))]


def _regexp(pattern: str, text: Any) -> bool:
    return text is not None and re.search(pattern, str(text)) is not None
