"""The engine: generated Sigma rules over generated records at rest, in this engine and in others, and in micro-batches.

``python -m benchmarks.bench_engine [--full] [--quick]``. Every way to run the rules has a process of its own, two
threads, and the same files; a figure is the median of three runs, and each way must find the same records for the same
rules. pysigma-backend-sqlite runs on samples of two sizes, in memory, so that its figure can be scaled. ``--full`` adds
50M records, ``--quick`` takes few, once.
"""

from __future__ import annotations

import importlib.util
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
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.engine_rules import sigma_rules
from benchmarks.engine_world import CATEGORIES, SCHEMA, make_world
from threatmatrix.detect.engines.scanner import Scanner
from threatmatrix.detect.sigma.compile import compile_rules
from threatmatrix.detect.sigma.rules import EventRule
from threatmatrix.detect.sql.conditions import Renderer, condition, folded_name
from threatmatrix.detect.sql.dialects import dialect_named
from threatmatrix.detect.sql.scan import scan
from threatmatrix.model.matrix import RuleSource

FEW, MANY = 200, 3_000
SAMPLES = (50_000, 100_000)  # records, of which SQLite takes the first
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
    "query per rule": query_per_rule,
    "one pass, CASE list": one_pass,
    "+ split by category": split,
    "+ prefilter (ours)": ours,
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
            found = WAYS[way](con, rules)
            took.append(time.perf_counter() - began)
    return {"seconds": took, "found": {key: number for key, number in found.items() if number}, "peak": peak()}


def peak() -> float:
    """Of this process, in MB; getrusage would give that of the parent where it was larger."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(way: str, folder: Path, count: int, runs: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.bench_engine", "--child", way, str(folder), str(count), str(runs)]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, check=True, stdout=subprocess.PIPE)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def line(name: str, rules: int, records: int, seconds: float, peak_mb: float) -> None:
    rate = records * rules / seconds / 1e6
    print(f"{name:28}{rules:6,}{seconds:9.1f} s{rate:9.1f}{peak_mb:8,.0f} MB", flush=True)


def at_rest(folder: Path, records: int, runs: int) -> bool:
    print(f"{'way':28}{'rules':>6}{'seconds':>11}{'M r×r/s':>9}{'peak':>11}")
    results = {way: measured(way, folder, FEW, runs) for way in reversed(WAYS)}
    mine = results["+ prefilter (ours)"]
    best = statistics.median(mine["seconds"])
    many = measured("+ prefilter (ours)", folder, MANY, runs)
    lite = measured("pysigma-sqlite", folder, FEW, runs)
    small, large = (statistics.median(lite["seconds"][str(size)]) for size in SAMPLES)
    scaled = large / SAMPLES[1] * records
    line("pysigma-sqlite, scaled", FEW, records, scaled, lite["peak"])
    for way in WAYS:
        line(way, FEW, records, statistics.median(results[way]["seconds"]), results[way]["peak"])
    most = statistics.median(many["seconds"])
    line("+ prefilter (ours)", MANY, records, most, many["peak"])
    plain = statistics.median(results["query per rule"]["seconds"])
    print(f"ours beside pysigma-sqlite      {scaled / best:6.1f}x   must reach 25")
    print(f"ours beside a query per rule    {plain / best:6.1f}x   must reach 5")
    print(f"{MANY:,} rules beside {FEW}          {most / best:6.1f}x   must stay below 4")
    print(f"SQLite: {SAMPLES[1] / SAMPLES[0]:g} times the records took {large / small:.2f} times as long")
    same = all(result["found"] == mine["found"] for result in results.values())
    print(
        f"{len(mine['found'])} of {FEW} rules match, {sum(mine['found'].values()):,} records; all ways the same: {same}"
    )
    print(f"{len(many['found'])} of {MANY:,} rules match, {sum(many['found'].values()):,} records")
    with tempfile.TemporaryDirectory() as sample:
        first_records(folder, Path(sample))
        agree = measured("+ prefilter (ours)", Path(sample), FEW, 1)["found"] == lite["found"]
    print(f"the same as pysigma-sqlite on {SAMPLES[1]:,} records: {agree}")
    if importlib.util.find_spec("chdb") is None:
        print("chDB: not installed: pip install chdb")
    return same and agree


def first_records(folder: Path, into: Path) -> None:
    with closing(duckdb.connect()) as con:
        first = f"SELECT * FROM read_parquet('{folder}/*.parquet') ORDER BY time LIMIT {SAMPLES[1]}"
        con.execute(f"COPY ({first}) TO '{into}/first.parquet' (FORMAT parquet)")


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
        same = at_rest(world, records, 1 if "--quick" in options else 3)
        from benchmarks.engine_batches import micro_batches

        micro_batches(compiled(MANY), FEW)
        if "--full" in options:
            large = Path(place) / "large"
            make_world(large, 10 * records)
            result = measured("+ prefilter (ours)", large, FEW, 1)
            line("+ prefilter (ours), 10 times", FEW, 10 * records, result["seconds"][0], result["peak"])
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
