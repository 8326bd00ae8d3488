"""The conditions of a pipeline's step: of the rule, of one item of a detection, of the name of a field.

Source: pySigma documentation, "Processing Pipelines", "Conditions". Regular expressions are RE2's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import TypeVar

from threatmatrix.detect.sigma.drafts import Draft
from threatmatrix.detect.sigma.ir import Wild
from threatmatrix.detect.sigma.regexes import first_match, problem_of
from threatmatrix.detect.sigma.searches import Item
from threatmatrix.detect.sigma.settings import Settings
from threatmatrix.detect.sigma.values import Null, Number, Piece, Text, Truth, Value, parse_text

__all__ = ["CONDITIONS", "field_test", "item_test", "plainly", "rule_test", "scalar_value", "text_or_pattern"]

Subject = TypeVar("Subject")
Test = Callable[[Subject], bool]
LOGSOURCE = ("category", "product", "service")


def rule_test(settings: Settings) -> Test[Draft]:
    return _read(settings, "rule", _RULE)


def item_test(settings: Settings) -> Test[Item]:
    return _read(settings, "detection_item", _ITEM)


def field_test(settings: Settings) -> Test[str | None]:
    return _read(settings, "field_name", _FIELD)


def _read(
    settings: Settings, subject: str, builders: Mapping[str, Callable[[Settings], Test[Subject]]]
) -> Test[Subject]:
    """The conditions under ``<subject>_conditions``, joined and negated as the entry says; none: always true."""
    tests = []
    for entry in settings.entries(f"{subject}_conditions"):
        build = builders[entry.choice("type", builders)]
        tests.append(build(entry))
        entry.finish()
    negated = settings.flag(f"{subject}_cond_not")
    join = any if settings.choice(f"{subject}_cond_op", ("and", "or"), "and") == "or" else all
    if not tests:
        return lambda _: True
    return lambda given: join(test(given) for test in tests) is not negated


def scalar_value(raw: str | int | float | bool | None) -> Value:
    """A scalar of a pipeline as a rule would mean it."""
    if isinstance(raw, bool):
        return Truth(raw)
    if isinstance(raw, int | float):
        return Number(raw, str(raw))
    return Null() if raw is None else parse_text(raw)


def plainly(text: Text) -> str:
    r"""The text as a rule would write it, with ``\*`` for a plain asterisk; a backslash stands for itself."""

    def written(piece: Piece) -> str:
        if isinstance(piece, Wild):
            return piece.value
        return piece.replace("*", "\\*").replace("?", "\\?") if isinstance(piece, str) else f"%{piece.name}%"

    return "".join(written(piece) for piece in text.pieces)


def text_or_pattern(settings: Settings, key: str) -> str:
    """A regular expression that RE2 takes."""
    pattern = settings.text(key)
    problem = problem_of(pattern)
    if problem:
        raise settings.refuse(problem, key)
    return pattern


def _logsource(settings: Settings) -> Test[Draft]:
    asked = {key: settings.text(key) for key in LOGSOURCE if settings.get(key) is not None}
    if not asked:
        raise settings.refuse("names a category, a product or a service", choices=LOGSOURCE)
    return lambda draft: all(draft.logsource.get(key) == value for key, value in asked.items())


def _contains_field(settings: Settings) -> Test[Draft]:
    name = settings.text("field")
    return lambda draft: any(item.field == name for item in draft.items())


def _contains_item(settings: Settings) -> Test[Draft]:
    name, value = settings.text("field"), scalar_value(settings.scalar("value"))
    return lambda draft: any(item.field == name and value in item.values for item in draft.items())


def _applied(settings: Settings) -> Test[Draft]:
    name = settings.text("processing_item_id")
    return lambda draft: name in draft.applied


def _tag(settings: Settings) -> Test[Draft]:
    tag = settings.text("tag")
    return lambda draft: tag in (draft.document.raw.get("tags") or ())


def _values(settings: Settings, holds: Test[Value]) -> Test[Item]:
    every = settings.choice("cond", ("any", "all")) == "all"
    join = all if every else any
    return lambda item: join(holds(value) for value in item.values)


def _match_string(settings: Settings) -> Test[Item]:
    pattern, negated = text_or_pattern(settings, "pattern"), settings.flag("negate")
    matches = cache(lambda text: first_match(pattern, text))
    return _values(settings, lambda value: (isinstance(value, Text) and matches(plainly(value))) is not negated)


def _match_value(settings: Settings) -> Test[Item]:
    wanted = scalar_value(settings.scalar("value"))
    return _values(settings, lambda value: value == wanted)


def _wildcard(settings: Settings) -> Test[Item]:
    return _values(
        settings, lambda value: isinstance(value, Text) and any(isinstance(one, Wild) for one in value.pieces)
    )


def _null(settings: Settings) -> Test[Item]:
    return _values(settings, lambda value: isinstance(value, Null))


def _include(settings: Settings) -> Test[str | None]:
    names = settings.texts("fields")
    if settings.choice("mode", ("plain", "re"), "plain") == "plain":
        return lambda name: name in names
    for pattern in names:
        problem = problem_of(pattern)
        if problem:
            raise settings.refuse(problem, "fields")
    return lambda name: name is not None and any(first_match(pattern, name) for pattern in names)


def _exclude(settings: Settings) -> Test[str | None]:
    included = _include(settings)
    return lambda name: not included(name)


_RULE: Mapping[str, Callable[[Settings], Test[Draft]]] = MappingProxyType(
    {
        "logsource": _logsource,
        "contains_field": _contains_field,
        "contains_detection_item": _contains_item,
        "processing_item_applied": _applied,
        "tag": _tag,
    }
)
_ITEM: Mapping[str, Callable[[Settings], Test[Item]]] = MappingProxyType(
    {"match_string": _match_string, "match_value": _match_value, "contains_wildcard": _wildcard, "is_null": _null}
)
_FIELD: Mapping[str, Callable[[Settings], Test[str | None]]] = MappingProxyType(
    {"include_fields": _include, "exclude_fields": _exclude}
)
CONDITIONS = frozenset({*_RULE, *_ITEM, *_FIELD})
