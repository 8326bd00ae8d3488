"""Sigma correlations (specification 2.1): read, with everything refused by name that could not be run as written.

pySigma judges what a correlation says about itself; what it asks for is read here, because its versions refuse ranges
(``{gte: 5, lt: 10}``, which the specification has) and let pass what can never fire. What the names stand for is
settled in ``resolve``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sigma.correlations import SigmaCorrelationRule

from threatmatrix.detect.sigma.bounds import COMPARES, read_bounds
from threatmatrix.detect.sigma.documents import Document
from threatmatrix.detect.sigma.expressions import ExpressionError, clauses, named_in, parse
from threatmatrix.detect.sigma.rules import KINDS, TEMPORAL, VALUED, Bound, Correlation, Expression, Kind, RuleName
from threatmatrix.detect.sigma.translate import PARSE_ERRORS, first_line, meta_of

__all__ = ["correlation_rule", "generates"]

KEYS = ("type", "rules", "group-by", "timespan", "condition", "aliases", "generate")
MAX_RULES = 64
MAX_STEPS = 16  # of an ordered correlation: each is a pass over all that its rules match
_TIMESPAN = re.compile(r"([1-9][0-9]{0,8})([smhdwMy])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST = 3660 * 86_400  # seconds
_MICROSECONDS = 1_000_000
_CONDITION = ("correlation", "condition")
_SIMPLE = {"type": "event_count", "rules": ["any"], "timespan": "1m", "condition": {"gte": 1}}


def correlation_rule(document: Document) -> Correlation:
    """Read a correlation; its names of rules are still as they are written. Raises RuleError."""
    content = document.raw.get("correlation")
    if not isinstance(content, dict):
        raise document.refuse("a correlation is a mapping", "correlation")
    for key in content:
        if key not in KEYS:
            raise document.refuse("a correlation has no such key", "correlation", key, choices=KEYS)
    kind = _kind(document, content.get("type"))
    expression = _expression(document, kind, content.get("condition"))
    rules = _rules(document, kind, content, expression)
    try:
        # Whatever pySigma says about the correlation itself depends on its version.
        rule = SigmaCorrelationRule.from_dict({**document.raw, "correlation": _SIMPLE})
    except PARSE_ERRORS as error:
        raise document.refuse(first_line(error)) from error
    condition = content.get("condition")
    asked = condition if isinstance(condition, dict) else {}
    text, timespan = _timespan(document, content.get("timespan"))
    return Correlation(
        meta=meta_of(document, rule),
        kind=kind,
        rules=rules,
        group_by=_fields(document, content.get("group-by", []), "correlation", "group-by"),
        timespan=timespan,
        timespan_text=text,
        bounds=_bounds(document, kind, condition, len(rules), expression),
        field=_counted(document, kind, asked),
        percentile=_percentile(document, kind, asked),
        expression=expression,
        aliases=_aliases(document, content.get("aliases", {})),
    )


def generates(document: Document) -> bool:
    """Whether the rules of a correlation raise findings of their own. Raises RuleError."""
    # The specification names `generate` without saying where it stands; pySigma reads it within the correlation.
    for holder, path in ((document.raw["correlation"], ("correlation", "generate")), (document.raw, ("generate",))):
        if isinstance(holder, dict) and "generate" in holder:
            if not isinstance(holder["generate"], bool):
                raise document.refuse("is true or false", *path)
            return holder["generate"]
    return False


def _kind(document: Document, kind: Any) -> Kind:
    for known in KINDS:
        if kind == known:
            return known
    raise document.refuse(f"there is no correlation of type {kind!r}", "correlation", "type", choices=KINDS)


def _expression(document: Document, kind: Kind, condition: Any) -> Expression | RuleName | None:
    if not isinstance(condition, str):
        return None
    if kind not in TEMPORAL:
        hint = f"A condition over rules is for {' and '.join(sorted(TEMPORAL))}"
        raise document.refuse(f"{kind} compares with a number, such as gte: 100", *_CONDITION, hint=hint)
    try:
        tree = parse(condition)
        ways = clauses(tree)
    except ExpressionError as error:
        raise document.refuse(str(error), *_CONDITION) from error
    if not ways:
        raise document.refuse("can never fire: the condition contradicts itself", *_CONDITION)
    if not all(way.steps for way in ways):
        problem = "asks for nothing that happens: what did not happen is told by what did"
        raise document.refuse(problem, *_CONDITION, hint="Name a rule beside the not, such as: begun and not ended")
    return tree


def _rules(
    document: Document, kind: Kind, content: Mapping[str, Any], expression: Expression | RuleName | None
) -> tuple[str, ...]:
    path, written = ("correlation", "rules"), content.get("rules")
    if written is None and expression is not None:
        written = list(named_in(expression))
    if isinstance(written, str):
        written = [written]
    if not (isinstance(written, list) and written and all(isinstance(name, str) and name for name in written)):
        raise document.refuse("names the rules that are correlated, by name or id", *path)
    most = MAX_STEPS if kind == "temporal_ordered" else MAX_RULES
    if len(written) > most:
        raise document.refuse(f"more than {most} rules", *path)
    if expression is None:
        return tuple(written)
    named = named_in(expression)
    for name in (*named, *written):
        if name not in named:
            raise document.refuse(f"the condition does not name rule {name!r}", *path)
        if name not in written:
            raise document.refuse(f"the condition names {name!r}, which rules does not", *path, choices=written)
    return named  # the order of the steps


def _timespan(document: Document, timespan: Any) -> tuple[str, int]:
    path = ("correlation", "timespan")
    match = _TIMESPAN.fullmatch(timespan) if isinstance(timespan, str) else None
    hint = "A number and one of s, m, h, d, w, such as 5m"
    if match is None:
        raise document.refuse(f"timespan {timespan!r} is not supported", *path, hint=hint)
    if match[2] not in _SECONDS:
        problem = f"timespan {timespan!r} is not supported: months and years have no fixed length"
        raise document.refuse(problem, *path, hint="Write days: 30d")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST:
        raise document.refuse(f"timespan {timespan!r} is longer than ten years", *path)
    return match[0], seconds * _MICROSECONDS


def _bounds(
    document: Document, kind: Kind, condition: Any, rules: int, expression: Expression | RuleName | None
) -> tuple[Bound, ...]:
    if expression is not None:
        return ()
    if condition is None and kind in TEMPORAL:
        return (Bound("gte", rules),)  # all of them
    if not isinstance(condition, dict) or not condition:
        raise document.refuse("is a mapping such as gte: 100", *_CONDITION, choices=COMPARES)
    own = {"field": kind in VALUED, "percentile": kind == "value_percentile"}
    for key in condition:
        if key not in COMPARES and not own.get(key):
            problem = f"{key!r} has no meaning in the condition of {kind}"
            raise document.refuse(
                problem, *_CONDITION, key, choices=(*COMPARES, *(name for name, has in own.items() if has))
            )
    return read_bounds(document, kind, condition)


def _counted(document: Document, kind: Kind, condition: Mapping[str, Any]) -> tuple[str, ...]:
    if kind not in VALUED:
        return ()
    path = (*_CONDITION, "field")
    fields = _fields(document, condition.get("field", []), *path)
    if not fields:
        raise document.refuse(f"{kind} names the field whose values it looks at", *path)
    if len(fields) > 1 and kind != "value_count":
        raise document.refuse(f"{kind} looks at one field", *path)
    return fields


def _percentile(document: Document, kind: Kind, condition: Mapping[str, Any]) -> float:
    if kind != "value_percentile":
        return 50.0
    value = condition.get("percentile")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise document.refuse("value_percentile names a percentile from 0 to 100", *_CONDITION, "percentile")
    return float(value)


def _fields(document: Document, written: Any, *path: str) -> tuple[str, ...]:
    if isinstance(written, str):
        written = [written]
    if not isinstance(written, list) or not all(isinstance(name, str) and name for name in written):
        raise document.refuse("is a list of field names", *path)
    return tuple(dict.fromkeys(written))


def _aliases(document: Document, written: Any) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    path = ("correlation", "aliases")
    if not isinstance(written, dict):
        raise document.refuse("is a mapping of names to rules and their fields", *path)
    for alias, fields in written.items():
        if (
            not isinstance(fields, dict)
            or not fields
            or not all(isinstance(name, str) and name for name in fields.values())
        ):
            raise document.refuse("is a mapping of rules to the field that it stands for there", *path, alias)
    return tuple((alias, tuple(fields.items())) for alias, fields in written.items())
