"""The leaf table of each SQL dialect: SQLGlot translates syntax, not meaning, so every comparison is spelt out here.

A dialect earns its place by passing the conformance tests of tests/detect/sql/test_scan_conditions.py. Each entry
takes SQLGlot expressions and gives one; case folding happens before (``fold`` on both sides, so that one function
decides).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from sqlglot import exp

from threatmatrix.detect.sigma.ir import Part
from threatmatrix.model.errors import UnknownNameError

__all__ = ["DIALECTS", "Dialect", "call", "dialect_named"]

Compare = Callable[[exp.Expression, exp.Expression], exp.Expression]
Transform = Callable[[exp.Expression], exp.Expression]

# What a number looks like in text: digits of ASCII, no "nan", "inf", 1_000 or 0x10, which some CASTs accept.
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_LAST_TIME = 9_000_000_000_000_000_000  # µs; every engine here can still say of which year this is
_MINUTE = 60_000_000


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one engine spells the comparisons of the intermediate form; all of them are NULL where a side is NULL."""

    name: str  # SQLGlot's name of the dialect
    contains: Compare
    startswith: Compare
    endswith: Compare
    search: Compare  # RE2, anywhere in the text
    fullmatch: Compare  # RE2, the whole text
    fold: Transform  # lower case, one character at a time, without collation
    escape: Transform  # text → the RE2 pattern that matches just this text
    text: Transform  # a number as decimal text
    number: Transform  # text as the number that it spells, NULL where it spells none
    timestamp: Transform  # µs since 1970 → a timestamp in UTC

    def part(self, time: exp.Expression, part: Part) -> exp.Expression:
        """That part of ``time`` (µs, UTC), a whole number."""
        if part in {"minute", "hour"}:
            # By arithmetic, rounded down also before 1970: half the cost of a timestamp.
            size, count = (_MINUTE, 60) if part == "minute" else (60 * _MINUTE, 24)
            whole = _modulo(_modulo(time, size * count, add=size * count), size * count)
            return exp.cast(exp.Floor(this=exp.Div(this=whole, expression=exp.Literal.number(size))), "BIGINT")
        limits = (exp.Literal.number(-_LAST_TIME), exp.Literal.number(_LAST_TIME))
        sane = exp.Between(this=time.copy(), low=limits[0], high=limits[1])
        moment = exp.Case().when(sane, self.timestamp(time))
        return exp.Extract(this=exp.Var(this=part.upper()), expression=moment)


def call(name: str, *arguments: exp.Expression) -> exp.Expression:
    """The function ``name`` of the dialect, as it is called there."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def _modulo(value: exp.Expression, by: int, add: int = 0) -> exp.Expression:
    rest: exp.Expression = exp.Mod(this=exp.paren(value), expression=exp.Literal.number(by))
    return exp.Add(this=rest, expression=exp.Literal.number(add)) if add else rest


def _duckdb_number(value: exp.Expression) -> exp.Expression:
    spelt = call("regexp_full_match", value, exp.Literal.string(_NUMBER))
    return exp.Case().when(spelt, exp.TryCast(this=value.copy(), to=exp.DataType.build("DOUBLE")))


_DUCKDB = Dialect(
    name="duckdb",
    contains=partial(call, "contains"),  # plain substring search: no LIKE, so % and _ are only characters
    startswith=partial(call, "starts_with"),
    endswith=partial(call, "ends_with"),
    search=partial(call, "regexp_matches"),
    fullmatch=partial(call, "regexp_full_match"),
    fold=lambda value: exp.Lower(this=value),
    escape=partial(call, "regexp_escape"),
    text=lambda value: exp.cast(value, "VARCHAR"),
    number=_duckdb_number,
    timestamp=partial(call, "make_timestamp"),
)

DIALECTS: Mapping[str, Dialect] = MappingProxyType({"duckdb": _DUCKDB})


def dialect_named(name: str) -> Dialect:
    """Raises UnknownNameError."""
    try:
        return DIALECTS[name]
    except KeyError:
        raise UnknownNameError("SQL dialect", name, DIALECTS) from None
