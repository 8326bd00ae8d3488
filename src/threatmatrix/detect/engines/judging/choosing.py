"""Which judge decides about which correlation, and how many rows of a group it is given."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from threatmatrix.detect.engines.counting.groups import MAX_HOT
from threatmatrix.detect.engines.judging.absences import Absences
from threatmatrix.detect.engines.judging.aggregates import Aggregate, Distinct, Mean, Number, Quantile, Slots, Sum
from threatmatrix.detect.engines.judging.counts import AtLeast
from threatmatrix.detect.engines.judging.judges import Judge, slots_of, true_of
from threatmatrix.detect.engines.judging.orders import Chains, Ladder, Longest, Ordered
from threatmatrix.detect.engines.judging.windows import Sliding, Together, Verdict
from threatmatrix.detect.sigma.expressions import clauses
from threatmatrix.detect.sigma.rules import Compare, Correlation

__all__ = ["MAX_CROWD", "judge_of"]

_COMPARES: dict[Compare, Callable[[float, float], bool]] = {
    "gte": operator.ge,
    "gt": operator.gt,
    "lte": operator.le,
    "lt": operator.lt,
    "eq": operator.eq,
    "neq": operator.ne,
}

MAX_CROWD = 10_000  # rows of one group where each of them decides: sums, means, percentiles, counts within bounds


def judge_of(rule: Correlation) -> Judge:
    """The judge for a correlation of any kind."""
    if rule.waits:
        return Absences(rule)
    if rule.kind == "temporal_ordered":
        return Ordered(rule.timespan, 0, _ladder(rule))
    if rule.kind == "temporal":
        return Together(rule.timespan, 0, Slots, _rules_asked(rule), lambda one: slots_of(one.slots))
    if rule.kind == "event_count" and rule.minimum is not None:
        return AtLeast(max(1, rule.minimum), rule.timespan, _room_for(rule.minimum))
    return _figures(rule)


def _figures(rule: Correlation) -> Judge:
    asked = _room_for(max(bound.number for bound in rule.bounds))
    if rule.kind == "value_count":
        # One event has at most one value for each of the rules: so many are needed at least.
        least = max(0, -(-(rule.minimum or 0) // len(rule.rules)))
        asks = _figure_asked(rule)
        return Sliding[Aggregate](rule.timespan, asked, Distinct, asks, lambda one: one.values, least=least)
    if rule.kind == "event_count":
        return Sliding[Aggregate](rule.timespan, max(MAX_CROWD, asked), Number, _figure_asked(rule))
    return Sliding[Aggregate](rule.timespan, MAX_CROWD, _measure(rule), _figure_asked(rule))


def _room_for(number: float) -> int:
    """Four times what is asked for, as far as that is within what a rule may hold; but never less than is asked for."""
    return round(max(number, min(4 * number, MAX_HOT)))


def _measure(rule: Correlation) -> Callable[[], Aggregate]:
    if rule.kind == "value_sum":
        return Sum
    if rule.kind == "value_avg":
        return Mean
    percentile = rule.percentile if rule.kind == "value_percentile" else 50.0
    return lambda: Quantile(percentile)


def _holds(rule: Correlation) -> Callable[[float], bool]:
    bounds = [(_COMPARES[bound.op], bound.number) for bound in rule.bounds]
    if len(bounds) == 1:
        ((compare, number),) = bounds
        return lambda figure: compare(figure, number)
    return lambda figure: all(compare(figure, number) for compare, number in bounds)


def _figure_asked(rule: Correlation) -> Callable[[Any, int], Verdict | None]:
    holds = _holds(rule)

    def ask(aggregate: Aggregate, since: int) -> Verdict | None:
        figure = aggregate.figure()
        return Verdict(figure) if figure is not None and holds(figure) else None

    return ask


def _rules_asked(rule: Correlation) -> Callable[[Slots, int], Verdict | None]:
    if rule.expression is None:
        return _figure_asked(rule)
    expression, places = rule.expression, {key: slot for slot, key in enumerate(rule.rules)}

    def ask(aggregate: Slots, since: int) -> Verdict | None:
        return Verdict(aggregate.figure()) if true_of(expression, aggregate.there, places) else None

    return ask


def _ladder(rule: Correlation) -> Ladder:
    places = {key: slot for slot, key in enumerate(rule.rules)}
    if rule.expression is not None:
        return Chains([[places[step] for step in clause.steps] for clause in clauses(rule.expression)])
    if rule.minimum == len(rule.rules):
        return Chains([range(len(rule.rules))])
    return Longest(len(rule.rules), _holds(rule))
