"""``temporal_ordered``: rules that occurred one after the other, at strictly increasing times, within a sliding window.

Whoever has taken a step inherits the start of the step before it: the *latest start* of a chain along its first steps
is known at every row once it is known for one step less, so one pass over the sorted rows is made for each step, and
nothing is ever joined. Rows of one time stand with the later steps first, so that what is seen "so far" is strictly
older.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from threatmatrix.detect.sigma.expressions import Clause, clauses
from threatmatrix.detect.sql.correlations.parts import (
    Parts,
    case,
    column,
    is_last,
    named,
    number,
    or_else,
    select,
    subtract,
)
from threatmatrix.detect.sql.correlations.sequences import judged, mirrored, place, seen, told

__all__ = ["ordered"]

_NEVER = -(2**62)  # earlier than any time
_ORDER = (column("at"), exp.Ordered(this=column("slot"), desc=True))
Chain = tuple[int, ...]


def ordered(parts: Parts) -> exp.Select:
    """(g…, time, started, figure), one row for each time; where there is an expression or only whole chains count,
    of those times at which it holds.
    """
    correlation = parts.correlation
    steps = len(correlation.rules)
    if correlation.expression is not None:
        return _by_clauses(parts)
    if correlation.minimum != steps:
        return _longest(parts)
    whole = tuple(range(steps))
    windows = _chained(parts, _steps(parts), [whole])
    where = [_recent(parts, _start(whole)), is_last()]
    return told(parts, _start(whole), number(steps), rows=windows, where=where)


def _by_clauses(parts: Parts) -> exp.Select:
    """A clause holds: a chain of its steps, and nothing of what must not occur."""
    correlation = parts.correlation
    assert correlation.expression is not None
    found = clauses(correlation.expression)
    chains = [tuple(sorted(place(parts, step) for step in clause.steps)) for clause in found]
    rows = mirrored(parts) if correlation.waits else _steps(parts)
    windows = _chained(parts, rows, chains, *seen(parts, column("slot"), _ORDER))
    best = _greatest([_clause(parts, chain, clause) for chain, clause in zip(chains, found, strict=True)])
    found_one = exp.GT(this=best, expression=number(_NEVER))
    where = [found_one, is_last(), *(judged(parts) if correlation.waits else ())]
    return told(parts, best, rows=windows, where=where)


def _clause(parts: Parts, chain: Chain, clause: Clause) -> exp.Expr:
    """The start of the clause's chain, or :data:`_NEVER`."""
    absent = [
        exp.Not(this=exp.paren(or_else(_recent(parts, column(f"s{place(parts, key)}")), exp.false())))
        for key in sorted(clause.without)
    ]
    return case(exp.and_(_recent(parts, _start(chain)), *absent, copy=False), _start(chain), number(_NEVER))


def _longest(parts: Parts) -> exp.Select:
    """The most steps in order, any of them left out, that a chain within the window has."""
    steps, rows, at = len(parts.correlation.rules), _steps(parts), column("at")
    before: dict[int, exp.Expr] = dict.fromkeys(range(-1, steps), at)  # last step → latest start, one step less
    for length in range(1, steps + 1):
        ends = range(length - 1, steps)
        found = [named(_step(parts, end, before[end - 1]), f"b{end}") for end in ends]
        shorter = [column(f"l{done}") for done in range(1, length)]
        following = [parts.following(_ORDER)] if length == steps else []
        stage = select(*parts.groups(), at, column("slot"), *shorter, *following, *found, rows=rows)
        merged = {end: _greatest([column(f"b{one}") for one in ends if one <= end]) for end in ends}
        columns = [named(start, f"a{end}") for end, start in merged.items()]
        extra = [column("following")] if length == steps else []
        longest = named(merged[steps - 1], f"l{length}")
        rows = select(*parts.groups(), at, column("slot"), *shorter, *extra, longest, *columns, rows=stage)
        before = {end: column(f"a{end}") for end in ends}
    figure, started = exp.Case(), exp.Case()
    for length in range(steps, 0, -1):
        recent = _recent(parts, column(f"l{length}"))
        figure, started = figure.when(recent, number(length)), started.when(recent, column(f"l{length}"))
    return told(parts, started, figure, rows=rows, where=[is_last()])


def _chained(parts: Parts, rows: exp.Select, chains: Sequence[Chain], *columns: exp.Expr) -> exp.Select:
    """Rows with the latest start of every chain, ``columns`` and the time of the next row.

    One SELECT within the other for each step; chains that begin alike share those steps.
    """
    kept: list[Chain] = []
    depth = max(map(len, chains))
    for length in range(1, depth + 1):
        begun = dict.fromkeys(chain[:length] for chain in chains if len(chain) >= length)
        found = [
            named(_step(parts, chain[-1], _start(chain[:-1]) if length > 1 else column("at")), _name(chain))
            for chain in begun
        ]
        last = length == depth
        more = [*columns, parts.following(_ORDER)] if last else [column("slot")]
        rows = select(*parts.groups(), column("at"), *map(_start, kept), *found, *more, rows=rows)
        kept = [chain for chain in dict.fromkeys([*kept, *begun]) if _is_needed(chain, chains, length)]
    return rows


def _is_needed(chain: Chain, chains: Sequence[Chain], length: int) -> bool:
    return chain in chains or (len(chain) == length and any(one[:length] == chain for one in chains))


def _steps(parts: Parts) -> exp.Select:
    columns = [*parts.groups(), named(column("time"), "at"), column("slot")]
    return select(*columns, rows=parts.occurrences())


def _step(parts: Parts, slot: int, start: exp.Expr) -> exp.Expr:
    """The latest ``start`` that a row of this slot has inherited, so far."""
    taken = exp.EQ(this=column("slot"), expression=number(slot))
    return parts.latest(case(taken, start), _ORDER)


def _recent(parts: Parts, start: exp.Expr) -> exp.Expr:
    return exp.GTE(this=start, expression=subtract(column("at"), parts.span))


def _greatest(values: Sequence[exp.Expr]) -> exp.Expr:
    known = [or_else(value, number(_NEVER)) for value in values]
    return known[0] if len(known) == 1 else exp.Greatest(this=known[0], expressions=known[1:])


def _start(chain: Chain) -> exp.Expr:
    return column(_name(chain))


def _name(chain: Chain) -> str:
    return "c" + "_".join(map(str, chain))
