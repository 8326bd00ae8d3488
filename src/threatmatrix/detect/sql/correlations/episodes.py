"""Moments at which a correlation fires → episodes."""

from __future__ import annotations

from sqlglot import exp

from threatmatrix.detect.sigma.rules import Correlation
from threatmatrix.detect.sql.correlations.firing import moments
from threatmatrix.detect.sql.correlations.parts import (
    Parts,
    add,
    case,
    column,
    named,
    number,
    select,
    subtract,
)

__all__ = ["episodes"]


def episodes(correlation: Correlation, table: str, dialect: str = "duckdb", *, until: int | None = None) -> str:
    """SELECT g0…, started, fired, last, firings, figure of the episodes of ``correlation`` over ``table``.

    Times at which one group fires and that are at most a timespan apart are one episode: ``fired`` is the first of
    them, ``last`` the last, ``firings`` their number; ``started`` and ``figure`` are those of the first
    (:func:`~threatmatrix.detect.sql.correlations.firing.firing` says what they are, and what ``table`` and ``until``
    hold). For a table at rest; a stream is counted by ``detect.engines``, and tests hold the two to each other.
    """
    parts = Parts(correlation, table, dialect, until)
    keys, started, time, figure = parts.groups(), column("started"), column("time"), column("figure")
    first, order = column("first"), (column("time"), column("started"))
    before = subtract(time, parts.over(exp.Lag(this=time), *order))
    after = subtract(parts.over(exp.Lead(this=time), *order), time)
    columns = [
        named(_apart(parts, before), "first"),
        named(_apart(parts, after), "last"),
        named(parts.over(exp.DenseRank(), time), "moment"),
    ]
    # Only the ends of episodes are numbered and gathered: where everything fires, they are few.
    firing = select(*keys, time, started, figure, *columns, rows=moments(parts))
    ends = exp.or_(*(exp.EQ(this=column(name), expression=number(1)) for name in ("first", "last")), copy=False)
    episode = named(parts.over(exp.Sum(this=first), time), "episode")
    numbered = select(*keys, time, started, figure, column("moment"), first, episode, rows=firing, where=[ends])
    is_first = exp.EQ(this=first, expression=number(1))
    length = add(subtract(exp.Max(this=column("moment")), exp.Min(this=column("moment"))), 1)
    figures = [
        named(exp.Min(this=started), "started"),
        named(exp.Min(this=time), "fired"),
        named(exp.Max(this=time), "last"),
        named(length, "firings"),
        named(exp.Max(this=case(is_first, figure)), "figure"),
    ]
    return parts.sql(select(*keys, *figures, rows=numbered).group_by(*keys, column("episode"), copy=False))


def _apart(parts: Parts, gap: exp.Expr) -> exp.Expr:
    return case(exp.LTE(this=gap, expression=number(parts.span)), number(0), number(1))
