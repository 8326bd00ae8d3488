"""pySigma → intermediate form: the only module that knows pySigma's classes."""

from __future__ import annotations

import math
from typing import Any

from sigma.conditions import ConditionAND, ConditionFieldEqualsValueExpression, ConditionNOT, ConditionOR
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule, SigmaRuleBase
from sigma.types import SigmaCasedString, SigmaNumber, SigmaString, SpecialChars

from threatmatrix.detect.sigma.documents import Document
from threatmatrix.detect.sigma.guard import check_event_rule
from threatmatrix.detect.sigma.ir import And, Leaf, Node, Not, Op, Or
from threatmatrix.detect.sigma.rules import EventRule, Meta
from threatmatrix.model.event import EVENT_COLUMNS

__all__ = ["PARSE_ERRORS", "event_rule", "first_line", "meta_of"]

# What pySigma raises on a document that passed the guard but not pySigma's own checks.
PARSE_ERRORS = (SigmaError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_INT64 = 2**63


def event_rule(document: Document) -> EventRule:
    """Translate a rule for single events. Raises RuleError, naming what is refused."""
    check_event_rule(document)
    try:
        rule = SigmaRule.from_dict(document.raw)
        tree = rule.detection.parsed_condition[0].parsed
    except PARSE_ERRORS as error:
        raise document.refuse(first_line(error)) from error
    category = str(document.raw["logsource"]["category"])
    return EventRule(meta=meta_of(document, rule), category=category, condition=_node(document, tree))


def first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def meta_of(document: Document, rule: SigmaRuleBase) -> Meta:
    for key in ("fields", "falsepositives"):
        if not all(isinstance(item, str) for item in document.raw.get(key) or ()):
            raise document.refuse("is a list of texts", key)
    return Meta(
        key=str(rule.id or rule.name or rule.title),
        title=rule.title,
        technique=document.source.technique,
        file=document.source.file,
        description=rule.description or "",
        level=str(rule.level or ""),
        name=rule.name or "",
        status=str(rule.status or ""),
        tags=tuple(str(tag) for tag in rule.tags),
        fields=tuple(rule.fields),
        falsepositives=tuple(rule.falsepositives),
    )


def _node(document: Document, tree: Any) -> Node:
    if isinstance(tree, ConditionAND):
        return And(tuple(_node(document, arg) for arg in tree.args))
    if isinstance(tree, ConditionOR):
        return Or(tuple(_node(document, arg) for arg in tree.args))
    if isinstance(tree, ConditionNOT):
        return Not(_node(document, tree.args[0]))
    if isinstance(tree, ConditionFieldEqualsValueExpression):
        return _leaf(document, tree.field, tree.value)
    raise document.refuse(f"{type(tree).__name__} is not supported", "detection", "condition")


def _leaf(document: Document, field: str, value: Any) -> Leaf:
    kind = EVENT_COLUMNS.get(field, "VARCHAR")  # an unknown field is never compared: it has no visibility
    if kind not in {"VARCHAR", "BIGINT", "DOUBLE"}:
        raise document.refuse(f"field {field!r} cannot be compared: it is no text and no number", "detection")
    if isinstance(value, SigmaNumber):
        return Leaf(field, "equals", _number(document, field, kind, value.number))
    if isinstance(value, SigmaString):
        op, text = _pattern(document, field, value)
        if kind == "VARCHAR" or op == "present":
            return Leaf(field, op, text, cased=isinstance(value, SigmaCasedString))
        if kind == "BIGINT" and op != "equals":
            return Leaf(field, op, text, cased=True)  # digits have no case
        problem = f"field {field!r} is a number: {text!r} is text"
        raise document.refuse(problem, "detection", hint="Write the number without quotes")
    raise document.refuse(f"a value of type {type(value).__name__} is not supported", "detection")


def _number(document: Document, field: str, kind: str, number: int | float) -> str | int | float:
    if kind == "VARCHAR":
        if isinstance(number, float):
            problem = f"field {field!r} is text: YAML has already rounded {number}"
            raise document.refuse(problem, "detection", hint="Put the value in quotes")
        return str(number)
    if not math.isfinite(number) or abs(number) >= _INT64:
        raise document.refuse(f"{number} is out of range for field {field!r}", "detection")
    if kind == "BIGINT" and number != int(number):
        raise document.refuse(f"field {field!r} holds whole numbers: it never equals {number}", "detection")
    return int(number) if kind == "BIGINT" else float(number)


def _pattern(document: Document, field: str, value: SigmaString) -> tuple[Op, str]:
    """Split a Sigma string into the kind of comparison and the literal text between its wildcards."""
    parts = list(value.s)
    leading = trailing = False
    while parts and parts[0] is SpecialChars.WILDCARD_MULTI:
        leading, parts = True, parts[1:]
    while parts and parts[-1] is SpecialChars.WILDCARD_MULTI:
        trailing, parts = True, parts[:-1]
    if not parts:
        return ("present", "") if leading else ("equals", "")
    for part in parts:
        if part is SpecialChars.WILDCARD_SINGLE:
            raise document.refuse(f"the wildcard ? is not supported (field {field!r})", "detection")
        if part is SpecialChars.WILDCARD_MULTI:
            raise document.refuse(f"the wildcard * inside a value is not supported (field {field!r})", "detection")
        if not isinstance(part, str):
            raise document.refuse(f"placeholders are not supported (field {field!r})", "detection")
    op: Op = "contains" if leading and trailing else "endswith" if leading else "startswith" if trailing else "equals"
    return op, "".join(part for part in parts if isinstance(part, str))
