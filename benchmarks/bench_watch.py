"""What `watch` keeps when it is killed, how far behind it is, and what it takes.

Run: ``python -m benchmarks.bench_watch [--kills 100] [--seconds 60] [--seed 1]``.

* **Killed**: a process appends to three logs, and renames, copies, empties and packs them meanwhile. A watch over
  them is killed (SIGKILL) so many times at random moments, start-up included, and started again. Then the lake, the
  findings, the incidents and the dead letters are compared with those of a watch over the same lines that nobody
  killed: by id and by content.
* **Delay**: from the moment at which a line is written to the moment at which its finding is in the store.
* **Catching up**: a log that is there already, beside the same with rows and ``json`` and no journal, no joining, no
  rules and no lake.
* **Memory**: of the process, while 10,000 events come every second.

The moments are seeded; what the watch is doing at each of them is up to the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.watch_trial import Traffic, Writer, config_for, ended, forked, kill, outcome
from threatmatrix.knowledge import load_library
from threatmatrix.workflows.watch import BatchDone, Started, WatchEvent, run

LINES_A_SECOND = 600
LONGEST_RUN = 1.6  # seconds that a watch may live before it is killed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60, help="of each trial of delay and memory")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    load_library()  # once, for all that are forked
    with tempfile.TemporaryDirectory(prefix="bench-watch-") as folder:
        failed = killed(Path(folder) / "kills", asked.kills, asked.seed)
        for rate in (1_000, 10_000):
            delay(Path(folder) / f"rate-{rate}", rate, asked.seconds)
        catch_up(Path(folder) / "whole")
    return failed


def killed(root: Path, kills: int, seed: int) -> int:
    began = time.monotonic()
    rng = np.random.default_rng(seed)
    alone, reference = root / "killed", root / "left-alone"
    ended(forked(lambda: watch(alone, once=True)))  # what lies there before the first look is nobody's
    writer = forked(lambda: write(alone / "logs", seed, root / "done"))
    at_start = 0
    for _ in range(kills):
        child = forked(lambda: watch(alone))
        pause = rng.random() * LONGEST_RUN
        at_start += pause < 0.3
        time.sleep(pause)
        kill(child)
        if ended(child) != -signal.SIGKILL:
            raise SystemExit("the watch ended by itself")
    os.kill(writer, signal.SIGTERM)
    ended(writer)
    lines, rotations = json.loads((root / "done").read_text())
    ended(forked(lambda: watch(alone, once=True)))
    undisturbed(reference, seed, lines)
    ended(forked(lambda: compare(alone, reference, root / "verdict")))
    verdict = json.loads((root / "verdict").read_text())
    print(
        f"killed {kills} times at random moments ({at_start} of them within 0.3 s of its start), "
        f"{time.monotonic() - began:.0f} s\n"
        f"  {lines:,} lines of three logs, rotated {rotations} times → {verdict['events']:,} events in the lake, "
        f"{verdict['findings']} findings, {verdict['incidents']} incidents, {verdict['dead letters']} dead letters"
    )
    for name, count in verdict["differences"].items():
        print(f"  {name:24} {count}")
    bad = sum(verdict["differences"].values())
    print("  0 lost, 0 doubled" if not bad else f"  FAILED: {bad} differences", flush=True)
    return int(bool(bad))


def write(folder: Path, seed: int, done: Path, lines: int = 0) -> None:
    """Write and rotate until SIGTERM, or so many lines; then say how many."""
    writer, asked, written = Writer(folder, seed), [], 0
    signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
    started = time.monotonic()
    while not asked and not (lines and written >= lines):
        due = int((time.monotonic() - started) * LINES_A_SECOND * (4 if lines else 1)) - written
        count = min(max(due, 0), 200, lines - written if lines else 200)
        writer.write(count)
        before, written = written // 400, written + count
        if written // 400 > before:
            writer.rotate()
        time.sleep(0.01)
    done.write_text(json.dumps([written, writer.rotations]))


def watch(root: Path, *, once: bool = False) -> None:
    run(config_for(root / "home", root / "logs", once=once))


def undisturbed(root: Path, seed: int, lines: int) -> None:
    root.mkdir(parents=True)
    ended(forked(lambda: watch(root, once=True)))
    writer = forked(lambda: write(root / "logs", seed, root / "done", lines))
    child = forked(lambda: watch(root))
    ended(writer)
    os.kill(child, signal.SIGTERM)
    if ended(child):
        raise SystemExit("the watch did not end in order")
    ended(forked(lambda: watch(root, once=True)))


def compare(root: Path, reference: Path, verdict: Path) -> None:
    mine, theirs = outcome(root / "home"), outcome(reference / "home")
    verdict.write_text(
        json.dumps(
            {
                "events": len(mine.events),
                "findings": len(mine.findings),
                "incidents": len(mine.incidents),
                "dead letters": len(mine.dead_letters),
                "differences": mine.differences(theirs),
            }
        )
    )


def delay(root: Path, rate: int, seconds: float) -> None:
    (root / "logs").mkdir(parents=True)
    child = forked(lambda: measured(root, rate))
    while not (root / "ready").exists():
        if os.waitpid(child, os.WNOHANG)[0]:
            raise SystemExit("the watch did not start")
        time.sleep(0.05)
    log = (root / "logs" / "gateway.jsonl").open("ab", buffering=0)
    started, written, sizes = time.monotonic(), 0, []
    with log:
        while (spent := time.monotonic() - started) < seconds:
            due = int(spent * rate) - written
            if due > 0:
                log.write(b"".join(live_line(written + n) for n in range(due)))
                written += due
            sizes.append((spent, rss(child)))
            time.sleep(0.01)
    os.kill(child, signal.SIGTERM)
    ended(child)
    found = np.array(json.loads((root / "delays").read_text()))
    half = [size for at, size in sizes if at > seconds / 2]
    quarter = [size for at, size in sizes if seconds / 8 < at < seconds / 4]
    print(
        f"{written / seconds:,.0f} events/s for {seconds:.0f} s: delay from line to stored finding "
        f"p50 {np.percentile(found, 50):.2f} s, p99 {np.percentile(found, 99):.2f} s, most {found.max():.2f} s "
        f"({len(found)} findings)\n"
        f"  memory {np.mean(quarter):.0f} MB in the second eighth, {np.mean(half):.0f} MB in the second half, "
        f"most {max(half):.0f} MB",
        flush=True,
    )


def live_line(number: int) -> bytes:
    """One gateway line of this moment; every 500th asks for metadata, which is a finding of its own."""
    probe = number % 500 == 0
    record = {
        "v": 1,
        "time": time.time_ns() // 1000,
        "event_id": f"req-{number}:0",
        "category": "model_access" if probe else "inference",
        "operation": "metadata" if probe else "infer",
        "principal": f"scanner-{number}" if probe else f"client-{number % 500}",
        "user_agent": "curl/8" if probe else "Scanner/4.1",
        "src_ip": f"198.51.100.{number % 250}",
        "method": "GET" if probe else "POST",
        "endpoint": "/v2/models/labels" + ("" if probe else "/infer"),
        "model": "labels",
        "request_ref": f"req-{number}",
        "row": 0,
        "rows": 1,
        "output_label": str(number % 10),
        "output_scores": [0.75, 0.25],
        "status": 200,
        "decision": "allow",
    }
    return json.dumps(record).encode() + b"\n"


def measured(root: Path, rate: int) -> None:
    delays: list[float] = []

    def listen(event: WatchEvent) -> None:
        if isinstance(event, Started):
            (root / "ready").touch()
        elif isinstance(event, BatchDone):
            now = time.time_ns() // 1000
            delays.extend((now - finding.last_time) / 1e6 for finding in event.findings)

    usual: dict[str, Any] = {"batch_seconds": 1.0, "snapshot_seconds": 30.0, "lake_seconds": 30.0, "systems": ()}
    config = config_for(root / "home", root / "logs", **usual)
    run(config, on_event=listen)
    (root / "delays").write_text(json.dumps(delays))


def rss(process: int) -> float:
    """Resident memory in MB."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def catch_up(root: Path, lines: int = 200_000) -> None:
    (root / "logs").mkdir(parents=True)
    traffic = iter(Traffic(7))
    with (root / "logs" / "gateway.jsonl").open("wb") as log:
        count = 0
        while count < lines:
            name, line = next(traffic)
            if name == "gateway.jsonl":
                log.write(line)
                count += 1
    started = time.monotonic()
    with (root / "logs" / "gateway.jsonl").open("rb") as plain:
        rows = [json.loads(line) for line in plain if line.endswith(b"}\n")]
    baseline = time.monotonic() - started
    del rows
    child = forked(lambda: _once(root))
    ended(child)
    seconds = float((root / "seconds").read_text())
    print(
        f"catching up {lines:,} lines with vectors: {lines / seconds:,.0f} events/s "
        f"(plain json.loads into rows: {lines / baseline:,.0f} lines/s)",
        flush=True,
    )


def _once(root: Path) -> None:
    started = time.monotonic()
    run(config_for(root / "home", root / "logs", once=True, batch_seconds=1.0, snapshot_seconds=30, lake_seconds=30))
    (root / "seconds").write_text(str(time.monotonic() - started))


if __name__ == "__main__":
    sys.exit(main())
