"""Correlations over 3.5M matching events: seconds and memory for each kind, beside plain RANGE windows in the same run.

The events: seeded, two days, three rules in turn, 5,000 principals of which the largest has a tenth of all events and
the rest fall off steeply, 300 values, shuffled as no file ever is. DuckDB, two threads. Each query is the whole way
from occurrences to episodes. What it is beside:

* ``RANGE``: the window written as ``RANGE BETWEEN n PRECEDING AND CURRENT ROW``, up to the firing rows alone (no
  episodes), as far as SQL can say the kind so;
* ``sqlite``: pysigma-backend-sqlite's own query for the count, on the first 5,000 of these events alone: its cost grows
  with their square (20,000 took 31 s), and that of its ordered sequences faster still.

How cost grows: with n log n of the events (sorting), and for ``temporal_ordered`` with the number of steps; no window
is searched, so that a crowded group costs no more than quiet ones (``--hot``: it has half of all events). Sums, means
and percentiles alone read their windows. docs/decisions/0012 has what else was tried.
"""

from __future__ import annotations

import resource
import sqlite3
import sys
import time
from contextlib import closing

import duckdb
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection

from threatmatrix.detect.sigma.compile import compile_rules
from threatmatrix.detect.sigma.rules import Correlation
from threatmatrix.detect.sigma.schema import Schema
from threatmatrix.detect.sql.correlations import episodes
from threatmatrix.model.matrix import RuleSource

EVENTS = 3_500_000
SAMPLE = 5_000
SPAN = 300_000_000
TEXTS = ("kind", "who", "object")
SCHEMA = Schema({**dict.fromkeys(("category", *TEXTS), "VARCHAR"), "time": "BIGINT", "size": "BIGINT"}, ("bench",), ())
RULES = "---\n".join(
    f"title: {name}\nname: {name}\nlogsource: {{category: bench}}\ndetection: {{s: {{kind: {name}}}, condition: s}}\n"
    for name in "abc"
)
FRAME = f"(PARTITION BY g0 ORDER BY time RANGE BETWEEN {SPAN} PRECEDING AND CURRENT ROW)"
# name, what the issue asks for in seconds, the correlation, the figure by RANGE and what is asked of it
KINDS = (
    ("event_count", 1.0, "type: event_count, rules: [a], condition: {gte: 20}", "count(*)", ">= 20"),
    ("event_count, range", 0.0, "type: event_count, rules: [a], condition: {gte: 20, lt: 40}", "count(*)", ">= 20"),
    ("event_count, 3 rules", 0.0, "type: event_count, rules: [a, b, c], condition: {gte: 20}", "count(*)", ">= 20"),
    ("value_count", 5.0, "type: value_count, rules: [a], condition: {field: object, gte: 20}", "count(DISTINCT v0)", ">= 20"),  # noqa: E501
    ("temporal, 3 rules", 0.0, "type: temporal, rules: [a, b, c]", "bit_count(bit_or(1 << slot))", ">= 3"),
    ("temporal_ordered, 3", 2.0, "type: temporal_ordered, rules: [a, b, c]", "", ""),
    ("temporal_ordered, 2/3", 0.0, "type: temporal_ordered, rules: [a, b, c], condition: {gte: 2}", "", ""),
    ("a and b and not c", 0.0, "type: temporal, rules: [a, b, c], condition: a and b and not c", "", ""),
    ("value_sum", 0.0, "type: value_sum, rules: [a], condition: {field: size, gte: 20000}", "sum(v0)", ">= 20000"),
    ("value_percentile", 0.0, "type: value_percentile, rules: [a], condition: {field: size, percentile: 95, gte: 990}",
     "quantile_cont(v0, 0.95)", ">= 990"),
)  # fmt: skip


def correlation(text: str) -> tuple[str, Correlation]:
    document = f"title: it\nname: it\ncorrelation: {{{text}, group-by: [who], timespan: 300s}}\n"
    source = RuleSource("bench.yml", f"{RULES}---\n{document}", "")
    return source.text, compile_rules([source], schema=SCHEMA, strict=True).correlations[0]


