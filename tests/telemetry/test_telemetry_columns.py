"""Events → a DuckDB table: what goes in comes out."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.columns import to_table

CON = duckdb.connect()  # one for all examples: opening takes longer than an example
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "VARCHAR": TEXT,
    "BIGINT": st.integers(0, 2**63 - 1),
    "DOUBLE": st.floats(allow_nan=False),
    "BLOB": st.binary(max_size=8),
    "DOUBLE[]": st.lists(st.floats(allow_nan=False), max_size=3).map(tuple),
}
REQUIRED = ("event_id", "time", "source", "category")


@st.composite
def any_event(draw: st.DrawFn) -> Event:
    some = {
        name: draw(STRATEGIES[sql] if name in REQUIRED else st.none() | STRATEGIES[sql])
        for name, sql in EVENT_COLUMNS.items()
    }
    return Event(**some)


def rows(events: list[Event]) -> list[tuple[Any, ...]]:
    cells = [tuple(getattr(event, name) for name in EVENT_COLUMNS) for event in events]
    return [tuple(list(cell) if isinstance(cell, tuple) else cell for cell in row) for row in cells]


@settings(max_examples=12, deadline=None)
@given(batches=st.lists(st.lists(any_event(), max_size=4), max_size=2))
def test_round_trip(batches: list[list[Event]]) -> None:
    CON.execute('DROP TABLE IF EXISTS "odd ""name"""')
    for batch in [[], *batches]:
        to_table(CON, 'odd "name"', batch)
    stored = CON.execute('SELECT * FROM "odd ""name"""').fetchall()
    columns = CON.execute('DESCRIBE "odd ""name"""').fetchall()
    assert stored == rows([event for batch in batches for event in batch])
    assert {row[0]: row[1] for row in columns} == dict(EVENT_COLUMNS)


@pytest.mark.parametrize("at", [0, 1, 1500, 2999])
def test_one_value_among_many_nulls_keeps_its_type(at: int) -> None:
    one: dict[str, Any] = {
        "session": "17",
        "input_vec": b"\x00\\x41",
        "output_scores": (0.5,),
        "row": 3,
        "latency_ms": 0.1,
    }
    base: dict[str, Any] = {"time": 1, "source": "gateway", "category": "http"}
    events = [Event(event_id=str(n), **base, **(one if n == at else {})) for n in range(3000)]
    with duckdb.connect() as con:
        to_table(con, "events", events)
        names = ", ".join(one)
        (row,) = con.execute(f"SELECT {names} FROM events WHERE session IS NOT NULL").fetchall()
    assert row == ("17", b"\x00\\x41", [0.5], 3, 0.1)


def test_empty_score_lists_before_full_ones() -> None:
    base: dict[str, Any] = {"time": 1, "source": "gateway", "category": "http"}
    scores: list[tuple[float, ...] | None] = [*[()] * 2000, (0.25, 0.75), None]
    with duckdb.connect() as con:
        to_table(con, "e", [Event(event_id=str(n), output_scores=cell, **base) for n, cell in enumerate(scores)])
        got = [row[0] for row in con.execute("SELECT output_scores FROM e ORDER BY event_id::INT").fetchall()]
    assert got == [None if cell is None else list(cell) for cell in scores]
