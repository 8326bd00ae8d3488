"""Which rules share a gate: groups of rules, and the literals of which a record must hold one to concern a group.

An automaton over hundreds of literals costs a text about as much as ten comparisons do. It lives in RE2's lazily
built DFA, which has 8 MB: sorted literals make a trie of few states, and a gate holds at most as many as surely fit.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from threatmatrix.detect.sigma.rules import EventRule
from threatmatrix.detect.sigma.schema import Schema
from threatmatrix.detect.sql.literals import Atom, choices

__all__ = ["WIDE", "Gate", "Numbered", "Sample", "Share", "gated", "read_by_gates"]

WIDE = 9_000  # characters of all literals of one gate: about as many states, of which the DFA holds many more
NESTED = (3_000, 300)  # the same of gates within gates, for what has passed the wide ones
COMMON = 0.2  # a literal that stands in one record of five spares too little
FREQUENT = 0.0005  # rules that many records concern share no gate with those that few do

Numbered = tuple[int, EventRule]
Share = Callable[[Atom], float]


class Sample:
    """How large a part of some records holds an atom: what is common differs from house to house."""

    def __init__(self, columns: Mapping[str, Sequence[str | None]]) -> None:
        """``columns``: field → its folded texts, one for each record."""
        self._records = max(1, *(len(texts) for texts in columns.values())) if columns else 1
        self._texts = {field: "\n".join(text for text in texts if text) for field, texts in columns.items()}
        self._shares: dict[Atom, float] = {}

    def share(self, atom: Atom) -> float:
        if atom not in self._shares:
            found = self._texts.get(atom.field, "").count(atom.text) / self._records
            # Those that are not in the sample are the rarer the longer they are.
            self._shares[atom] = found + _guess(atom) / 1_000
        return self._shares[atom]


@dataclass(frozen=True, slots=True)
class Gate:
    """``rules`` can match only records that hold one of ``atoms``; where there are none, they are always evaluated."""

    rules: tuple[Numbered, ...]
    atoms: frozenset[Atom] = frozenset()
    inner: tuple[Gate, ...] = ()  # the same rules again, in smaller groups
    frequent: bool = False  # many records pass

    def literals(self) -> dict[str, list[str]]:
        """Field → its literals, sorted; those that hold another one are left out."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for atom in self.atoms:
            found[atom.field].add(atom.text)
        return {field: _minimal(texts) for field, texts in sorted(found.items())}


def _minimal(texts: set[str]) -> list[str]:
    """Prefixes stand for what begins with them."""
    kept: list[str] = []
    for text in sorted(texts):
        if not kept or not text.startswith(kept[-1]):
            kept.append(text)
    return kept


def gated(
    rules: Sequence[Numbered],
    schema: Schema,
    share: Share | None = None,
    *,
    sizes: Sequence[int] = NESTED,
) -> list[Gate]:
    """Group ``rules`` into gates, nested as ``sizes`` (characters of literals) say.

    ``share``: how large a part of the records holds an atom, as far as is known; else long texts count as rare.
    """
    always: list[Numbered] = []
    keyed: defaultdict[tuple[bool, tuple[str, ...]], list[tuple[frozenset[Atom], Numbered]]] = defaultdict(list)
    for numbered in rules:
        atoms, part = _rarest(numbered[1], schema, share or _guess)
        if part > COMMON:
            always.append(numbered)
        else:
            keyed[part > FREQUENT, tuple(sorted({atom.field for atom in atoms}))].append((atoms, numbered))
    gates = [gate for (frequent, _), alike in keyed.items() for gate in _grouped(alike, sizes, frequent)]
    return [*gates, *([Gate(tuple(always))] if always else [])]


def _guess(atom: Atom) -> float:
    return math.exp(-len(atom.text))


def _rarest(rule: EventRule, schema: Schema, share: Share) -> tuple[frozenset[Atom], float]:
    """The atoms by which to tell what concerns the rule, and how large a part of the records that is."""
    found = [(sum(map(share, atoms)), len(atoms), sorted(atoms)) for atoms in choices(rule.condition, schema)]
    part, _, atoms = min(found, default=(1.0, 0, []))
    return frozenset(atoms), part


def read_by_gates(rules: Sequence[Numbered], schema: Schema) -> list[str]:
    """The fields in which atoms of these rules are looked for: those of a :class:`Sample`."""
    return sorted({atom.field for _, rule in rules for atoms in choices(rule.condition, schema) for atom in atoms})


def _grouped(alike: Sequence[tuple[frozenset[Atom], Numbered]], sizes: Sequence[int], frequent: bool) -> Iterator[Gate]:
    """Neighbours in the order of their literals share most of an automaton."""
    ordered = sorted(alike, key=lambda item: (min(item[0]), item[1][0]))
    for group in _filled(ordered, sizes[0]):
        inner = tuple(_grouped(group, sizes[1:], frequent)) if sizes[1:] else ()
        atoms = frozenset().union(*(atoms for atoms, _ in group))
        yield Gate(tuple(numbered for _, numbered in group), atoms, inner if len(inner) > 1 else (), frequent)


def _filled(
    ordered: Sequence[tuple[frozenset[Atom], Numbered]], size: int
) -> Iterator[list[tuple[frozenset[Atom], Numbered]]]:
    group: list[tuple[frozenset[Atom], Numbered]] = []
    used = 0
    for item in ordered:
        length = sum(len(atom.text) for atom in item[0])
        if group and used + length > size:
            yield group
            group, used = [], 0
        group.append(item)
        used += length
    if group:
        yield group