def world(con: duckdb.DuckDBPyConnection, events: int, *, hot: bool) -> None:
    """Tables ``o`` (occurrences, the value as text) and ``n`` (the value as a number)."""
    con.execute("SELECT setseed(0.5)")
    con.execute(
        f"""CREATE TABLE o AS SELECT i AS event, CAST(floor(random() * 3) AS INTEGER) AS slot,
            CAST(1767571200000000 + i * {SPAN * 576 // events} + random() * 1e6 AS BIGINT) AS time,
            'p' || CASE WHEN random() < {0.5 if hot else 0.1} THEN 0 ELSE CAST(floor(pow(random(), 3) * 5000) AS INT)
            END AS g0, 'm' || CAST(random() * 300 AS INT) AS v0, CAST(random() * 1000 AS BIGINT) AS size
            FROM range({events}) t(i) ORDER BY hash(i)"""
    )
    con.execute("CREATE TABLE n AS SELECT * EXCLUDE (v0, size), size AS v0 FROM o")


def measured(con: duckdb.DuckDBPyConnection, query: str) -> tuple[float, int]:
    began = time.perf_counter()
    row = con.execute(f"SELECT count(*) FROM ({query})").fetchone()
    return time.perf_counter() - began, row[0] if row else 0


def by_range(figure: str, asked: str, table: str) -> str:
    if not figure:
        return ""
    call = (
        figure.replace("bit_or(1 << slot)", f"bit_or(1 << slot) OVER {FRAME}")
        if "bit_or" in figure
        else f"{figure} OVER {FRAME}"
    )
    return f"SELECT * FROM (SELECT g0, time, {call} AS f FROM {table}) WHERE f {asked}"


def by_sqlite(con: duckdb.DuckDBPyConnection, text: str) -> str:
    """Seconds of pysigma-backend-sqlite on a sample, as text."""
    backend = sqliteBackend(table="logs", timestamp_field="time", timestamp_format="unix_us", event_id_field="id")
    *_, query = backend.convert(SigmaCollection.from_yaml(text))
    rows = con.execute(
        f"SELECT event, time, ['a', 'b', 'c'][slot + 1], g0, v0, size FROM o ORDER BY event LIMIT {SAMPLE}"
    ).fetchall()
    with closing(sqlite3.connect(":memory:")) as held:
        held.execute("CREATE TABLE logs (id INTEGER, time INTEGER, kind TEXT, who TEXT, object TEXT, size INTEGER)")
        held.executemany("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?)", rows)
        began = time.perf_counter()
        held.execute(f"SELECT count(*) FROM ({query})").fetchone()
        return f"{time.perf_counter() - began:.1f} s"


def main() -> int:
    hot, slow = "--hot" in sys.argv, []
    with duckdb.connect(config={"threads": 2}) as con:
        world(con, EVENTS, hot=hot)
        con.execute("SELECT max(time) FROM o").fetchone()  # so that no kind pays for the first touch of the tables
        print(f"{EVENTS:,} matching events, 2 threads{', half of them of one group' if hot else ''}")
        print(
            f"{'':24}{'episodes':>10}{'seconds':>9}{'asked':>7}{'RANGE':>8}  pysigma-backend-sqlite, {SAMPLE:,} events"
        )
        for name, limit, written, figure, asked in KINDS:
            text, rule = correlation(written)
            table = "n" if rule.kind in {"value_sum", "value_percentile"} else "o"
            seconds, found = measured(con, episodes(rule, table))
            baseline = f"{measured(con, by_range(figure, asked, table))[0]:.2f}" if figure else "–"
            other = by_sqlite(con, text) if name == "event_count" else ""
            wanted = f"≤ {limit:g}" if limit else ""
            print(f"{name:24}{found:>10,}{seconds:>9.2f}{wanted:>7}{baseline:>8}  {other}", flush=True)
            slow += [name] if limit and seconds > limit else []
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB (tables in memory included)")
    if slow:
        print(f"slower than asked for: {', '.join(slow)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
