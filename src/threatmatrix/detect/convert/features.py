"""What of a rule a SIEM backend may change: the features that the capability table speaks of.

They are looked for in pySigma's own tree, which is what the backend is given: not in our intermediate form, where
modifiers are gone and fields have our types.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from unicodedata import category

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.types import (
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SpecialChars,
)

from threatmatrix.detect.convert.capabilities import Feature

__all__ = ["RESERVED", "Found", "features", "names"]

Found = tuple[Feature, str]
"""A feature, and the field where it stands; empty for a value without a field."""

RESERVED = frozenset({"AND", "OR", "NOT"})
"""What a query language reads as an operator, where a name or a text should stand."""

_ENDS = 2
_BREAKS = frozenset({"Zl", "Zp"})


def features(tree: Any, *, negated: bool = False, beside_or: bool = False) -> Iterator[Found]:
    """Every feature of a parsed condition of pySigma, from left to right; one may come several times."""
    if isinstance(tree, ConditionNOT):
        yield from features(tree.args[0], negated=True, beside_or=beside_or)
    elif isinstance(tree, ConditionAND | ConditionOR):
        either = isinstance(tree, ConditionOR)
        yield from _of_list(tree.args) if either else _of_all(tree.args)
        for item in tree.args:
            yield from features(item, negated=negated, beside_or=beside_or or either)
    elif isinstance(tree, ConditionValueExpression):
        yield "keyword", ""
    elif isinstance(tree, ConditionFieldEqualsValueExpression):
        yield from _of_value(tree.field, tree.value, negated=negated, beside_or=beside_or)


def names(tree: Any) -> Iterator[str]:
    """Every field that a parsed condition of pySigma names, the one that is compared with included."""
    if isinstance(tree, ConditionAND | ConditionOR | ConditionNOT):
        for item in tree.args:
            yield from names(item)
    elif isinstance(tree, ConditionFieldEqualsValueExpression):
        yield tree.field
        if isinstance(tree.value, SigmaFieldReference):
            yield tree.value.field


def _compared(items: Sequence[Any], kind: type) -> Counter[str]:
    return Counter(
        item.field
        for item in items
        if isinstance(item, ConditionFieldEqualsValueExpression) and isinstance(item.value, kind)
    )


def _of_list(items: Sequence[Any]) -> Iterator[Found]:
    for field, count in _compared(items, SigmaNumber).items():
        if count > 1:
            yield "numbers in a list", field


def _of_all(items: Sequence[Any]) -> Iterator[Found]:
    texts = [
        item
        for item in items
        if isinstance(item, ConditionFieldEqualsValueExpression)
        and isinstance(item.value, SigmaString)
        and not item.value.contains_special()
    ]
    for field, count in _compared(texts, SigmaString).items():
        if count > 1:
            yield "texts that must all be equal", field


def _of_value(field: str, value: Any, *, negated: bool, beside_or: bool) -> Iterator[Found]:
    if isinstance(value, SigmaExpansion):
        for one in value.values:
            yield from _of_value(field, one, negated=negated, beside_or=True)
    elif isinstance(value, SigmaString):
        yield from _of_text(field, value)
    elif isinstance(value, SigmaNull) or (isinstance(value, SigmaExists) and bool(value.exists) == negated):
        yield "no value", field
    else:
        yield from ((feature, field) for feature in _of_other(value, negated=negated, beside_or=beside_or))


def _of_other(value: Any, *, negated: bool, beside_or: bool) -> Iterator[Feature]:
    if isinstance(value, SigmaBool):
        yield "truth value"
    elif isinstance(value, SigmaRegularExpression):
        yield "regex"
        if _has_control(str(value.regexp)):
            yield "control character"
        if beside_or:
            yield "regex beside or"
        if negated:
            yield "negated regex"
    elif isinstance(value, SigmaCIDRExpression):
        if ":" in str(value.cidr):
            yield "cidr of IPv6"
        if negated:
            yield "negated cidr"
    elif isinstance(value, SigmaFieldReference):
        yield "fieldref"
    elif isinstance(value, SigmaTimestampPart) or isinstance(getattr(value, "number", None), SigmaTimestampPart):
        yield "time part"
    elif negated and isinstance(value, SigmaNumber | SigmaCompareExpression):
        yield "negated number"


def _of_text(field: str, value: SigmaString) -> Iterator[Found]:
    if isinstance(value, SigmaCasedString):
        yield "cased", field
    parts = list(value.s)
    if not any(parts):
        yield "empty text", field
    elif all(part is SpecialChars.WILDCARD_MULTI for part in parts):
        yield "any value", field
    if any(isinstance(part, str) and _has_control(part) for part in parts):
        yield "control character", field
    inside = parts[1:-1] if len(parts) > _ENDS else []
    if any(isinstance(part, SpecialChars) for part in inside) or SpecialChars.WILDCARD_SINGLE in parts:
        yield "wildcard inside", field
    if SpecialChars.WILDCARD_SINGLE in parts:
        yield "wildcard one", field
    for part in parts:
        if isinstance(part, str) and "*" in part:
            yield "literal asterisk", field
        if isinstance(part, str) and ("<" in part or ">" in part):
            yield "literal angle bracket", field
    if len(parts) == 1 and parts[0] in RESERVED:
        yield "reserved word", field


def _has_control(text: str) -> bool:
    """Whether it holds what steers a terminal, a line, or the direction of text (Unicode categories C*, Zl, Zp)."""
    return any(category(sign)[0] == "C" or category(sign) in _BREAKS for sign in text)
