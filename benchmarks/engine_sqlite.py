"""The peer that analysts can install: pysigma-backend-sqlite, one query per rule over SQLite in memory.

The category of a rule becomes a condition of its query, by pySigma's own processing pipeline.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from typing import Any

import duckdb
import yaml

from benchmarks.engine_world import SCHEMA

__all__ = ["sqlite_counts"]

_TYPES = {"VARCHAR": "TEXT COLLATE NOCASE", "BIGINT": "INTEGER", "DOUBLE": "REAL"}


def sqlite_counts(
    folder: str, rules: Sequence[str], samples: Sequence[int], runs: int
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Seconds of each run for each sample (the first records of the world), and what the last sample has by rule."""
    queries = {yaml.safe_load(text)["name"]: _query(text) for text in rules}
    seconds: dict[str, list[float]] = {}
    found: dict[str, int] = {}
    for size in samples:
        with closing(_loaded(folder, size)) as connection:
            for _ in range(runs):
                began = time.perf_counter()
                found = {name: sum(1 for _ in connection.execute(query)) for name, query in queries.items()}
                seconds.setdefault(str(size), []).append(time.perf_counter() - began)
    return seconds, {name: count for name, count in found.items() if count}


def _query(text: str) -> str:
    from sigma.backends.sqlite.sqlite import sqliteBackend
    from sigma.collection import SigmaCollection
    from sigma.processing.conditions import LogsourceCondition
    from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
    from sigma.processing.transformations import AddConditionTransformation

    category = yaml.safe_load(text)["logsource"]["category"]
    routed = ProcessingItem(
        AddConditionTransformation({"category": category}), rule_conditions=[LogsourceCondition(category=category)]
    )
    backend: Any = sqliteBackend
    (query,) = backend(ProcessingPipeline(items=[routed])).convert(SigmaCollection.from_yaml(text))
    return str(query).replace("<TABLE_NAME>", "logs")


def _loaded(folder: str, records: int) -> sqlite3.Connection:
    columns = ", ".join(f'"{name}" {_TYPES[kind]}' for name, kind in SCHEMA.fields.items())
    names = ", ".join(f'"{name}"' for name in SCHEMA.fields)
    connection = sqlite3.connect(":memory:")
    connection.create_function(
        "REGEXP", 2, lambda pattern, text: text is not None and bool(_regex(pattern).search(text))
    )
    connection.execute(f"CREATE TABLE logs ({columns})")
    insert = f"INSERT INTO logs VALUES ({', '.join('?' * len(SCHEMA.fields))})"
    with closing(duckdb.connect()) as con:
        con.execute(f"SELECT {names} FROM read_parquet('{folder}/*.parquet') ORDER BY time LIMIT {records}")
        while rows := con.fetchmany(20_000):
            connection.executemany(insert, rows)
    return connection


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
