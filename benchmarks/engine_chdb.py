"""A peer on the same SQL: the conditions of our rules, spelt for ClickHouse, run by chDB over the same files.

One query for each category, every text folded once, every rule evaluated on every record: the plain scan, no gates.
The leaf table stands here and not among the product's dialects, because it answers to the benchmark alone: the records
and rules of ``engine_world`` and ``engine_rules``, on which it must find what DuckDB finds.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

from sqlglot import exp

from benchmarks.engine_world import CATEGORIES, SCHEMA
from threatmatrix.detect.sigma.ir import leaves
from threatmatrix.detect.sigma.rules import EventRule
from threatmatrix.detect.sql.conditions import Renderer, folded_fields, folded_name
from threatmatrix.detect.sql.dialects import Dialect, call

__all__ = ["INSTALLED", "chdb_counts", "query"]

INSTALLED = importlib.util.find_spec("chdb") is not None
_THREADS = 2


def _contains(text: exp.Expression, part: exp.Expression) -> exp.Expression:
    return exp.GT(this=call("position", text, part), expression=exp.Literal.number(0))


def _search(text: exp.Expression, pattern: exp.Expression) -> exp.Expression:
    # Here alone a dot stands for the end of a line too, unless it is told not to.
    return call("match", text, call("concat", exp.Literal.string("(?-s)"), pattern))


def _fullmatch(text: exp.Expression, pattern: exp.Expression) -> exp.Expression:
    return call("match", text, call("concat", exp.Literal.string(r"(?-s)\A(?:"), pattern, exp.Literal.string(r")\z")))


_CLICKHOUSE = Dialect(
    name="clickhouse",
    contains=_contains,
    startswith=partial(call, "startsWith"),
    endswith=partial(call, "endsWith"),
    search=_search,
    fullmatch=_fullmatch,
    fold=partial(call, "lowerUTF8"),
    escape=partial(call, "regexpQuoteMeta"),
    text=partial(call, "toString"),
    number=partial(call, "toFloat64OrNull"),
    timestamp=partial(call, "fromUnixTimestamp64Micro"),
)


def query(sql: str) -> list[list[int]]:
    """The rows of a query that gives whole numbers."""
    chdb: Any = import_module("chdb")
    rows = str(chdb.query(f"{sql} SETTINGS max_threads = {_THREADS}, max_query_size = 0, max_ast_elements = 0", "CSV"))
    return [[int(cell) for cell in row.split(",")] for row in rows.splitlines()]


def chdb_counts(folder: str, rules: Sequence[EventRule]) -> dict[str, int]:
    """Rule key → how many records match."""
    found: dict[str, int] = {}
    for category in CATEGORIES:
        some = [rule for rule in rules if rule.category == category]
        if some:
            (counts,) = query(_scan(folder, category, some))
            found |= dict(zip((rule.meta.key for rule in some), counts, strict=True))
    return found


def _scan(folder: str, category: str, rules: Sequence[EventRule]) -> str:
    renderer = Renderer(SCHEMA, _CLICKHOUSE, folded=True)
    read = [leaf for rule in rules for leaf in leaves(rule.condition)]
    columns: list[exp.Expr] = [
        exp.column(name, quoted=True) for name in sorted({name for leaf in read for name in leaf.fields})
    ]
    columns += [
        exp.alias_(_CLICKHOUSE.fold(exp.column(name, quoted=True)), folded_name(name), quoted=True)
        for name in sorted({name for leaf in read for name in folded_fields(leaf, SCHEMA)})
    ]
    files = call("file", exp.Literal.string(f"{folder}/*.parquet"), exp.Var(this="Parquet"))
    records = exp.select(*columns).from_(exp.Table(this=files))
    routed = exp.EQ(this=exp.column("category", quoted=True), expression=exp.Literal.string(category))
    tests: list[exp.Expr] = [call("countIf", renderer.test(rule.condition)) for rule in rules]
    return exp.select(*tests).from_(records.where(routed).subquery("records")).sql("clickhouse")
