"""Where a correlation fires: one row for each group and time."""

from __future__ import annotations

from sqlglot import exp

from threatmatrix.detect.sigma.rules import Bound, Correlation
from threatmatrix.detect.sql.correlations.chains import ordered
from threatmatrix.detect.sql.correlations.counts import at_least, counted, different
from threatmatrix.detect.sql.correlations.numbers import measured
from threatmatrix.detect.sql.correlations.parts import Parts, column, named, number, select
from threatmatrix.detect.sql.correlations.sequences import together

__all__ = ["firing", "moments"]

_COMPARES: dict[str, type[exp.Binary]] = {
    "gte": exp.GTE,
    "gt": exp.GT,
    "lte": exp.LTE,
    "lt": exp.LT,
    "eq": exp.EQ,
    "neq": exp.NEQ,
}


def firing(correlation: Correlation, table: str, dialect: str = "duckdb", *, until: int | None = None) -> str:
    """SELECT g0…, time, started, figure of the moments at which ``correlation`` fires.

    ``table``: ``event`` BIGINT, ``slot`` INTEGER (index in ``correlation.rules``), ``time`` BIGINT µs, ``g0`` … the
    values of ``group_by`` (none NULL), ``v0`` … those of ``field``; one row for each rule that an event matches.
    ``figure``: what the bounds are asked of; of a plain ``event_count`` minimum N it is N, which ends there. Of an
    expression it is the number of its rules that occurred. ``started``: the first of those N events; the first step
    of the chain that began last; else the oldest occurrence in the window. ``until``: the newest time of the data, for
    a ``not``: a window that ends at it or later has not passed and does not fire. Raises UnknownNameError.
    """
    parts = Parts(correlation, table, dialect, until)
    columns = [*parts.groups(), column("time")]
    ends = [named(exp.Min(this=column("started")), "started"), named(exp.Max(this=column("figure")), "figure")]
    return parts.sql(select(*columns, *ends, rows=moments(parts)).group_by(*columns, copy=False))


def moments(parts: Parts) -> exp.Select:
    """As :func:`firing`, but a time may stand in several rows, where several events share it."""
    correlation = parts.correlation
    if correlation.kind == "temporal_ordered":
        figures = ordered(parts)
    elif correlation.kind == "temporal":
        figures = together(parts)
    elif correlation.kind == "value_count":
        figures = different(parts)
    elif correlation.kind != "event_count":
        figures = measured(parts)
    elif correlation.minimum is None:
        figures = counted(parts)
    else:
        return at_least(parts)
    if correlation.expression is not None:
        return figures  # judged there
    columns = [*parts.groups(), column("time"), column("started"), column("figure")]
    return select(*columns, rows=figures, where=list(map(_holds, correlation.bounds)))


def _holds(bound: Bound) -> exp.Expr:
    return _COMPARES[bound.op](this=column("figure"), expression=number(bound.number))
