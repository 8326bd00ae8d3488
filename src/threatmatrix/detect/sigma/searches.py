"""The search identifiers of a rule: which fields, with which values, joined how.

Source: Sigma rules specification 2.0, "Search-Identifier", "Lists", "Maps", "Keywords search".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from threatmatrix.detect.sigma.chains import MODIFIERS, Unfit, check_chain
from threatmatrix.detect.sigma.documents import Document, Path
from threatmatrix.detect.sigma.modifiers import modified
from threatmatrix.detect.sigma.values import AnyOf, Value

__all__ = ["MAX_LEAVES", "MAX_REGEXES", "Group", "Item", "Search", "SearchReader", "items_of", "size_of"]

MAX_LEAVES = 10_000  # comparisons of one condition, everything written out
MAX_REGEXES = 200  # of one rule


@dataclass(frozen=True, slots=True)
class Item:
    """A field with its values; without a field, keywords. ``path`` is where the rule says so, for refusals."""

    field: str | None
    values: tuple[Value, ...]
    every: bool  # joined by and (``all``), otherwise by or
    negated: bool  # ``neq``
    path: Path


@dataclass(frozen=True, slots=True)
class Group:
    """Items joined by and (``every``) or by or."""

    items: tuple[Search, ...]
    every: bool
    path: Path


Search = Item | Group


def items_of(search: Search) -> Iterator[Item]:
    if isinstance(search, Item):
        yield search
    else:
        for item in search.items:
            yield from items_of(item)


class SearchReader:
    """Reads the searches of one rule; together they may not write out to more than MAX_LEAVES values."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._values = self._regexes = 0

    def read(self, definition: Any, path: Path) -> Search:
        """What stands behind a search identifier. Raises RuleError."""
        if isinstance(definition, dict):
            if not definition:
                raise self._document.refuse("the search identifier is empty", *path)
            return Group(tuple(self._item(key, value, (*path, key)) for key, value in definition.items()), True, path)
        if not isinstance(definition, list):
            return self._item("", definition, path)
        if not definition:
            raise self._document.refuse("the search identifier is empty", *path)
        if all(not isinstance(one, dict | list) for one in definition):
            return self._item("", definition, path)
        return Group(tuple(self.read(one, (*path, at)) for at, one in enumerate(definition)), False, path)

    def _item(self, key: str, raw: Any, path: Path) -> Item:
        field, *chain = key.split("|")
        modifiers, document = tuple(chain), self._document
        try:
            check_chain(modifiers, keyword=not field)
        except Unfit as error:
            choices = sorted(MODIFIERS) if "is not supported" in str(error) else ()
            raise document.refuse(str(error), *path, choices=choices) from error
        listed = raw if isinstance(raw, list) else [raw]
        if not listed:
            raise document.refuse("an empty list of values is not supported", *path)
        if "all" in modifiers and len(listed) == 1:
            raise document.refuse("modifier 'all' needs a list of at least two values", *path)
        where = [(*path, at) for at in range(len(listed))] if isinstance(raw, list) else [path]
        values = tuple(self._value(one, modifiers, place) for one, place in zip(listed, where, strict=True))
        return Item(field or None, values, "all" in modifiers, "neq" in modifiers, path)

    def _value(self, raw: object, modifiers: tuple[str, ...], path: Path) -> Value:
        if isinstance(raw, list | dict):
            raise self._document.refuse("a value is text, a number, true, false or null", *path)
        self._regexes += "re" in modifiers
        if self._regexes > MAX_REGEXES:
            raise self._document.refuse(f"more than {MAX_REGEXES} regular expressions in one rule", *path)
        try:
            value = modified(raw, modifiers, self._document.spelt.get(path))
        except Unfit as error:
            raise self._document.refuse(str(error), *path) from error
        self._values += size_of(value)
        if self._values > MAX_LEAVES:
            raise self._document.refuse(f"the rule writes out to more than {MAX_LEAVES} comparisons", *path)
        return value


def size_of(value: Value) -> int:
    """How many comparisons a value writes out to."""
    return sum(size_of(one) for one in value.values) if isinstance(value, AnyOf) else 1
