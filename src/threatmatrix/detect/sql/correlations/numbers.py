"""Sums, means and percentiles of the numbers that a sliding window holds.

Running sums that are taken apart again would lose what floating point rounds away, so these alone use RANGE frames:
their cost grows with the numbers in a window, and a percentile's where there are no windowed ones (SQLite) with their
square.
"""

from __future__ import annotations

from sqlglot import exp

from threatmatrix.detect.sql.correlations.parts import (
    Parts,
    add,
    case,
    column,
    named,
    number,
    or_else,
    select,
    subtract,
)

__all__ = ["measured"]

_WINDOWED_PERCENTILE = frozenset({"duckdb"})


def measured(parts: Parts) -> exp.Select:
    """Sum, mean, median, percentile: (g…, time, started, figure); ``figure`` is NULL where there is no number."""
    kind, value = parts.correlation.kind, column("v0")
    if kind == "value_sum":
        return _framed(parts, exp.Sum(this=value))
    if kind == "value_avg":
        return _framed(parts, exp.Avg(this=value))
    share = (50.0 if kind == "value_median" else parts.correlation.percentile) / 100
    if parts.dialect in _WINDOWED_PERCENTILE:
        return _framed(parts, exp.PercentileCont(this=exp.cast(value, "DOUBLE"), expression=number(share)))
    return _ranked(parts, share)


def _framed(parts: Parts, call: exp.Expr) -> exp.Select:
    time, span = column("time"), number(parts.span)
    frame = exp.WindowSpec(kind="RANGE", start=span, start_side="PRECEDING", end="CURRENT ROW")
    figure = exp.cast(parts.over(call, time, frame=frame), "DOUBLE")
    started = parts.over(exp.Min(this=time), time, frame=frame)
    columns = [time, named(started, "started"), named(figure, "figure")]
    return select(*parts.groups(), *columns, rows=parts.events())


def _ranked(parts: Parts, share: float) -> exp.Select:
    """Every moment beside the numbers of its window, in their order."""
    value, time, moment = _of("inside", "v0"), _of("inside", "time"), _of("moments", "time")
    moments = select(*parts.groups(), column("time"), rows=parts.occurrences()).distinct(copy=False)
    alike = [exp.EQ(this=_of("inside", key), expression=_of("moments", key)) for key in parts.keys]
    since = exp.GTE(this=time, expression=subtract(moment, parts.span))
    near = exp.and_(*alike, since, exp.LTE(this=time, expression=moment))
    keys = [*(_of("moments", key) for key in parts.keys), moment]
    missing = case(exp.Is(this=value, expression=exp.Null()), number(1), number(0))
    order = exp.Order(expressions=[exp.Ordered(this=missing), exp.Ordered(this=value)])
    rank = exp.Window(this=exp.RowNumber(), partition_by=keys, order=order)
    columns = [
        named(value, "v0"),
        named(exp.Window(this=exp.Min(this=time), partition_by=keys), "started"),
        named(subtract(rank, 1), "rank"),
        named(exp.Window(this=exp.Count(this=value), partition_by=keys), "size"),
    ]
    ranked = select(*keys, *columns, rows=moments.subquery("moments", copy=False))
    return _interpolated(parts, ranked.join(_aliased(parts, "inside"), on=near), share)


def _of(rows: str, name: str) -> exp.Column:
    return exp.column(name, table=rows, quoted=True)


def _aliased(parts: Parts, name: str) -> exp.Expr:
    events = parts.events()
    return events.as_(name) if isinstance(events, exp.Subquery) else exp.alias_(events, name, table=True)


def _interpolated(parts: Parts, ranked: exp.Select, share: float) -> exp.Select:
    """Linear between the two closest ranks."""
    groups, time = parts.groups(), column("time")
    place = exp.Mul(this=exp.paren(subtract(column("size"), 1)), expression=number(share))
    below = exp.cast(place, "BIGINT")  # cut off in every dialect that comes here
    placed = select(exp.Star(), named(place, "place"), named(below, "below"), rows=ranked)
    lower = exp.Max(this=case(exp.EQ(this=column("rank"), expression=column("below")), column("v0")))
    upper = exp.Max(this=case(exp.EQ(this=column("rank"), expression=add(column("below"), 1)), column("v0")))
    part = exp.Max(this=subtract(column("place"), column("below")))
    between = exp.Mul(this=exp.paren(subtract(or_else(upper, lower), lower)), expression=part)
    figure = exp.cast(add(lower, between), "DOUBLE")
    started = named(exp.Min(this=column("started")), "started")
    has = exp.GT(this=column("size"), expression=number(0))
    query = select(*groups, time, started, named(figure, "figure"), rows=placed, where=[has])
    return query.group_by(*groups, time, copy=False)
