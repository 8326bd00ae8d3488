"""Which rules for single events match which records: in micro-batches, and in tables or files of any size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from operator import attrgetter

import duckdb
import numpy as np
from numpy.typing import NDArray

from threatmatrix.detect.engines.scanning.answers import Answers
from threatmatrix.detect.engines.scanning.batch import quoted
from threatmatrix.detect.engines.scanning.remembered import Room
from threatmatrix.detect.sigma.needs import without_unknown
from threatmatrix.detect.sigma.rules import EventRule
from threatmatrix.detect.sigma.schema import Schema
from threatmatrix.detect.sql.hits import RULES, candidates, matching, read_by, some_texts
from threatmatrix.detect.sql.prefilter import WIDE, Gate, Numbered, Sample, gated, read_by_gates
from threatmatrix.model.event import Event

__all__ = ["Scanner"]

_BATCHES = count()
_SOURCE = "records to scan"
_CANDIDATES = "records that may match"
_NUMBERED = "numbered records"
_EVENT = "number of record"
_SAMPLED = 4_000  # records, to tell common words from rare ones
_RULES_OF_A_QUERY = 200
_REMEMBERED = 32 << 20  # bytes, about: answers about the values of events, for all categories of a scanner


class Scanner:
    """Compares records with ``rules``; what they read beyond the fields of ``schema`` no record has.

    ``connection`` is its own while it works. Memory and threads are what the connection is set to; memory does not
    grow with the number of records that are read, only (and on disk, where there is a limit) with what is found.
    """

    def __init__(self, rules: Sequence[EventRule], schema: Schema, connection: duckdb.DuckDBPyConnection) -> None:
        self._rules = tuple(rules)
        self._schema = schema
        self._connection = connection
        self._categories: defaultdict[str, list[Numbered]] = defaultdict(list)
        for number, rule in enumerate(rules):
            known = replace(rule, condition=without_unknown(rule.condition, schema.fields))
            self._categories[rule.category].append((number, known))
        self._name = f"batch {next(_BATCHES)}"  # several scanners may share a connection
        self._room = Room(_REMEMBERED)
        self._answers: dict[str, Answers] = {}  # by category

    def match(self, events: Sequence[Event]) -> dict[str, NDArray[np.int64]]:
        """Rule key → positions in ``events`` that match, int64, in order; rules without a match are left out."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        by_category: defaultdict[str, list[int]] = defaultdict(list)
        for at, category in enumerate(map(attrgetter(self._schema.category), events)):
            by_category[category].append(at)
        for category in sorted(by_category.keys() & self._categories.keys()):
            positions = by_category[category]
            of_category = events if len(positions) == len(events) else [events[at] for at in positions]
            for at, numbers in zip(positions, self._answering(category).match(of_category), strict=True):
                for number in numbers:
                    found[number].append(at)
        return {self._rules[number].meta.key: np.array(found[number], dtype=np.int64) for number in sorted(found)}

    def _answering(self, category: str) -> Answers:
        if category not in self._answers:
            name = f"{self._name} {category}"
            self._answers[category] = Answers(
                self._categories[category], self._schema, self._connection, name, self._room
            )
        return self._answers[category]

    def hits(self, source: str, into: str, carry: Sequence[str]) -> None:
        """Make the TEMP TABLE ``into`` (rule INTEGER, event BIGINT, ``carry``…): one row per rule and record.

        ``source``: the name of a relation, or a SELECT, with the columns that the rules read and ``carry``. ``rule``
        indexes the rules. ``event`` numbers records in the order of the scan within each category, the categories one
        after the other; only what matches has a number that is used.
        """
        con, columns = self._connection, "".join(f", {quoted(name)}" for name in carry)
        con.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(_SOURCE)} AS {_select(source)}")
        try:
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE {quoted(into)} AS "  # noqa: S608 - names only, quoted
                f"SELECT 0::INTEGER AS rule, 0::BIGINT AS event{columns} FROM {quoted(_SOURCE)} LIMIT 0"
            )
            first = 0
            for category, rules in self._categories.items():
                first += self._scan(category, rules, first, into, carry)
        finally:
            con.execute(f"DROP TABLE IF EXISTS {quoted(_CANDIDATES)}")
            con.execute(f"DROP VIEW {quoted(_SOURCE)}")

    def _scan(self, category: str, rules: Sequence[Numbered], first: int, into: str, carry: Sequence[str]) -> int:
        """Append the hits of one category; gives the number of records that were candidates, from ``first`` on."""
        con, columns = self._connection, "".join(f", {quoted(name)}" for name in carry)
        share = self._sample(category, rules).share
        gates = gated(rules, self._schema, share, sizes=(WIDE,))
        needed = sorted({*read_by(gates, self._schema), *carry})
        found = candidates(gates, _SOURCE, self._schema, needed)
        con.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(_CANDIDATES)} AS {found}")
        numbered = f"SELECT rowid + {first} AS {quoted(_EVENT)}, * FROM {quoted(_CANDIDATES)}"  # noqa: S608
        con.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(_NUMBERED)} AS {numbered}")
        for some in _portions(gated(rules, self._schema, share)):
            matched = matching(some, _NUMBERED, self._schema, [_EVENT, *carry])
            con.execute(
                f"INSERT INTO {quoted(into)} "  # noqa: S608 - names only, quoted
                f"SELECT {quoted(RULES)}, {quoted(_EVENT)}{columns} FROM ({matched})"
            )
        (count,) = con.execute(f"SELECT count(*) FROM {quoted(_CANDIDATES)}").fetchall()[0]  # noqa: S608
        con.execute(f"DROP VIEW {quoted(_NUMBERED)}")
        return int(count)

    def _sample(self, category: str, rules: Sequence[Numbered]) -> Sample:
        fields = read_by_gates(rules, self._schema)
        if not fields:
            return Sample({})
        rows = self._connection.execute(some_texts(fields, _SOURCE, category, self._schema, _SAMPLED)).fetchall()
        return Sample(dict(zip(fields, zip(*rows, strict=True), strict=True)) if rows else {})


def _portions(gates: Sequence[Gate]) -> Iterator[list[Gate]]:
    """What takes to prepare a query grows faster than the number of its rules."""
    portion: list[Gate] = []
    for gate in gates:
        if portion and sum(len(each.rules) for each in [*portion, gate]) > _RULES_OF_A_QUERY:
            yield portion
            portion = []
        portion.append(gate)
    yield portion


def _select(source: str) -> str:
    words = source.split(maxsplit=1)
    return source if len(words) > 1 and words[0].upper() in {"SELECT", "FROM", "WITH"} else f"FROM {quoted(source)}"
