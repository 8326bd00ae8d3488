"""The engine: generated Sigma rules over generated records at rest, in this engine and in others, and in micro-batches.

``python -m benchmarks.bench_engine [--full] [--quick]``. Every way to run the rules has a process of its own, two
threads, and the same files, and must find the same records for the same rules. A figure is the median of as many runs
as the table says: the ways that take minutes run once. pysigma-backend-sqlite runs on samples of two sizes, in memory,
so that its figure can be scaled. ``--full`` adds 50M records (each file ten times, under ten names), for memory alone;
``--quick`` takes few, once. The whole takes about ten minutes.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.engine_chdb import INSTALLED, chdb_counts
from benchmarks.engine_rules import sigma_rules
from benchmarks.engine_world import CATEGORIES, SCHEMA, make_world
from threatmatrix.detect.engines.scanning.scanner import Scanner
from threatmatrix.detect.sigma.compile import compile_rules
from threatmatrix.detect.sigma.rules import EventRule
from threatmatrix.detect.sql.conditions import Renderer, condition, folded_name
from threatmatrix.detect.sql.dialects import dialect_named
from threatmatrix.detect.sql.scan import scan
from threatmatrix.model.matrix import RuleSource

FEW, MANY = 200, 3_000
SAMPLES = (50_000, 100_000)  # records, of which SQLite takes the first
RUNS = 3
PLAIN, OURS, CHDB = "query per rule", "+ prefilter (ours)", "chDB, split by category"
SLOW = {PLAIN, "one pass, CASE list", "+ split by category"}
CASE_RULES = 60  # of a query in the one-pass way: DuckDB is slow to prepare one of thousands
MEMORY = "300MB"
Counts = dict[str, int]


def compiled(count: int) -> list[EventRule]:
    sources = [RuleSource(f"{at}.yml", text, "generated") for at, text in enumerate(sigma_rules(count))]
    ruleset = compile_rules(sources, schema=SCHEMA, strict=True)
    return list(ruleset.rules)


def database(folder: str) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("SET enable_progress_bar = false; SET threads = 2")
    con.execute(f"SET memory_limit = '{MEMORY}'; SET temp_directory = '{folder}/spilled'")
    con.execute(f"CREATE VIEW logs AS FROM read_parquet('{folder}/*.parquet')")
    return con


def ours(con: duckdb.DuckDBPyConnection, rules: list[EventRule]) -> Counts:
    Scanner(rules, SCHEMA, con).hits("logs", "found", ["event_id"])
    rows = con.execute("SELECT rule, count(*) FROM found GROUP BY rule").fetchall()
    return {rules[rule].meta.key: count for rule, count in rows}


def routed(rule: EventRule) -> str:
    return f"category = '{rule.category}' AND {condition(rule.condition, SCHEMA).sql('duckdb')}"


def query_per_rule(con: duckdb.DuckDBPyConnection, rules: list[EventRule]) -> Counts:
    found = {}
    for rule in rules:
        found[rule.meta.key] = con.execute(f"SELECT count(*) FROM logs WHERE {routed(rule)}").fetchall()[0][0]
    return found


def one_pass(con: duckdb.DuckDBPyConnection, rules: list[EventRule]) -> Counts:
    """A CASE list over all records: each text folded once, no split, no prefilter."""
    renderer = Renderer(SCHEMA, dialect_named("duckdb"), folded=True)
    texts = [name for name in SCHEMA.fields if SCHEMA.is_text(name)]
    folded = ", ".join(f'lower("{name}") AS "{folded_name(name)}"' for name in texts)
    found: Counts = {}
    for first in range(0, len(rules), CASE_RULES):
        some = rules[first : first + CASE_RULES]
        tests = (f"category = '{rule.category}' AND {renderer.test(rule.condition).sql('duckdb')}" for rule in some)
        sums = ", ".join(f"count(CASE WHEN {test} THEN 1 END)" for test in tests)
        counts = con.execute(f"SELECT {sums} FROM (SELECT *, {folded} FROM logs)").fetchall()[0]
        found |= dict(zip((rule.meta.key for rule in some), counts, strict=True))
    return found


def split(con: duckdb.DuckDBPyConnection, rules: list[EventRule]) -> Counts:
    """The plain scan: one pass for each category, each text folded once, every rule evaluated on every record."""
    found: Counts = {}
    for category in CATEGORIES:
        some = [rule for rule in rules if rule.category == category]
        if some:
            sums = ", ".join(f"count(*) FILTER (r{at})" for at in range(len(some)))
            sql = scan(some, "logs", "event_id", schema=SCHEMA)
            counts = con.execute(f"SELECT {sums} FROM ({sql})").fetchall()[0]
            found |= dict(zip((rule.meta.key for rule in some), counts, strict=True))
    return found


WAYS: dict[str, Callable[[duckdb.DuckDBPyConnection, list[EventRule]], Counts]] = {
    PLAIN: query_per_rule,
    "one pass, CASE list": one_pass,
    "+ split by category": split,
    OURS: ours,
}


def child(way: str, folder: str, count: int, runs: int) -> dict[str, Any]:
    """Run one way in this process: seconds of each run, what was found, peak memory in MB."""
    if way == "pysigma-sqlite":
        from benchmarks.engine_sqlite import sqlite_counts

        seconds, found = sqlite_counts(folder, sigma_rules(count), SAMPLES, runs)
        return {"seconds": seconds, "found": found, "peak": peak()}
    rules = compiled(count)
    took, found = [], {}
    with closing(database(folder)) as con:
        for _ in range(runs):
            began = time.perf_counter()
            found = chdb_counts(folder, rules) if way == CHDB else WAYS[way](con, rules)
            took.append(time.perf_counter() - began)
    return {"seconds": took, "found": {key: number for key, number in found.items() if number}, "peak": peak()}


def peak() -> float:
    """Of this process, in MB; getrusage would give that of the parent where it was larger."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """One way over one world."""

    rules: int
    runs: list[float]  # seconds of each
    found: Counts
    peak: float  # MB

    @property
    def seconds(self) -> float:
        return statistics.median(self.runs)


def told(way: str, folder: Path, count: int, runs: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.bench_engine", "--child", way, str(folder), str(count), str(runs)]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, check=True, stdout=subprocess.PIPE)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measured(way: str, folder: Path, count: int, runs: int) -> Measured:
    result = told(way, folder, count, 1 if way in SLOW else runs)
    return Measured(count, result["seconds"], result["found"], result["peak"])


def line(name: str, records: int, one: Measured, note: str = "") -> None:
    rate = records * one.rules / one.seconds / 1e6
    print(
        f"{name:32}{one.rules:6,}{len(one.runs):6}{one.seconds:10.1f} s{rate:9.1f}{one.peak:8,.0f} MB{note}", flush=True
    )


def at_rest(folder: Path, records: int, runs: int) -> bool:
    print(f"{'way':32}{'rules':>6}{'runs':>6}{'time':>12}{'M r×r/s':>9}{'peak':>11}")
    lite, sample, growth = by_sqlite(folder, records, runs)
    line("pysigma-sqlite, in memory", records, lite, f"  scaled from {SAMPLES[1]:,} records; peak: loading")
    results = {}
    for way in [*WAYS, *([CHDB] if INSTALLED else [])]:
        results[way] = measured(way, folder, FEW, runs)
        line(way, records, results[way])
    if not INSTALLED:
        print(f"{CHDB:32}not installed: pip install 'threatmatrix[bench]'")
    many, mine = measured(OURS, folder, MANY, runs), results[OURS]
    line(OURS, records, many)
    print(f"ours beside pysigma-sqlite      {lite.seconds / mine.seconds:7.1f}x   must reach 25")
    print(f"ours beside a query per rule    {results[PLAIN].seconds / mine.seconds:7.1f}x   must reach 5")
    if INSTALLED:
        print(f"ours beside chDB, same SQL      {results[CHDB].seconds / mine.seconds:7.1f}x")
    print(f"{MANY:,} rules beside {FEW}          {many.seconds / mine.seconds:7.1f}x   must stay below 4")
    print(f"peak memory                     {max(mine.peak, many.peak):7,.0f} MB must stay below 500")
    print(f"pysigma-sqlite: {SAMPLES[1] / SAMPLES[0]:g} times the records took {growth:.2f} times as long")
    same = all(result.found == mine.found for result in results.values())
    print(f"{len(mine.found)} of {FEW} rules match, {sum(mine.found.values()):,} records; all ways the same: {same}")
    print(f"{len(many.found)} of {MANY:,} rules match, {sum(many.found.values()):,} records")
    print(f"the same as pysigma-sqlite on {SAMPLES[1]:,} records: {sample}")
    return same and sample


def by_sqlite(folder: Path, records: int, runs: int) -> tuple[Measured, bool, float]:
    """The peer: scaled to ``records``; whether ours finds the same in its sample; the growth from one size to two."""
    result = told("pysigma-sqlite", folder, FEW, runs)
    small, large = (result["seconds"][str(size)] for size in SAMPLES)
    with tempfile.TemporaryDirectory() as place:
        first_records(folder, Path(place))
        same = measured(OURS, Path(place), FEW, 1).found == result["found"]
    scaled = [seconds / SAMPLES[1] * records for seconds in large]
    growth = statistics.median(large) / statistics.median(small)
    return Measured(FEW, scaled, result["found"], result["peak"]), same, growth


def first_records(folder: Path, into: Path) -> None:
    with closing(duckdb.connect()) as con:
        first = f"SELECT * FROM read_parquet('{folder}/*.parquet') ORDER BY time LIMIT {SAMPLES[1]}"
        con.execute(f"COPY ({first}) TO '{into}/first.parquet' (FORMAT parquet)")


def ten_times(world: Path) -> Path:
    """A folder with each file of ``world`` under ten names."""
    large = world.with_name("large")
    large.mkdir()
    for path in world.glob("*.parquet"):
        for again in range(10):
            (large / f"{again}-{path.name}").hardlink_to(path)
    return large


def main() -> int:
    options = set(sys.argv[1:])
    if "--child" in options:
        way, folder, count, runs = sys.argv[2:6]
        print(json.dumps(child(way, folder, int(count), int(runs))))
        return 0
    records = 200_000 if "--quick" in options else 5_000_000
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    with tempfile.TemporaryDirectory(prefix="threatmatrix-engine-") as place:
        world = Path(place) / "world"
        make_world(world, records)
        size = sum(path.stat().st_size for path in world.glob("*.parquet")) / 1e6
        print(f"{records:,} records, {size:,.0f} MB of Parquet, two threads, DuckDB {duckdb.__version__}")
        same = at_rest(world, records, 1 if "--quick" in options else RUNS)
        from benchmarks.engine_batches import micro_batches

        micro_batches(compiled(MANY), FEW)
        if "--full" in options:
            line("ours, ten times the records", 10 * records, measured(OURS, ten_times(world), FEW, 1))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
