"""What a batch matches is what each of its events matches, whatever is remembered of the events before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from math import isnan
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.sigma.rule_makers import event
from tests.detect.sigma.rule_strategies import conditions, events

from threatmatrix.detect.engines.scanning import answers, remembered, scanner
from threatmatrix.detect.engines.scanning.scanner import Scanner
from threatmatrix.detect.sigma.ir import And, Leaf, Node, Not, Or
from threatmatrix.detect.sigma.rules import EventRule, Meta
from threatmatrix.detect.sigma.schema import EVENTS
from threatmatrix.detect.sql.conditions import condition
from threatmatrix.model.event import EVENT_COLUMNS, Event


@cache
def database() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    columns = ", ".join(f'"{name}" {kind}' for name, kind in EVENT_COLUMNS.items())
    con.execute(f'CREATE TABLE plain ("at" BIGINT, {columns})')
    return con


def rules(nodes: Sequence[Node], category: str = "inference") -> list[EventRule]:
    return [
        EventRule(meta=Meta(key=f"r{at}", title="A rule", technique="t", file="f"), category=category, condition=node)
        for at, node in enumerate(nodes)
    ]


def by_scanner(scan: Scanner, batches: Sequence[Sequence[Event]]) -> Iterator[dict[str, list[int]]]:
    for batch in batches:
        yield {key: at.tolist() for key, at in scan.match(batch).items()}


def by_table(nodes: Sequence[Node], batch: Sequence[Event]) -> dict[str, list[int]]:
    con = database()
    con.execute("DELETE FROM plain")
    marks = ", ".join("?" * (len(EVENT_COLUMNS) + 1))
    for at, one in enumerate(batch):
        cells = [getattr(one, name) for name in EVENT_COLUMNS]
        cells = [None if isinstance(cell, float) and isnan(cell) else cell for cell in cells]  # an event's NaN is none
        con.execute(f"INSERT INTO plain VALUES ({marks})", [at, *cells])
    found = {}
    for number, node in enumerate(nodes):
        test = condition(node).sql("duckdb")
        query = f"SELECT \"at\" FROM plain WHERE category = 'inference' AND {test} ORDER BY 1"
        positions = [at for (at,) in con.execute(query).fetchall()]
        if positions:
            found[f"r{number}"] = positions
    return found


batches_of_records = st.lists(st.lists(events(EVENTS), max_size=5), min_size=1, max_size=4)


@settings(max_examples=30)
@given(
    nodes=st.lists(conditions(EVENTS), min_size=1, max_size=6), batches=batches_of_records, room=st.sampled_from([0, 1])
)
def test_batches_match_what_a_table_matches(nodes: list[Node], batches: list[list[dict[str, Any]]], room: int) -> None:
    made = [[event(at, **{"category": "inference", **one}) for at, one in enumerate(batch)] for batch in batches]
    with closing(duckdb.connect()) as con, pytest.MonkeyPatch.context() as patch:
        if not room:
            patch.setattr(scanner, "_REMEMBERED", 0)  # everything is forgotten at once
            patch.setattr(answers, "_SIGNATURES", 0)
        found = list(by_scanner(Scanner(rules(nodes), EVENTS, con), made))
    assert found == [by_table(nodes, batch) for batch in made]


EDGES: list[Node] = [
    Leaf("latency_ms", "gt", 2),
    Leaf("latency_ms", "gte", 2.5),
    Leaf("latency_ms", "equals", 0),
    Not(Leaf("latency_ms", "lt", 1e9)),
    And((Leaf("latency_ms", "contains", "-"), Leaf("latency_ms", "lte", 0))),
    Leaf("input_bytes", "lte", 2.5),
    Leaf("input_bytes", "equals", 2**53 + 1),
    Leaf("input_bytes", "gte", -(2**63)),
    Leaf("input_bytes", "present"),
    Not(Or((Leaf("tokens_in", "gt", 5), Leaf("tokens_in", "absent")))),
    Leaf("time", "equals", 9, part="hour"),
    Not(Leaf("time", "equals", 1970, part="year")),
    And((Leaf("model", "contains", "1"), Leaf("model_version", "same", "model"))),
    Leaf("output_scores", "present"),
    Leaf("vec_scale", "absent"),
    And(()),
    Or(()),
]


def test_values_between_bounds_and_at_the_ends_of_what_there_is() -> None:
    doubles = [None, 0.0, -0.0, 2.0, 2.25, 2.5, 3.0, -1.0, float("inf"), float("-inf"), float("nan"), 1e9]
    wholes = [None, 2, 3, 2**53, 2**53 + 1, 2**53 + 2, -(2**63) + 1, 2**63 - 1, 0, 5, 6, -1]
    times = [0, 59_999_999, 60_000_000, -1, 9 * 3_600_000_000, 9_000_000_000_000_000_000, 9_000_000_000_000_000_001]
    batch = [
        event(at, latency_ms=double, vec_scale=double, input_bytes=whole, tokens_in=whole, time=times[at % len(times)])
        for at, (double, whole) in enumerate(zip(doubles, wholes, strict=True))
    ]
    batch += [event(99, model="v1", model_version="V1", output_scores=(0.5,)), event(98, model="v1", model_version="2")]
    with closing(duckdb.connect()) as con:
        forwards, backwards = Scanner(rules(EDGES), EVENTS, con), Scanner(rules(EDGES), EVENTS, con)
        expected = [by_table(EDGES, [one]) for one in batch]
        assert list(by_scanner(forwards, [[one] for one in batch])) == expected
        assert list(by_scanner(backwards, [[one] for one in reversed(batch)])) == expected[::-1]
        assert list(by_scanner(forwards, [batch])) == [by_table(EDGES, batch)]


def test_what_is_remembered_is_bounded() -> None:
    room = remembered.Room(64 << 10)
    memory = room.memory()
    memory.keep("often", 7)
    for number in range(5_000):
        assert memory.look(["often"]) == [7] or memory.again("often") == 7
        memory.keep(f"once {number}", 1)
    assert len(memory) < 400
    memory.keep("x" * (remembered.LONGEST + 1), 1)
    assert memory.look(["x" * (remembered.LONGEST + 1)]) == [None]
