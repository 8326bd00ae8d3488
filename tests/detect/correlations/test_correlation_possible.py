"""What is left out before anything is sorted could not have fired."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.correlations import correlation_oracle as oracle
from tests.detect.correlations.correlation_oracle import Occurrence
from tests.detect.correlations.correlation_tables import correlation
from tests.detect.correlations.test_correlation_sql import EVENTS, RULES, occurrences

from threatmatrix.detect.sigma.rules import Correlation
from threatmatrix.detect.sql.correlations import may_fire, worth_sorting

SEEN = "event, slot, time, g0, v0, v1"


@pytest.fixture(scope="module")
def table() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("CREATE TABLE seen (event BIGINT, slot INTEGER, time BIGINT, g0 VARCHAR, v0 BIGINT, v1 BIGINT)")
        yield con


def kept(con: duckdb.DuckDBPyConnection, rule: Correlation, made: list[Occurrence]) -> list[Occurrence]:
    con.execute("DELETE FROM seen")
    con.executemany("INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?)", [
        (one.event, one.slot, one.time, *one.group, *one.values) for one in made
    ])  # fmt: skip
    rows = con.execute(f"SELECT {SEEN} FROM ({worth_sorting(rule, 'seen')}) ORDER BY event, slot").fetchall()
    return [Occurrence(event, slot, time, (group,), tuple(values)) for event, slot, time, group, *values in rows]


@settings(max_examples=60, deadline=None)
@given(rule=st.sampled_from(RULES), drawn=st.lists(EVENTS, min_size=1, max_size=24))
def test_what_is_left_fires_as_everything_does(table: duckdb.DuckDBPyConnection, rule: Correlation, drawn: Any) -> None:
    made = occurrences(drawn, len(rule.rules))

    def episodes(some: list[Occurrence]) -> list[Any]:
        seen = [Occurrence(o.event, o.slot, o.time, o.group, o.values[: len(rule.field) or 2]) for o in some]
        return oracle.episodes(rule, seen, 40)

    every = episodes(made)
    assert episodes(kept(table, rule, made)) == every
    assert not every or may_fire(rule, Counter(one.slot for one in made))


def test_a_group_without_a_step_that_is_asked_for_is_not_sorted(table: duckdb.DuckDBPyConnection) -> None:
    rule = correlation("temporal_ordered", expression="a and (b or c) and not d")
    whole = [Occurrence(1, 0, 1, ("p",), (None, None)), Occurrence(2, 2, 2, ("p",), (None, None))]
    without = [Occurrence(3, 1, 1, ("q",), (None, None)), Occurrence(4, 3, 2, ("q",), (None, None))]
    assert kept(table, rule, whole + without) == whole


def test_groups_with_too_few_events_are_not_sorted(table: duckdb.DuckDBPyConnection) -> None:
    rule = correlation("event_count", [("gt", 1)])
    few = [Occurrence(1, 0, 1, ("p",), (None, None))]
    enough = [Occurrence(event, 0, 90 * event, ("q",), (None, None)) for event in (2, 3)]
    assert kept(table, rule, few + enough) == enough


def test_a_correlation_of_which_too_little_was_met_is_not_looked_at() -> None:
    three = correlation("temporal", [("gte", 2)], rules=3)
    assert not may_fire(three, {0: 9, 1: 0, 2: 0})
    assert may_fire(three, {0: 9, 1: 0, 2: math.inf})
    assert not may_fire(correlation("temporal", expression="a and not b"), {0: 0, 1: 5})
    assert not may_fire(correlation("event_count", [("gte", 10)], rules=2), {0: 4, 1: 5})
    assert not may_fire(correlation("value_sum", [("lt", 10)], field=("x",)), {0: 0})
