"""Conditions taken apart: terms that read one field each, and what of the field decides about them.

Logs repeat themselves. A field that tells the same again needs no comparison again; and of many a field not even the
value counts, but whether there is one, the minute that it lies in, or the bounds between which it lies (:data:`Kind`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from threatmatrix.detect.engines.scanning.batch import NULL
from threatmatrix.detect.sigma.ir import And, Leaf, Node, Not, leaves
from threatmatrix.detect.sigma.schema import Schema

__all__ = ["Aspect", "Formula", "Kind", "aspect_of", "formula", "keys_of", "quick"]

Kind = Literal["presence", "minute", "bounds", "value"]
"""What of a field decides: that it has a value; its minute; its place among bounds; the value itself."""

Formula = Callable[[Sequence[int]], bool]
"""Whether a condition holds, of the terms that hold: for each aspect a number with one bit for each of its terms."""

_MINUTE = 60_000_000
_SURELY = 8_000_000_000_000_000_000  # µs: no date so far off that it is no date for an engine
_LARGEST = 10**300
_FEW = 64  # comparisons; longer lists stay together, where equal values make one IN
_ORDERED = frozenset({"lt", "lte", "gt", "gte", "equals"})
_PRESENCE = frozenset({"present", "absent"})
_QUICK = frozenset({*_ORDERED, *_PRESENCE, "startswith", "endswith"})


@dataclass(frozen=True, slots=True)
class Aspect:
    """What terms are decided by: mostly one field; two, where they are compared with each other."""

    kind: Kind
    fields: tuple[str, ...]


def aspect_of(node: Node, schema: Schema) -> Aspect | None:
    """Of a condition that reads one field, or is a single comparison; None for the others."""
    found = list(leaves(node))
    fields = {leaf.fields for leaf in found}
    if len(fields) != 1:
        return None
    (names,) = fields
    return Aspect(_kind(found, schema), names)


def _kind(found: Sequence[Leaf], schema: Schema) -> Kind:
    if all(leaf.op in _PRESENCE and leaf.part is None for leaf in found):
        return "presence"
    kind = schema.kind(found[0].field)
    if kind == "BIGINT" and all(leaf.part is not None for leaf in found):
        return "minute"
    if schema.is_number(found[0].field) and all(_is_bound(leaf) or leaf.op in _PRESENCE for leaf in found):
        return "bounds"
    return "value"


def _is_bound(leaf: Leaf) -> bool:
    number = leaf.value
    if leaf.part is not None or leaf.op not in _ORDERED or not isinstance(number, int | float):
        return False
    return abs(number) < _LARGEST and isfinite(number)


def quick(node: Node) -> bool:
    """Whether the condition holds no pattern and no search: many of them take one short query."""
    return all(leaf.op in _QUICK for leaf in leaves(node))


def formula(node: Node, schema: Schema, place: Callable[[Aspect, Node], tuple[int, int]]) -> Formula:
    """The condition over its terms. ``place`` gives a term's aspect and bit, by their numbers."""
    aspect = None if _shares_networks(node) else aspect_of(node, schema)
    if aspect is not None:
        at, bit = place(aspect, node)
        mask = 1 << bit
        return lambda held: bool(held[at] & mask)
    if isinstance(node, Not):
        inner = formula(node.item, schema, place)
        return lambda held: not inner(held)
    if isinstance(node, Leaf):
        raise TypeError(f"{node.field} is one field")
    parts = [formula(item, schema, place) for item in node.items]
    return _all_of(parts) if isinstance(node, And) else _any_of(parts)


def _shares_networks(node: Node) -> bool:
    """A network is a pattern of kilobytes, and the same few stand in many rules: each is to be a term of its own."""
    found = () if isinstance(node, Leaf) else list(leaves(node))
    return len(found) <= _FEW and any(leaf.op == "cidr" for leaf in found)


def _all_of(parts: Sequence[Formula]) -> Formula:
    def every(held: Sequence[int]) -> bool:
        for part in parts:  # noqa: SIM110 - half the time of all() over a generator
            if not part(held):
                return False
        return True

    return every


def _any_of(parts: Sequence[Formula]) -> Formula:
    def some(held: Sequence[int]) -> bool:
        for part in parts:  # noqa: SIM110
            if part(held):
                return True
        return False

    return some


def keys_of(aspect: Aspect, terms: Sequence[Node], schema: Schema) -> Callable[[list[Any]], list[Any]]:
    """Cells of the aspect's field (of two: pairs) → what decides of each, hashable: the same for the same answers."""
    kind = schema.kind(aspect.fields[0])
    if aspect.kind == "presence":
        return _presence(kind)
    if aspect.kind == "minute":
        return lambda cells: [
            cell // _MINUTE if cell is not None and -_SURELY < cell < _SURELY else (cell,) for cell in cells
        ]
    if aspect.kind == "bounds":
        return _bounds([leaf for term in terms for leaf in leaves(term)], kind)
    if any(schema.kind(name) == "DOUBLE" for name in aspect.fields):
        return lambda cells: [repr(cell) for cell in cells]  # -0.0 equals 0.0 and is spelt otherwise
    return lambda cells: cells


def _presence(kind: str) -> Callable[[list[Any]], list[Any]]:
    if kind == "BIGINT":
        return lambda cells: [cell is None or cell == NULL for cell in cells]
    if kind == "DOUBLE":
        return lambda cells: [cell is None or cell != cell for cell in cells]  # noqa: PLR0124 - not a number is none
    return lambda cells: [cell is None for cell in cells]


def _bounds(found: Sequence[Leaf], kind: str) -> Callable[[list[Any]], list[Any]]:
    numbers = {leaf.value for leaf in found if leaf.op in _ORDERED and isinstance(leaf.value, int | float)}
    real = kind == "DOUBLE"
    bounds = sorted({float(number) for number in numbers} if real else numbers)

    def place(cell: Any) -> int:
        if cell is None or (cell != cell if real else cell == NULL):  # noqa: PLR0124
            return -1
        number = float(cell) if real else cell
        return bisect_left(bounds, number) + bisect_right(bounds, number)  # odd: on a bound

    return lambda cells: list(map(place, cells))
