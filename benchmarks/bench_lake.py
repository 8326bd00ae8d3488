"""The lake: compaction, and what reading costs before and after it, beside one plain COPY of the same rows by DuckDB.

Figures are processor time of all threads: how many cores share the work is another question.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from threatmatrix.telemetry.columns import create_table
from threatmatrix.telemetry.lake import Lake

DAY = 86_400_000_000
FIRST = 20_454 * DAY
SMALL = 1_000  # parts


def cost(action: Callable[[], Any]) -> float:
    """Seconds of processor time."""
    began = time.process_time()
    action()
    return time.process_time() - began


def fill(con: duckdb.DuckDBPyConnection, events: int) -> None:
    """Gateway events of one day in order of time, with a vector of 64 and three scores: 95 bytes each, packed."""
    create_table(con, "made")
    con.execute(
        f"""INSERT INTO made BY NAME SELECT 'gateway:' || i || '-' || hash(i) AS event_id,
        {FIRST} + i * ({DAY} // {events}) AS time, 'gateway' AS source, 'inference' AS category, 'infer' AS operation,
        'acct-' || (i % 5000) AS principal, '10.0.' || (i % 250) || '.' || (i % 199) AS src_ip, 'm' AS model,
        '/v2/models/m/infer' AS endpoint, hash(i)::VARCHAR AS request_ref, md5(i::VARCHAR) AS input_fp,
        unhex(md5(i::VARCHAR) || md5((i + 1)::VARCHAR) || md5((i + 2)::VARCHAR) || md5((i + 3)::VARCHAR)) AS input_vec,
        (i % 10)::VARCHAR AS output_label, [random(), random(), random()] AS output_scores, 200 AS status
        FROM range({events}) AS r(i)"""
    )


def reading(lake: Lake) -> str:
    """One look at everything, one at an hour."""

    def everything() -> None:
        with closing(lake.connect()) as con:
            con.execute("SELECT principal, count(*) FROM events GROUP BY 1").fetchall()

    def hour() -> None:
        with closing(lake.connect()) as con:
            con.execute(f"SELECT count(*) FROM events WHERE time < {FIRST + DAY // 24}").fetchall()

    found = {name: min(cost(work) for _ in range(3)) for name, work in (("all", everything), ("hour", hour))}
    return ", ".join(f"{name} {seconds * 1000:,.0f} ms" for name, seconds in found.items())


def main(events: int = 1_000_000) -> int:
    with tempfile.TemporaryDirectory() as folder, closing(Lake(Path(folder) / "lake")) as lake:
        with closing(duckdb.connect()) as con:
            fill(con, events)
            plain = cost(lambda: con.table("made").write_parquet(f"{folder}/plain.parquet", compression="zstd"))
            print(f"plain COPY by DuckDB         {plain / events * 1e6:6.2f} µs an event")
            spent = cost(lambda: lake.append_table(con, "made", part="whole"))
            print(f"append_table, one part       {spent / events * 1e6:6.2f} µs an event")
            lake.expire("2100-01-01")
            for number in range(SMALL):
                size = events // SMALL
                con.execute(f"CREATE OR REPLACE TABLE piece AS SELECT * FROM made LIMIT {size} OFFSET {number * size}")
                lake.append_table(con, "piece", part=f"p{number}")
        print(f"reading {SMALL:,} small parts    {reading(lake)}")
        spent = cost(lambda: lake.compact(grace=0))
        print(f"compaction                   {spent / events * 1e6:6.2f} µs an event")
        print(f"reading {len(list(lake.root.glob('*/merged-*')))} merged parts       {reading(lake)}")
        spent = cost(lambda: lake.erase("acct-7", alias="erased-0"))
        print(f"erasing one principal        {spent / events * 1e6:6.2f} µs an event of the days that have them")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"(peak {peak:,.0f} MB, the made table among it)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
