"""What the names in a correlation stand for: rules by name or id, fields by alias and pipeline, and their types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from threatmatrix.detect.sigma.bounds import check_bounds
from threatmatrix.detect.sigma.documents import Document
from threatmatrix.detect.sigma.expressions import renamed
from threatmatrix.detect.sigma.rules import TEMPORAL, Correlation, EventRule
from threatmatrix.detect.sigma.schema import Schema

__all__ = ["Known", "resolved"]

_ALIASES = ("correlation", "aliases")
_RULES = ("correlation", "rules")
_GROUP_BY = ("correlation", "group-by")
_FIELD = ("correlation", "condition", "field")
_EQUAL = ("VARCHAR", "BIGINT")  # kinds with equal values


@dataclass(frozen=True, slots=True)
class Known:
    """What has been compiled by now."""

    rules: Mapping[str, EventRule]
    correlations: Mapping[str, Correlation]
    schema: Schema
    field_of: Callable[[str, str], str]  # (key of an event rule, name) → the field, by its pipelines

    def kind(self, name: str, key: str) -> str | None:
        """The SQL type of what ``name`` is in events of rule ``key``; None where no event can have it."""
        while key in self.correlations:
            inner = self.correlations[key]
            name, key = inner.column(name, inner.rules[0]), inner.rules[0]
        return self.schema.fields.get(name)


def resolved(document: Document, correlation: Correlation, keys: Mapping[str, str], known: Known) -> Correlation:
    """The correlation over keys of rules (``keys``: name as written → key). Raises RuleError."""
    rules = tuple(dict.fromkeys(keys[name] for name in correlation.rules))
    if correlation.kind in TEMPORAL and len(rules) < len(correlation.rules):
        raise document.refuse("a rule stands twice", *_RULES)
    check_bounds(document, correlation.kind, correlation.bounds, len(rules))
    expression = correlation.expression
    settled = replace(
        correlation,
        rules=rules,
        expression=None if expression is None else renamed(expression, dict(keys)),
        aliases=_aliases(document, correlation, keys, known),
    )
    for name in settled.group_by:
        _check_equal(document, settled, name, known, *_GROUP_BY)
    for name in settled.field:
        if settled.kind == "value_count":
            _check_equal(document, settled, name, known, *_FIELD)
        else:
            _check_number(document, settled, name, known)
    return settled


def _aliases(
    document: Document, correlation: Correlation, keys: Mapping[str, str], known: Known
) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """For every name that is not simply a field: the field that it is in the events of each rule."""
    written = {alias: _fields(document, alias, fields, keys) for alias, fields in correlation.aliases}
    names = dict.fromkeys((*correlation.group_by, *correlation.field))
    for alias in written:
        if alias not in names:
            raise document.refuse("nothing uses this alias", *_ALIASES, alias, hint="Name it in group-by or field")
    settled = {}
    for name in names:
        fields = {
            key: _field(document, name, written.get(name), key, known)
            for key in map(keys.__getitem__, correlation.rules)
        }
        if any(field != name for field in fields.values()):
            settled[name] = tuple(fields.items())
    return tuple(settled.items())


def _fields(
    document: Document, alias: str, fields: tuple[tuple[str, str], ...], keys: Mapping[str, str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, field in fields:
        if name not in keys:
            problem = f"it says what it is in rule {name!r}, which is not correlated"
            raise document.refuse(problem, *_ALIASES, alias, name, choices=keys)
        if found.setdefault(keys[name], field) != field:
            raise document.refuse("it stands for two fields of one rule", *_ALIASES, alias, name)
    return found


def _field(document: Document, name: str, alias: Mapping[str, str] | None, key: str, known: Known) -> str:
    inner = known.correlations.get(key)
    has = inner.group_by if inner is not None else known.schema.fields
    if alias is not None and key not in alias and name not in has:
        meta = inner.meta if inner is not None else known.rules[key].meta
        problem = f"it does not say what it is in the events of {meta.name or key!r}"
        raise document.refuse(problem, *_ALIASES, name)
    field = name if alias is None else alias.get(key, name)
    if inner is None:
        return known.field_of(key, field)
    if field not in inner.group_by:
        problem = f"correlation {inner.meta.name or key!r} does not tell its firings apart by {field!r}"
        hint = f"Add {field!r} to its group-by"
        raise document.refuse(problem, *_RULES, choices=inner.group_by, hint=hint)
    return field


def _check_equal(document: Document, correlation: Correlation, name: str, known: Known, *path: str) -> None:
    kinds = {known.kind(correlation.column(name, key), key) for key in correlation.rules} - {None}
    if kinds.difference(_EQUAL):
        what = "group by" if path == _GROUP_BY else "count the values of"
        raise document.refuse(f"cannot {what} {name!r}: only text and whole numbers have equal values", *path)
    if len(kinds) > 1:
        raise document.refuse(f"{name!r} is text in the events of one rule and a number in those of another", *path)


def _check_number(document: Document, correlation: Correlation, name: str, known: Known) -> None:
    for key in correlation.rules:
        if known.kind(correlation.column(name, key), key) not in {None, "BIGINT", "DOUBLE"}:
            raise document.refuse(f"{correlation.kind} needs numbers: {name!r} holds none", *_FIELD)
