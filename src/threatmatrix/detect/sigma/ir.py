"""The intermediate form of a condition: what it means, independent of pySigma's classes and of any SQL dialect.

A condition is a tree of :class:`And`, :class:`Or` and :class:`Not` over :class:`Leaf`. It is two-valued: a leaf on a
field that the event does not have is false, so its negation is true (Sigma specification, "Field Existence"); only
``absent`` is true of such a field. Modifiers that change the value (``base64offset``, ``utf16``, ``windash``,
``expand`` …) are gone here: their values are written out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal

__all__ = ["And", "Leaf", "Node", "Not", "Op", "Or", "Part", "Pattern", "Value", "Wild", "leaves"]


class Wild(Enum):
    """A wildcard inside a value."""

    ANY = "*"  # any number of characters
    ONE = "?"  # exactly one


Pattern = tuple["str | Wild", ...]
"""Literal texts and wildcards in turn; never two texts beside each other, and no empty text."""

Value = str | int | float | Pattern

Op = Literal[
    "equals",  # value: str or number; and for DOUBLE or BIGINT columns a number
    "contains",  # value: str
    "startswith",
    "endswith",
    "matches",  # value: Pattern, for wildcards that the four above cannot say; the whole text must match
    "regex",  # value: str, RE2 syntax with its flags written inside, (?i) …; searched anywhere in the text; cased
    "cidr",  # value: str, the network in canonical form, 10.0.0.0/8 or 2001:db8::/32
    "lt",
    "lte",
    "gt",
    "gte",  # value: number; a text column is compared as the number that it spells, and is false where it spells none
    "present",  # the field has a value (which may be the empty text); ``value`` is ""
    "absent",  # it has none; ``value`` is ""
    "same",  # fieldref: value names another field; equal, folded unless ``cased``
    "same_contains",  # the field's text contains the other field's
    "same_startswith",
    "same_endswith",
]

Part = Literal["minute", "hour", "day", "week", "month", "year"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One comparison of a field with a value. Text is compared without case unless ``cased``.

    ``part``: the comparison is with that part of the field, a time in µs, read in UTC (week: ISO 8601).
    """

    field: str
    op: Op
    value: Value = ""
    cased: bool = False
    part: Part | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that are read."""
        return (self.field, str(self.value)) if self.op.startswith("same") else (self.field,)


@dataclass(frozen=True, slots=True)
class And:
    """True where every item is."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True where at least one item is."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True where the item is false."""

    item: Node


Node = And | Or | Not | Leaf


def leaves(node: Node) -> Iterator[Leaf]:
    """Every leaf below ``node``, from left to right."""
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Not):
        yield from leaves(node.item)
    else:
        for item in node.items:
            yield from leaves(item)
