"""Sigma correlations: guarded, translated, and resolved against the rules that they name."""

from __future__ import annotations

import re
from typing import Any

from sigma.correlations import SigmaCorrelationRule

from threatmatrix.detect.sigma.documents import Document
from threatmatrix.detect.sigma.rules import Bound, Correlation
from threatmatrix.detect.sigma.translate import PARSE_ERRORS, first_line, meta_of
from threatmatrix.model.event import EVENT_COLUMNS

__all__ = ["check_correlation", "correlation_rule"]

CONDITIONS = ("gte", "gt")
TIMESPAN = re.compile(r"[1-9][0-9]{0,8}[smhdw]")
_SECOND = 1_000_000


def correlation_rule(document: Document) -> Correlation:
    """Translate a correlation; ``rules`` still holds names and ids as written. Raises RuleError."""
    check_correlation(document)
    try:
        rule = SigmaCorrelationRule.from_dict(document.raw)
    except PARSE_ERRORS as error:
        raise document.refuse(first_line(error)) from error
    correlation = document.raw["correlation"]
    group_by = tuple(dict.fromkeys(rule.group_by or ()))
    for name in group_by:
        if EVENT_COLUMNS.get(name, "VARCHAR") not in {"VARCHAR", "BIGINT"}:
            problem = f"cannot group by {name!r}: only text and whole numbers have equal values"
            raise document.refuse(problem, "correlation", "group-by")
    (operator, count), *_ = correlation["condition"].items()
    return Correlation(
        meta=meta_of(document, rule),
        kind="event_count",
        rules=tuple(reference.reference for reference in rule.rules or ()),
        group_by=group_by,
        timespan=rule.timespan.seconds * _SECOND,
        bounds=(Bound(operator, count),),
        timespan_text=rule.timespan.spec,
    )


def check_correlation(document: Document) -> None:
    """Refuse every correlation but a sliding event_count."""
    correlation = document.raw.get("correlation")
    if not isinstance(correlation, dict):
        raise document.refuse("a correlation is a mapping", "correlation")
    kind = correlation.get("type")
    if kind != "event_count":
        problem = f"correlation type {kind!r} is not supported"
        raise document.refuse(problem, "correlation", "type", choices=("event_count",))
    if correlation.get("aliases"):
        raise document.refuse("aliases are not supported", "correlation", "aliases")
    rules = correlation.get("rules")
    if not (rules and _is_texts(rules)):
        raise document.refuse("names the rules that are counted, by name or id", "correlation", "rules")
    if not _is_texts(correlation.get("group-by", [])):
        raise document.refuse("is a list of field names", "correlation", "group-by")
    timespan = correlation.get("timespan")
    if not isinstance(timespan, str) or not TIMESPAN.fullmatch(timespan):
        problem = f"timespan {timespan!r} is not supported"
        raise document.refuse(problem, "correlation", "timespan", hint="A number and one of s, m, h, d, w, such as 5m")
    for holder in (document.raw, correlation):
        if not isinstance(holder.get("generate", False), bool):
            raise document.refuse("is true or false", "correlation", "generate")
    _check_count(document, correlation.get("condition"))


def _check_count(document: Document, condition: Any) -> None:
    path = ("correlation", "condition")
    if not isinstance(condition, dict) or not condition:
        raise document.refuse("is a mapping such as gte: 100", *path, choices=CONDITIONS)
    for operator, count in condition.items():
        if operator not in CONDITIONS:
            problem = f"correlation condition {operator!r} is not supported: a sliding count passes any number it can"
            raise document.refuse(problem, *path, operator, choices=CONDITIONS)
        if type(count) is not int or count < (1 if operator == "gte" else 0):
            raise document.refuse("is a whole number that needs at least one event", *path, operator)
    if len(condition) > 1:
        raise document.refuse("one of gte and gt, not both", *path)


def _is_texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))
