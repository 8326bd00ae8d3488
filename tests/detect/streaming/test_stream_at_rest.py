"""A stream finds the episodes that SQL finds in the same events at rest."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from tests.detect.streaming.stream_makers import Seen, run, seen
from tests.detect.streaming.test_stream_kinds import EVENTS, FALLING, RISING, WAITING, made

from threatmatrix.detect.sigma.rules import Correlation
from threatmatrix.detect.sql.correlations import episodes
from threatmatrix.model.event import Event

DATABASE = duckdb.connect()


def at_rest(rule: Correlation, events: list[Event]) -> list[tuple[Any, ...]]:
    """(who, started, last, figure) of each episode."""
    kinds = {"object": "VARCHAR", "latency_ms": "DOUBLE"}
    columns = ["event BIGINT", "slot INTEGER", "time BIGINT", "g0 VARCHAR"]
    columns += [f"v{at} {kinds.get(name, 'BIGINT')}" for at, name in enumerate(rule.field)]
    rows = [
        (number, slot, one.time, one.principal, *(getattr(one, name) for name in rule.field))
        for number, one in enumerate(events)
        for slot, name in enumerate(rule.rules)
        if name in (one.operation or "") and one.principal is not None
    ]
    with DATABASE.cursor() as con:
        con.execute(f"CREATE TEMP TABLE occurrences ({', '.join(columns)})")
        if rows:
            con.executemany(f"INSERT INTO occurrences VALUES ({', '.join('?' * len(columns))})", rows)
        until = max(one.time for one in events)
        found = con.execute(episodes(rule, "occurrences", until=until)).fetchall()
    return sorted((who, started, last, round(figure, 6)) for who, started, _, last, _, figure in found)


@pytest.mark.parametrize("rule", {**RISING, **FALLING, **WAITING}.values(), ids={**RISING, **FALLING, **WAITING})
@settings(max_examples=3, deadline=None)
@given(drawn=EVENTS)
def test_a_stream_and_a_table_at_rest_agree(rule: Correlation, drawn: list[tuple[Any, ...]]) -> None:
    events = [one for one, _ in made(drawn, ties=False)]
    found: list[Seen] = seen(run(rule, events, end=True))
    assert [(one.who, one.started, one.last, one.figure) for one in found] == at_rest(rule, events)
