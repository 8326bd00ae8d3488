"""Which rules occurred within a sliding window: ``temporal``, and what both temporal kinds share.

A condition with a ``not`` looks ahead: its window begins with an occurrence that it asks for. That is the same search
in a mirror, so the times are negated (and the steps turned round) and the SQL stays one.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from threatmatrix.detect.sigma.expressions import clauses
from threatmatrix.detect.sigma.rules import ABSENCE, Expression, RuleName
from threatmatrix.detect.sql.correlations.parts import (
    DOUBLED,
    Parts,
    add,
    case,
    column,
    is_last,
    named,
    number,
    or_else,
    select,
    subtract,
)

__all__ = ["count_of_rules", "judged", "mirrored", "place", "seen", "together", "told"]


def together(parts: Parts) -> exp.Select:
    """``temporal``: (g…, time, started, figure) at every occurrence; where there is an expression, where it holds."""
    correlation, at = parts.correlation, column("at")
    where = [] if correlation.expression is None else [_holds(parts, correlation.expression)]
    if correlation.waits:
        columns = [*seen(parts, column("slot"), [at]), parts.following([at])]
        windows = select(*parts.groups(), at, *columns, rows=mirrored(parts))
        return told(parts, at, rows=windows, where=[is_last(), *where, *judged(parts)])
    columns = [column("time"), column("slot"), parts.next_one()]
    rows = parts.doubled(select(*parts.groups(), *columns, rows=parts.occurrences()), column("slot"))
    came = exp.EQ(this=column("gone"), expression=number(0))
    columns = [column("gone"), parts.oldest(), *seen(parts, case(came, column("slot")), DOUBLED)]
    windows = select(*parts.groups(), at, *columns, parts.following(DOUBLED), rows=rows)
    return told(parts, column("started"), rows=windows, where=[came, is_last(), *where])


def mirrored(parts: Parts) -> exp.Select:
    """The occurrences with negated times and the rules counted from the last: (g…, at, slot)."""
    last = len(parts.correlation.rules) - 1
    columns = [named(exp.Neg(this=column("time")), "at"), named(subtract(number(last), column("slot")), "slot")]
    return select(*parts.groups(), *columns, rows=parts.occurrences())


def place(parts: Parts, key: str) -> int:
    """The slot of a rule, in the mirror where the correlation looks ahead."""
    slot = parts.correlation.rules.index(key)
    return len(parts.correlation.rules) - 1 - slot if parts.correlation.waits else slot


def seen(parts: Parts, slot: exp.Expr, order: Sequence[exp.Expr]) -> list[exp.Expr]:
    """``s0``, ``s1`` …: when each rule was seen last, by now."""
    each = [case(exp.EQ(this=slot, expression=number(at)), column("at")) for at in range(len(parts.correlation.rules))]
    return [named(parts.latest(time, order), f"s{at}") for at, time in enumerate(each)]


def told(
    parts: Parts,
    started: exp.Expr,
    figure: exp.Expr | None = None,
    *,
    rows: exp.Expr,
    where: Sequence[exp.Expr] = (),
) -> exp.Select:
    """SELECT g…, time, started, figure: the mirror undone."""
    time: exp.Expr = column("at")
    began = started
    if parts.correlation.waits:
        time, began = exp.Neg(this=time), exp.Neg(this=column("at"))
    columns = [named(time, "time"), named(began, "started"), named(figure or count_of_rules(parts), "figure")]
    return select(*parts.groups(), *columns, rows=rows, where=where)


def count_of_rules(parts: Parts) -> exp.Expr:
    """How many rules have been seen within the window."""
    each = [case(_within(parts, at), number(1), number(0)) for at in range(len(parts.correlation.rules))]
    total: exp.Expr = each[0]
    for one in each[1:]:
        total = exp.Add(this=total, expression=one)
    return total


def judged(parts: Parts) -> list[exp.Expr]:
    """Of a condition that looks ahead: the window has passed, and begins with a rule that is asked for."""
    correlation = parts.correlation
    assert correlation.expression is not None
    wanted = sorted({place(parts, step) for clause in clauses(correlation.expression) for step in clause.steps})
    here = exp.or_(*(exp.EQ(this=column(f"s{at}"), expression=column("at")) for at in wanted), copy=False)
    newest: exp.Expr = select(exp.Max(this=column("time")), rows=parts.occurrences()).subquery(copy=False)
    if parts.until is not None:
        newest = number(parts.until)
    end = add(exp.Neg(this=column("at")), parts.span)
    return [here, exp.LT(this=end, expression=newest)]


def _holds(parts: Parts, tree: Expression | RuleName | None) -> exp.Expr:
    assert tree is not None
    if isinstance(tree, RuleName):
        return _within(parts, place(parts, tree.key))
    items = [_holds(parts, item) for item in tree.items]
    if tree.op == ABSENCE:
        return exp.Not(this=exp.paren(items[0]))
    return exp.paren((exp.and_ if tree.op == "and" else exp.or_)(*items, copy=False), copy=False)


def _within(parts: Parts, at: int) -> exp.Expr:
    """Whether the rule in this place was seen within the window: never NULL."""
    last = column(f"s{at}")
    since = exp.GTE(this=last, expression=subtract(column("at"), parts.span))
    return exp.paren(or_else(since, exp.false()))
