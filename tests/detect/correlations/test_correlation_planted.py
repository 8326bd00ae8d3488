"""Bursts and chains planted in noise, across the boundaries of fixed windows: all are found, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pytest
from tests.detect.correlations.correlation_tables import correlation

from threatmatrix.detect.sql.correlations import episodes

SECOND = 1_000_000
SPAN = 300 * SECOND
BURSTS, SIZE, LENGTH = 5_000, 20, 240 * SECOND


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as held:
        yield held


def fill(con: duckdb.DuckDBPyConnection, slot: np.ndarray, time: np.ndarray, group: np.ndarray) -> None:
    con.register("given", {"event": np.arange(len(time)), "slot": slot, "time": time, "g0": group})
    con.execute("CREATE OR REPLACE TABLE occurrences AS SELECT * FROM given")
    con.unregister("given")


def test_bursts_across_boundaries_are_all_found_where_tumbling_windows_find_few(con: duckdb.DuckDBPyConnection) -> None:
    rng = np.random.default_rng(5)
    starts = rng.integers(0, 7 * 86_400, BURSTS) * SECOND
    inside = np.sort(rng.integers(0, LENGTH, (BURSTS, SIZE)), axis=1)
    time = (starts[:, None] + inside).ravel()
    group = np.repeat(np.arange(BURSTS), SIZE)
    # Noise: nineteen events of other groups within the timespan are no burst.
    quiet = np.repeat(np.arange(BURSTS, BURSTS + 1000), SIZE - 1)
    time = np.concatenate([time, rng.integers(0, 7 * 86_400 * SECOND, len(quiet))])
    group = np.concatenate([group, quiet])
    order = rng.permutation(len(time))
    fill(con, np.zeros(len(time), np.int32), time[order], group[order])
    found = con.execute(episodes(correlation("event_count", [("gte", SIZE)], timespan=SPAN), "occurrences")).fetchall()
    assert sorted(row[0] for row in found) == list(range(BURSTS))
    assert {(row[0], row[1], row[3]) for row in found} == {
        (burst, int(starts[burst] + inside[burst, 0]), int(starts[burst] + inside[burst, -1]))
        for burst in range(BURSTS)
    }
    tumbling = con.execute(
        "SELECT count(DISTINCT g0) FROM (SELECT g0 FROM occurrences GROUP BY g0, time // ? HAVING count(*) >= ?)",
        [SPAN, SIZE],
    ).fetchall()
    assert tumbling[0][0] < BURSTS * 0.4


def test_chains_in_noise_are_found_in_their_order_only(con: duckdb.DuckDBPyConnection) -> None:
    rng = np.random.default_rng(6)
    chains = 3_000
    start = rng.integers(0, 86_400, chains) * SECOND
    steps = start[:, None] + np.sort(rng.choice(SPAN, (chains, 4), replace=True), axis=1)
    steps += np.arange(4)  # strictly increasing
    forward = np.arange(chains) < chains // 2
    slots = np.where(forward[:, None], np.arange(4), np.arange(4)[::-1])
    # Noise: every group repeats its first and last step a day later, too far from each other to be a chain.
    noise = np.tile(start, 2) + np.repeat([86_400 * SECOND, 86_400 * SECOND + 2 * SPAN], chains)
    slot = np.concatenate([slots.ravel(), np.repeat([0, 3], chains)]).astype(np.int32)
    group = np.concatenate([np.repeat(np.arange(chains), 4), np.tile(np.arange(chains), 2)])
    fill(con, slot, np.concatenate([steps.ravel(), noise]), group)
    ordered = con.execute(
        episodes(correlation("temporal_ordered", [("gte", 4)], rules=4, timespan=SPAN + 4), "occurrences")
    ).fetchall()
    assert sorted(row[0] for row in ordered) == list(range(chains // 2))
    assert all(row[1] == steps[row[0], 0] and row[2] == steps[row[0], 3] for row in ordered)
    together = con.execute(
        episodes(correlation("temporal", [("gte", 4)], rules=4, timespan=SPAN + 4), "occurrences")
    ).fetchall()
    assert sorted(row[0] for row in together) == list(range(chains))
