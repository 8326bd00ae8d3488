"""Every kind of correlation in SQL, on DuckDB and SQLite, against the brute-force oracle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.correlations import correlation_oracle as oracle
from tests.detect.correlations.correlation_oracle import Occurrence
from tests.detect.correlations.correlation_tables import DIALECTS, Tables, correlation, tables

from threatmatrix.detect.sigma.rules import Correlation
from threatmatrix.detect.sql.correlations import firing
from threatmatrix.model.errors import UnknownNameError

SPAN = 6
COUNTS: list[list[tuple[Any, float]]] = [
    [("gte", 1)], [("gte", 3)], [("gt", 2)], [("lt", 3)], [("lte", 2)], [("eq", 2)], [("neq", 2)],
    [("gte", 2), ("lt", 4)], [("gt", 1), ("lte", 3), ("neq", 2)],
]  # fmt: skip
NUMBERS: list[list[tuple[Any, float]]] = [[("gte", 12)], [("lt", 2.5)], [("gt", -3), ("lte", 4)], [("neq", 0)]]
BACKWARDS = ["a", "a and b", "a or b", "a and (b or c)", "(a and b) or (b and c) or (c and d)"]
FORWARDS = ["a and not b", "a and b and not c", "(a and not b) or (b and not a)", "a and not (b or c)", "not a and b"]
RULES: list[Correlation] = [
    *(correlation("event_count", bounds, rules=n, timespan=SPAN) for bounds in COUNTS for n in (1, 2)),
    *(correlation("value_count", bounds, rules=n, timespan=SPAN, field=("x",)) for bounds in COUNTS for n in (1, 2)),
    *(correlation("value_count", [("gte", 3)], rules=1, timespan=SPAN, field=("x", "y")) for _ in range(2)),
    *(correlation("temporal", bounds, rules=3, timespan=SPAN) for bounds in COUNTS),
    *(correlation("temporal_ordered", bounds, rules=3, timespan=SPAN) for bounds in COUNTS),
    *(correlation("temporal_ordered", [("gte", n)], rules=n, timespan=SPAN) for n in (1, 2, 4)),
    *(correlation("temporal", timespan=SPAN, expression=text) for text in (*BACKWARDS, *FORWARDS)),
    *(correlation("temporal_ordered", timespan=SPAN, expression=text) for text in (*BACKWARDS, *FORWARDS)),
    *(
        correlation(kind, bounds, rules=n, timespan=SPAN, field=("x",), percentile=90.0)
        for kind in ("value_sum", "value_avg", "value_median", "value_percentile")
        for bounds in NUMBERS
        for n in (1, 2)
    ),
]


@pytest.fixture(scope="module")
def both() -> Iterator[Tables]:
    with tables(values=2) as held:
        yield held


VALUES = st.tuples(st.none() | st.integers(-4, 6), st.sampled_from([None, 0, 1]))
EVENTS = st.tuples(
    st.integers(0, 25), st.sampled_from(["p", "q", "Q"]), st.sets(st.integers(0, 3), min_size=1, max_size=2), VALUES
)


def occurrences(drawn: list[tuple[int, str, set[int], tuple[Any, Any]]], rules: int) -> list[Occurrence]:
    return [
        Occurrence(event, slot, time, (group,), values)
        for event, (time, group, slots, values) in enumerate(drawn)
        for slot in sorted({slot % rules for slot in slots})
    ]


def check(both: Tables, rule: Correlation, made: list[Occurrence], until: int | None) -> None:
    seen = [Occurrence(o.event, o.slot, o.time, o.group, o.values[: len(rule.field) or 2]) for o in made]
    both.fill(made)
    fired, merged = oracle.firings(rule, seen, until), oracle.episodes(rule, seen, until)
    for dialect in DIALECTS:
        assert both.firings(rule, dialect, until) == close(fired), dialect
        assert both.episodes(rule, dialect, until) == close(merged), dialect


def close(rows: list[Any]) -> list[Any]:
    """Sums and means of floats differ in their last bits; whole numbers do not."""
    return [type(row)(*(getattr(row, name) for name in row.__slots__[:-1]), pytest.approx(row.figure)) for row in rows]


@settings(max_examples=50, deadline=None)
@given(
    rule=st.sampled_from(RULES), drawn=st.lists(EVENTS, max_size=24), until=st.sampled_from([None, 14, 40])
)  # fmt: skip
def test_the_sql_says_what_the_definition_says(both: Tables, rule: Correlation, drawn: Any, until: int | None) -> None:
    check(both, rule, occurrences(drawn, len(rule.rules)), until)


@pytest.mark.nightly
@settings(max_examples=4000, deadline=None)
@given(
    rule=st.sampled_from(RULES), drawn=st.lists(EVENTS, max_size=60), until=st.sampled_from([None, 14, 40])
)  # fmt: skip
def test_the_sql_says_what_the_definition_says_for_long(
    both: Tables, rule: Correlation, drawn: Any, until: int | None
) -> None:
    check(both, rule, occurrences(drawn, len(rule.rules)), until)


def test_a_dialect_that_nobody_has_checked() -> None:
    with pytest.raises(UnknownNameError, match="oracle"):
        firing(RULES[0], "occurrences", "oracle")
