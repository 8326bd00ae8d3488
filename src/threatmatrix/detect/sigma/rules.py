"""Compiled rules: what a Sigma rule or correlation says, ready for any engine.

What a correlation means, exactly (docs/correlations.md says the same for analysts). Its *occurrences* are the events
that one of ``rules`` matches, each with the rule's number; where a rule is itself a correlation, they are its firing
events (``temporal`` kinds), or the first firing event of each of its episodes (the other kinds). An occurrence
without a value in a ``group_by`` field takes no part. Within one group the *window* of an occurrence at time t is
[t - timespan, t], both ends included, and slides with every occurrence:

* ``event_count``: the number of events in the window; an event counts once, however many rules it matches;
* ``value_count``: the number of different values of ``field`` (several fields: of their combinations, all present);
* ``value_sum``, ``value_avg``, ``value_percentile``, ``value_median``: over the numbers in ``field`` that are there;
  an event counts once, unless aliases give it several values. The percentile is interpolated linearly between the
  closest ranks, at (n - 1) * (percentile / 100). No number at all: it does not fire;
* ``temporal``: the number of different rules that matched in the window;
* ``temporal_ordered``: that number, over chains in the order of ``rules`` whose times strictly increase.

It *fires* at an occurrence where all ``bounds`` hold of that figure. In place of bounds the two temporal kinds may have
an ``expression``, a condition over the rules. Where it has a ``not``, the window is [t, t + timespan] of an occurrence
that the expression asks for, and is judged when it has passed (the data reach beyond its end): something happened,
and something else did not follow. The figure of an expression is the number of different rules in the window.
For ``temporal_ordered`` the positive rules of the expression must stand in the order in which it names them.

Firing occurrences of one group at most one timespan apart are one *episode*, and one finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from threatmatrix.detect.sigma.ir import Node, leaves

__all__ = [
    "ABSENCE",
    "KINDS",
    "TEMPORAL",
    "VALUED",
    "Bound",
    "Compare",
    "Correlation",
    "EventRule",
    "Expression",
    "Kind",
    "Meta",
    "RuleName",
]

_FIRST_SENTENCE = re.compile(r"\s*(.+?)(?:[.!?](?:\s|$)|$)", re.DOTALL)

Kind = Literal[
    "event_count",
    "value_count",
    "temporal",
    "temporal_ordered",
    "value_sum",
    "value_avg",
    "value_percentile",
    "value_median",
]
KINDS: tuple[Kind, ...] = (
    *("event_count", "value_count", "temporal", "temporal_ordered"),
    *("value_sum", "value_avg", "value_percentile", "value_median"),
)
TEMPORAL = frozenset({"temporal", "temporal_ordered"})
VALUED = frozenset({"value_count", "value_sum", "value_avg", "value_percentile", "value_median"})
ABSENCE = "not"

Compare = Literal["gte", "gt", "lte", "lt", "eq", "neq"]


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
    status: str = ""
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
    written: Node | None = None  # its own condition, where suppressions have been added to ``condition``

    @property
    def reads(self) -> frozenset[str]:
        """The fields that the condition compares."""
        return frozenset(name for leaf in leaves(self.condition) for name in leaf.fields)

    @property
    def needs(self) -> frozenset[str]:
        """The fields that the rule itself compares: without them it is blind, whatever a suppression reads besides."""
        return frozenset(name for leaf in leaves(self.written or self.condition) for name in leaf.fields)

    def explain(self, figures: str) -> str:
        """One sentence for a finding: what a match means, and what was seen (``figures``)."""
        return f"{self.meta.explain()}: {figures}."


@dataclass(frozen=True, slots=True)
class Bound:
    """One comparison of a correlation's figure with a number."""

    op: Compare
    number: int | float

    def holds(self, figure: float) -> bool:
        number = self.number
        return {
            "gte": figure >= number,
            "gt": figure > number,
            "lte": figure <= number,
            "lt": figure < number,
            "eq": figure == number,
            "neq": figure != number,
        }[self.op]

    def __str__(self) -> str:
        return f"{self.op} {self.number}"


@dataclass(frozen=True, slots=True)
class RuleName:
    """A leaf of an :data:`Expression`: true where this rule occurred within the window."""

    key: str


@dataclass(frozen=True, slots=True)
class Expression:
    """``and``, ``or``, ``not`` over rules."""

    op: Literal["and", "or", "not"]
    items: tuple[Expression | RuleName, ...]

    def names(self) -> Iterator[str]:
        """The keys of the rules, from left to right."""
        for item in self.items:
            if isinstance(item, RuleName):
                yield item.key
            else:
                yield from item.names()

    @property
    def waits(self) -> bool:
        """Whether a rule must *not* occur: this can only be known when the window has passed."""
        return self.op == ABSENCE or any(isinstance(item, Expression) and item.waits for item in self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """A Sigma correlation; the module's text says what it means."""

    meta: Meta
    kind: Kind
    rules: tuple[str, ...]  # keys of event rules or of other correlations, in their order
    group_by: tuple[str, ...]
    timespan: int  # µs
    timespan_text: str  # as written, for a sentence
    bounds: tuple[Bound, ...] = ()  # all must hold; none where there is an expression
    field: tuple[str, ...] = ()  # value_* kinds
    percentile: float = 50.0  # value_percentile, 0..100
    expression: Expression | RuleName | None = None
    aliases: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()  # alias → ((rule key, field), …)
    silent: bool = False  # referred to by another correlation without ``generate``

    @property
    def minimum(self) -> int | None:
        """The N of a plain "at least N", where the bounds say just that of a whole number."""
        if len(self.bounds) != 1 or self.bounds[0].op not in {"gte", "gt"}:
            return None
        bound = self.bounds[0]
        return int(bound.number // 1 + (1 if bound.op == "gt" or bound.number % 1 else 0))

    @property
    def waits(self) -> bool:
        """Whether it is judged when its window has passed (a ``not`` in the expression)."""
        return isinstance(self.expression, Expression) and self.expression.waits

    def column(self, name: str, rule: str) -> str:
        """The field of an event of ``rule`` that ``name`` (of ``group_by`` or ``field``) stands for."""
        return dict(dict(self.aliases).get(name, ())).get(rule, name)

    @property
    def asks(self) -> str:
        """What is asked for, in words: ``at least 100 events within 1m``."""
        if self.expression is not None:
            return f"its steps within {self.timespan_text}"
        words = {"gte": "at least", "gt": "more than", "lte": "at most", "lt": "less than", "eq": "exactly"}
        numbers = " and ".join(f"{words.get(bound.op, 'other than')} {bound.number}" for bound in self.bounds)
        return f"{numbers} {self._figure()} within {self.timespan_text}"

    def _figure(self) -> str:
        names = " and ".join(self.field)
        return {
            "event_count": "events",
            "value_count": f"different {names}",
            "temporal": f"of {len(self.rules)} rules",
            "temporal_ordered": f"of {len(self.rules)} steps in order",
            "value_sum": f"as the sum of {names}",
            "value_avg": f"as the mean of {names}",
            "value_median": f"as the median of {names}",
            "value_percentile": f"as percentile {self.percentile:g} of {names}",
        }[self.kind]

    def explain(self, figures: str) -> str:
        """One sentence for a finding: what a match means, what was seen (``figures``), and what was asked for."""
        return f"{self.meta.explain()}: {figures} (the rule asks for {self.asks})."
