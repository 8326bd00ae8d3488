"""Which rules of one category match the events of a batch: by what is known of their values, and else by DuckDB.

The conditions are taken apart into terms (``terms``), those of one field together are an *aspect*. For each aspect the
answers (one bit for each term) are remembered by what decides them; DuckDB is asked about what is met for the first
time, by the same scan as tables are (``detect.sql.hits``). Events with the same answers match the same rules.

Cost of an event all of whose values were met before: a look-up for each aspect, 0.1 µs; of a batch with new values: a
query for each aspect with patterns, and one for all others. To plan such a query takes longer than to run it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from threatmatrix.detect.engines.scanning.batch import POSITION, Batch
from threatmatrix.detect.engines.scanning.remembered import Room
from threatmatrix.detect.engines.scanning.terms import Aspect, Formula, formula, keys_of, quick
from threatmatrix.detect.sigma.ir import Node
from threatmatrix.detect.sigma.rules import EventRule
from threatmatrix.detect.sigma.schema import Schema
from threatmatrix.detect.sql.hits import RULES, matching, passing
from threatmatrix.detect.sql.prefilter import Numbered, gated
from threatmatrix.model.event import Event

__all__ = ["Answers"]

_SMALL = (800,)  # characters of the literals of a gate: a dozen terms or two
_SIGNATURES = 4_096  # different combinations of answers that are remembered


class Answers:
    """The rules of one category, by number. ``name``: what its views may be called, of its own."""

    def __init__(
        self, rules: Sequence[Numbered], schema: Schema, connection: duckdb.DuckDBPyConnection, name: str, room: Room
    ) -> None:
        terms: dict[Aspect, dict[Node, int]] = {}

        def place(aspect: Aspect, node: Node) -> tuple[int, int]:
            known = terms.setdefault(aspect, {})
            return list(terms).index(aspect), known.setdefault(node, len(known))

        self._formulas: list[tuple[int, Formula]] = [
            (number, formula(rule.condition, schema, place)) for number, rule in rules
        ]
        self._questions = [_Question(aspect, list(known), schema, room) for aspect, known in terms.items()]
        self._inquiries = [
            _Inquiry(some, rules[0][1], schema, connection, f"{name} {at}")
            for at, some in enumerate(_together(self._questions))
        ]
        self._matched: dict[tuple[int, ...], tuple[int, ...]] = {}  # answers → rules

    def match(self, events: Sequence[Event]) -> list[tuple[int, ...]]:
        """For each event of this category the numbers of the rules that match."""
        if not self._questions:
            return [self._rules(())] * len(events)
        for question in self._questions:
            question.ask(events)
        for inquiry in self._inquiries:
            inquiry.run(events)
        signatures = list(zip(*(question.answers for question in self._questions), strict=True))
        if len(self._matched) > _SIGNATURES:
            self._matched.clear()
        return [self._rules(signature) for signature in signatures]

    def _rules(self, signature: Any) -> tuple[int, ...]:
        found = self._matched.get(signature)
        if found is None:
            found = tuple(number for number, holds in self._formulas if holds(signature))
            self._matched[signature] = found
        return found


class _Question:
    """One aspect: its terms, and the answers for the events of the batch at hand."""

    def __init__(self, aspect: Aspect, terms: Sequence[Node], schema: Schema, room: Room) -> None:
        self.aspect = aspect
        self.terms = terms
        self.answers: list[Any] = []  # None where not known yet
        self.missing: dict[Any, int] = {}  # key → an event that has it
        self._cells = attrgetter(*aspect.fields)
        self._keys_of = keys_of(aspect, terms, schema)
        self._memory = room.memory()
        self._keys: list[Any] = []

    def ask(self, events: Sequence[Event]) -> None:
        """Answer what is known, and note what is not."""
        keys = self._keys = self._keys_of(list(map(self._cells, events)))
        self.answers = self._memory.look(keys)
        self.missing = {}
        if None in self.answers:
            for at, answer in enumerate(self.answers):
                if answer is None and keys[at] not in self.missing:
                    known = self._memory.again(keys[at])
                    if known is None:
                        self.missing[keys[at]] = at
                    else:
                        self.answers[at] = known

    def told(self, found: dict[Any, int]) -> None:
        """``found``: the answers for the keys that were missing."""
        for key, answer in found.items():
            self._memory.keep(key, answer)
        self.answers = [found[key] if old is None else old for key, old in zip(self._keys, self.answers, strict=True)]
        self._keys = []


class _Inquiry:
    """Questions that are put to DuckDB together."""

    def __init__(
        self,
        questions: Sequence[_Question],
        rule: EventRule,
        schema: Schema,
        connection: duckdb.DuckDBPyConnection,
        name: str,
    ) -> None:
        self._questions = questions
        self._schema = schema
        self._connection = connection
        self._name = name
        self._places = [(question, bit) for question in questions for bit in range(len(question.terms))]
        terms = [term for question in questions for term in question.terms]
        self._terms: list[Numbered] = [
            (at, replace(rule, condition=term, written=None)) for at, term in enumerate(terms)
        ]
        self._batch: Batch | None = None
        self._asked = ""
        self._each: tuple[str, ...] = ()
        self._always = range(0)  # gates that every event passes

    def run(self, events: Sequence[Event]) -> None:
        """Find the answers that are missing."""
        asking = [question for question in self._questions if question.missing]
        if not asking:
            return
        positions = sorted({at for question in asking for at in question.missing.values()})
        place = {at: number for number, at in enumerate(positions)}
        held: defaultdict[_Question, list[int]] = defaultdict(lambda: [0] * len(positions))
        for numbers, places in self._evaluated([events[at] for at in positions]):
            for number, at in zip(numbers.tolist(), places.tolist(), strict=True):
                question, bit = self._places[number]
                held[question][at] |= 1 << bit
        for question in asking:
            question.told({key: held[question][place[at]] for key, at in question.missing.items()})

    def _evaluated(self, events: Sequence[Event]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """(terms, positions) that match."""
        batch = self._prepared()
        batch.load(events)
        passed, _ = self._run(self._asked) if self._asked else ((), ())
        found = [self._run(self._each[gate]) for gate in [*np.unique(passed).tolist(), *self._always]]
        batch.load(())
        return found

    def _run(self, sql: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        rows = self._connection.execute(sql).fetchnumpy()
        return np.asarray(rows[RULES], dtype=np.int64), np.asarray(rows[POSITION], dtype=np.int64)

    def _prepared(self) -> Batch:
        if self._batch is None:
            gates = sorted(gated(self._terms, self._schema, sizes=_SMALL), key=lambda gate: not gate.atoms)
            asked = [gate for gate in gates if gate.atoms]
            self._asked = passing(asked, self._name, self._schema, [POSITION]) if asked else ""
            self._always = range(len(asked), len(gates))
            self._each = tuple(matching([gate], self._name, self._schema, [POSITION]) for gate in gates)
            reads = {self._schema.category}.union(*(rule.reads for _, rule in self._terms))
            self._batch = Batch(self._connection, self._name, reads)
        return self._batch


def _together(questions: Sequence[_Question]) -> list[list[_Question]]:
    """One inquiry for all short terms, one for each aspect that has others."""
    short = [question for question in questions if all(map(quick, question.terms))]
    others = [[question] for question in questions if question not in short]
    return [short, *others] if short else others
