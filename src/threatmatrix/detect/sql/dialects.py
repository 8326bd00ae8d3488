"""The leaf table of each SQL dialect: SQLGlot translates syntax, not meaning, so every comparison is spelt out here.

A dialect earns its place by passing the conformance tests of tests/detect/sigma/test_sql.py. Each entry takes SQLGlot
expressions and gives one; case folding happens before (``fold`` on both sides, so that one function decides).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sqlglot import exp

from threatmatrix.detect.sigma.ir import Op
from threatmatrix.model.errors import UnknownNameError

__all__ = ["DIALECTS", "Dialect", "dialect_named"]

Compare = Callable[[exp.Expression, exp.Expression], exp.Expression]
Transform = Callable[[exp.Expression], exp.Expression]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one engine spells the comparisons of the intermediate form."""

    name: str  # SQLGlot's name of the dialect
    leaves: Mapping[Op, Compare]
    fold: Transform  # lower case, one character at a time, without collation
    text: Transform  # a whole number as decimal text


def _call(name: str) -> Compare:
    return lambda column, value: exp.Anonymous(this=name, expressions=[column, value])


def _equals(column: exp.Expression, value: exp.Expression) -> exp.Expression:
    return exp.EQ(this=column, expression=value)


def _present(column: exp.Expression, value: exp.Expression) -> exp.Expression:
    return exp.Not(this=exp.Is(this=column, expression=exp.Null()))


_DUCKDB = Dialect(
    name="duckdb",
    leaves=MappingProxyType(
        {
            "equals": _equals,
            "contains": _call("contains"),  # plain substring search: no LIKE, so % and _ are only characters
            "startswith": _call("starts_with"),
            "endswith": _call("ends_with"),
            "present": _present,
        }
    ),
    fold=lambda value: exp.Lower(this=value),
    text=lambda value: exp.Cast(this=value, to=exp.DataType.build("VARCHAR")),
)

DIALECTS: MappingProxyType[str, Dialect] = MappingProxyType({"duckdb": _DUCKDB})


def dialect_named(name: str) -> Dialect:
    """Raises UnknownNameError."""
    try:
        return DIALECTS[name]
    except KeyError:
        raise UnknownNameError("SQL dialect", name, DIALECTS) from None
