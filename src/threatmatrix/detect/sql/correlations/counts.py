"""How many events, or how many different values, a sliding window holds."""

from __future__ import annotations

from sqlglot import exp

from threatmatrix.detect.sql.correlations.parts import (
    DOUBLED,
    Parts,
    add,
    case,
    column,
    is_last,
    named,
    number,
    select,
    so_far,
    subtract,
)
from threatmatrix.detect.sql.correlations.possible import least

__all__ = ["at_least", "counted", "different"]


def at_least(parts: Parts) -> exp.Select:
    """``event_count`` of at least N, by one look back: the (N-1)th event before this one lies in the window.

    ``figure`` is N, the events from ``started`` to this one: what else the window holds is not counted.
    """
    minimum = parts.correlation.minimum
    assert minimum is not None
    time, started = column("time"), column("started")
    back = exp.Lag(this=time, offset=number(minimum - 1))
    windows = select(*parts.groups(), time, named(parts.over(back, time), "started"), rows=parts.events())
    figure = named(number(minimum), "figure")
    within = exp.LTE(this=subtract(time, started), expression=number(parts.span))
    return select(*parts.groups(), time, started, figure, rows=windows, where=[within])


def counted(parts: Parts) -> exp.Select:
    """``event_count``: (g…, time, started, figure) at every event of a window that may hold enough."""
    one = named(number(1), "arrives")
    columns = [column("time"), one, named(number(1), "leaves"), parts.next_one()]
    return _summed(parts, select(*parts.groups(), *columns, rows=_crowded(parts)))


def different(parts: Parts) -> exp.Select:
    """``value_count``: (g…, time, started, figure) at every event of a window that may hold enough.

    A value is in the window from its first occurrence until a timespan after the last of a run of occurrences that
    are at most a timespan apart: only the ends of runs count, so that no window is ever searched for its values.
    """
    time = column("time")
    before = subtract(time, parts.over(exp.Lag(this=time), time, within=parts.values))
    after = subtract(parts.over(exp.Lead(this=time), time, within=parts.values), time)
    columns = [named(_ends_run(parts, gap), name) for gap, name in ((before, "arrives"), (after, "leaves"))]
    return _summed(parts, select(*parts.groups(), time, *columns, parts.next_one(), rows=_crowded(parts)))


def _crowded(parts: Parts) -> exp.Expr:
    """The events, without most of those that lie in no window of as many as are asked for.

    Of N events within a timespan each has half of the others on one of its sides. One sort tells, and what follows
    sorts what is left. A window that holds N events loses none of them, so its figure stays what it was; that of any
    other stays below N.
    """
    enough = least(parts.correlation)
    if enough < 2:
        return parts.events()
    time, half = column("time"), number(enough // 2)
    before, after = (parts.over(look(this=time, offset=half), time) for look in (exp.Lag, exp.Lead))
    columns = [time, *map(column, parts.values), named(before, "before"), named(after, "after")]
    around = select(*parts.groups(), *columns, rows=parts.events())
    since = exp.GTE(this=column("before"), expression=subtract(time, parts.span))
    until = exp.LTE(this=column("after"), expression=add(time, parts.span))
    columns = [time, *map(column, parts.values)]
    near = exp.or_(since, until, copy=False)
    return select(*parts.groups(), *columns, rows=around, where=[near]).subquery("crowded", copy=False)


def _ends_run(parts: Parts, gap: exp.Expr) -> exp.Expr:
    joined = exp.LTE(this=gap, expression=number(parts.span))
    missing = [exp.Is(this=column(value), expression=exp.Null()) for value in parts.values]
    return case(exp.or_(*missing, joined, copy=False), number(0), number(1))


def _summed(parts: Parts, marked: exp.Select) -> exp.Select:
    gone = exp.EQ(this=column("gone"), expression=number(1))
    change = case(gone, exp.Neg(this=column("leaves")), column("arrives"))
    rows = parts.doubled(marked, named(change, "change"))
    # A sum of DOUBLEs, exact up to 2**53, costs half of one of 128-bit whole numbers.
    total = parts.over(exp.Sum(this=exp.cast(column("change"), "DOUBLE")), *DOUBLED, frame=so_far())
    columns = [column("at"), column("gone"), parts.oldest(), named(total, "figure"), parts.following(DOUBLED)]
    figures = select(*parts.groups(), *columns, rows=rows)
    figure = exp.cast(column("figure"), "BIGINT")
    columns = [named(column("at"), "time"), column("started"), named(figure, "figure")]
    came = exp.EQ(this=column("gone"), expression=number(0))
    return select(*parts.groups(), *columns, rows=figures, where=[came, is_last()])
