"""The intermediate form: what a Sigma rule means, independent of pySigma's classes and of any SQL dialect.

A condition is a tree of :class:`And`, :class:`Or` and :class:`Not` over :class:`Leaf`. It is two-valued: a leaf on a
field that the event does not have is false, so its negation is true (Sigma specification, "Field Existence").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["And", "EventCountRule", "EventRule", "Leaf", "Meta", "Node", "Not", "Op", "Or", "leaves"]

_FIRST_SENTENCE = re.compile(r"\s*(.+?)(?:[.!?](?:\s|$)|$)", re.DOTALL)

Op = Literal["equals", "contains", "startswith", "endswith", "present"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One comparison of a field with a value. ``present`` (Sigma's lone ``*``) ignores ``value``."""

    field: str
    op: Op
    value: str | int | float = ""
    cased: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What a rule says about itself. ``key`` is its id, else its name, else its title: unique in a rule set."""

    key: str
    title: str
    technique: str  # slug, from the folder that the rule lies in
    file: str
    description: str = ""
    level: str = ""  # Sigma's level, or empty
    name: str = ""
    tags: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    falsepositives: tuple[str, ...] = ()

    @property
    def detector(self) -> str:
        return f"rule:{self.key}"

    def explain(self) -> str:
        """What a match means, for an analyst: the first sentence of the description, without its full stop."""
        match = _FIRST_SENTENCE.match(self.description)
        return " ".join((match[1] if match else self.title).split())


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRule:
    """A Sigma rule: true or false of a single event of its category."""

    meta: Meta
    category: str
    condition: Node
    silent: bool = False  # referred to by a correlation without ``generate``: no findings of its own

    @property
    def needs(self) -> frozenset[str]:
        """The fields that the condition reads."""
        return frozenset(leaf.field for leaf in leaves(self.condition))

    def explain(self, figures: str) -> str:
        """One sentence for a finding: what a match means, and what was seen (``figures``)."""
        return f"{self.meta.explain()}: {figures}."


@dataclass(frozen=True, slots=True, kw_only=True)
class EventCountRule:
    """A Sigma correlation of type event_count: at least ``minimum`` events within ``timespan`` (µs, sliding).

    An event counts once, however many of ``rules`` it matches. Events whose value of a ``group_by`` field is absent
    belong to no group and are not counted.
    """

    meta: Meta
    rules: tuple[str, ...]  # keys of event rules
    group_by: tuple[str, ...]
    timespan: int  # µs
    minimum: int  # gte N → N, gt N → N + 1
    timespan_text: str  # as written, for a sentence

    def explain(self, figures: str) -> str:
        """One sentence for a finding: what a match means, what was seen (``figures``), and what was asked for."""
        return f"{self.meta.explain()}: {figures} (the rule asks for {self.minimum} within {self.timespan_text})."


def leaves(node: Node) -> Iterator[Leaf]:
    """Every leaf below ``node``, from left to right."""
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Not):
        yield from leaves(node.item)
    else:
        for item in node.items:
            yield from leaves(item)
