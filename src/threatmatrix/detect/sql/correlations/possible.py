"""Which correlations, and which of their groups, hold enough to fire at all: told by counting, before anything sorts.

What is left out can never fire, whatever the times are; what is left may.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from threatmatrix.detect.sigma.expressions import clauses
from threatmatrix.detect.sigma.rules import TEMPORAL, Correlation

__all__ = ["least", "may_fire", "worth_sorting"]

_COUNTS = frozenset({"event_count", "value_count"})


def least(correlation: Correlation) -> int:
    """The figure below which no bound lets the correlation fire; 0 where there is none."""
    floors = [0]
    for bound in correlation.bounds:
        if bound.op == "gt":
            floors.append(math.floor(bound.number) + 1)
        elif bound.op in {"gte", "eq"}:
            floors.append(math.ceil(bound.number))
    return max(floors)


def may_fire(correlation: Correlation, occurrences: Mapping[int, float]) -> bool:
    """Whether so many occurrences of each slot (place in ``correlation.rules``) could make it fire."""
    there = {slot for slot, number in occurrences.items() if number}
    if not there:
        return False
    if correlation.kind not in TEMPORAL:
        return correlation.kind not in _COUNTS or sum(occurrences.values()) >= least(correlation)
    if correlation.expression is None:
        return len(there) >= least(correlation)
    return any(there.issuperset(way) for way in _ways(correlation))


def worth_sorting(correlation: Correlation, table: str) -> str:
    """A query (DuckDB) for the rows of ``table``, as ``firing`` reads it, of the groups that may fire."""
    asked = _having(correlation)
    if not asked or not correlation.group_by:
        return f"SELECT * FROM {table}"  # noqa: S608 - names of ours and numbers alone
    keys = ", ".join(f"g{at}" for at in range(len(correlation.group_by)))
    enough = f"SELECT {keys} FROM {table} GROUP BY {keys} HAVING {asked}"  # noqa: S608
    return f"SELECT * FROM {table} SEMI JOIN ({enough}) AS enough USING ({keys})"  # noqa: S608


def _having(correlation: Correlation) -> str:
    if correlation.kind in TEMPORAL:
        if correlation.expression is None:
            return f"count(DISTINCT slot) >= {least(correlation)}"
        ways = (" AND ".join(f"bool_or(slot = {slot})" for slot in sorted(way)) for way in _ways(correlation))
        return " OR ".join(way or "true" for way in ways)
    # Different values would leave out more, and cost more to count than the sort that they spare.
    return f"count(*) >= {least(correlation)}" if correlation.kind in _COUNTS else ""


def _ways(correlation: Correlation) -> list[frozenset[int]]:
    """Sets of slots; where the expression holds, each slot of one of them has occurred."""
    assert correlation.expression is not None
    place = {key: slot for slot, key in enumerate(correlation.rules)}
    return [frozenset(place[step] for step in clause.steps) for clause in clauses(correlation.expression)]
