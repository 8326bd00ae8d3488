"""What the finding of an episode says."""

from __future__ import annotations

from math import isfinite
from typing import Any

from threatmatrix.detect.engines.counting.chains import Plan
from threatmatrix.detect.engines.counting.evidence import make_finding
from threatmatrix.detect.engines.counting.groups import Episode, Group
from threatmatrix.detect.sigma.rules import VALUED, Correlation, Expression, RuleName
from threatmatrix.model.detection import Finding

__all__ = ["condition_of", "figure_told", "finding_of"]


def finding_of(plan: Plan, group: Group, episode: Episode) -> Finding:
    """The finding of an episode as it stands now.

    Details: ``group`` (field → value), ``condition`` (what is asked for), ``figure`` (of the first firing),
    ``timespan_seconds``; of a plain count ``minimum``; of the temporal kinds ``steps``, the first completed chain in
    the order of its events; ``merged_into`` where a late event joined it to an older one.
    """
    rule = plan.rule
    details: dict[str, Any] = {
        "group": dict(zip(rule.group_by, group.key, strict=True)),
        "condition": condition_of(rule),
        "timespan_seconds": rule.timespan // 1_000_000,
    }
    if rule.kind == "event_count" and rule.minimum is not None:
        details["minimum"] = rule.minimum
    if isfinite(episode.figure):
        details["figure"] = episode.figure
    if episode.steps:
        details["steps"] = [
            {
                "rule": plan.metas[step.slot].key,
                "title": plan.metas[step.slot].title,
                "technique": plan.metas[step.slot].technique,
                "event_id": step.row.event_id,
                "time": step.row.time,
            }
            for step in sorted(episode.steps, key=lambda step: step.row.time)
        ]
    if episode.merged_into:
        details["merged_into"] = episode.merged_into
    seen = figure_told(rule, episode.figure, len(episode.steps))
    return make_finding(
        rule, episode.finding_id, episode.evidence, episode.alarm, details, opened=episode.opened, seen=seen
    )


def figure_told(rule: Correlation, figure: float, steps: int) -> str:
    """The figure in words, for the sentence that explains a finding; empty for a count of events."""
    if rule.kind in VALUED:
        names = " and ".join(rule.field)
        number = f"{figure:,.6g}" if figure % 1 else f"{figure:,.0f}"
        what = {
            "value_count": f"{number} different {names}",
            "value_sum": f"{names} adding up to {number}",
            "value_avg": f"{names} of {number} on average",
            "value_median": f"a median {names} of {number}",
        }
        return what.get(rule.kind, f"percentile {rule.percentile:g} of {names} at {number}")
    if steps:
        return f"{steps} step{'s' if steps != 1 else ''} of {len(rule.rules)}"
    return ""


def condition_of(rule: Correlation) -> dict[str, int | float] | str:
    """What is asked for: {"gte": 3}, or the expression over rules as text."""
    if rule.expression is None:
        return {bound.op: bound.number for bound in rule.bounds}
    return _text(rule.expression)


def _text(expression: Expression | RuleName) -> str:
    if isinstance(expression, RuleName):
        return expression.key
    if expression.op == "not":
        return f"not {_text(expression.items[0])}"
    return "(" + f" {expression.op} ".join(map(_text, expression.items)) + ")"
