"""A rule between reading and translating: what pipelines change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from threatmatrix.detect.sigma.conditions import Tree
from threatmatrix.detect.sigma.documents import Document
from threatmatrix.detect.sigma.searches import Group, Item, Search, items_of
from threatmatrix.detect.sigma.values import FieldRef

__all__ = ["Draft", "Gate", "Transformation", "Vars", "changed"]

Vars = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Draft:
    """``fields`` are names that are mapped along with those of the searches."""

    document: Document
    logsource: Mapping[str, str]
    searches: Mapping[str, Search]
    condition: Tree
    fields: tuple[str, ...] = ()
    applied: frozenset[str] = frozenset()  # ids of the steps that have changed it

    def items(self) -> Iterator[Item]:
        for search in self.searches.values():
            yield from items_of(search)


@dataclass(frozen=True, slots=True)
class Gate:
    """Which items, and which names of fields, a step concerns."""

    item: Callable[[Item], bool]
    field: Callable[[str | None], bool]

    def lets(self, item: Item) -> bool:
        if not self.item(item):
            return False
        references = [value.field for value in item.values if isinstance(value, FieldRef)]
        return any(self.field(name) for name in (item.field, *references))


Transformation = Callable[[Draft, Gate], Draft]


def changed(draft: Draft, change: Callable[[Item], Search | None]) -> Draft:
    """The draft with ``change`` of every item; None drops one. A search of which nothing is left is refused."""
    searches: dict[str, Search] = {}
    for name, search in draft.searches.items():
        kept = _changed(search, change)
        if kept is None:
            raise draft.document.refuse("a pipeline drops all that it asks for", "detection", name)
        searches[name] = kept
    return replace(draft, searches=searches)


def _changed(search: Search, change: Callable[[Item], Search | None]) -> Search | None:
    if isinstance(search, Item):
        return change(search)
    items = tuple(kept for item in search.items if (kept := _changed(item, change)) is not None)
    return Group(items, search.every, search.path) if items else None
