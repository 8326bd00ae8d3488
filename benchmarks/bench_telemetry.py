"""Logs at rest → lake: events per second on two cores, beside plain ``json`` and row objects in the same run; memory.

    python -m benchmarks telemetry [--full]

The baseline is what one would write first: json.loads per line, an object per event, columns from the objects, one
Parquet part per 5,000 events (``read_events`` + ``Lake.append``). Both run in processes of their own, pinned to the
same two cores, over the same generated file, taking turns. Memory: events from the generator, on the other cores,
through a pipe; the resident memory of all processes that read is added up five times a second. ``--full``: 2 million
events for the rates, 5 and 50 million for the memory (about 15 minutes, 12 GB of disk).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.telemetry_generator import SOURCES, blocks, kserve_messages
from threatmatrix.telemetry.lake import Lake
from threatmatrix.telemetry.reading import read_events
from threatmatrix.workflows.ingest import ingest

CORES = sorted(os.sched_getaffinity(0))
TWO, OTHERS = CORES[:2], CORES[2:] or CORES
MUST_RATE, MUST_RATIO, MUST_MB = 150_000, 3.0, 512


def columnar(path: Path, lake: Path) -> int:
    with Lake(lake) as target:
        return ingest([path], lake=target, home=lake.parent / "home", join=False).events


def rows(path: Path, lake: Path) -> int:
    with Lake(lake) as target:
        return sum(target.append(batch) for batch in read_events([path]))


WAYS: dict[str, Callable[[Path, Path], int]] = {"columnar": columnar, "rows": rows}


def _timed(way: str, path: Path, folder: Path) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds and events of one way, in a process of its own on the two cores."""
    code = f"""
import os, sys, time, resource
from pathlib import Path
os.sched_setaffinity(0, {TWO})
from benchmarks.bench_telemetry import WAYS
start = time.perf_counter()
events = WAYS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]) / "lake")
wall = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_SELF)
print(wall, used.ru_utime + used.ru_stime, events)
"""
    with tempfile.TemporaryDirectory(dir=folder) as lake:
        command = [sys.executable, "-c", code, way, str(path), lake]
        wall, cpu, events = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(wall), float(cpu), int(events)


def rate(source: str, events: int, folder: Path, turns: int) -> tuple[float, float]:
    """(events per second, times the baseline), the best of some turns; prints a line for each way."""
    path, part = folder / f"{source}.jsonl", folder / f"{source}-part.jsonl"
    for file, count in ((path, events), (part, events // 4)):
        with file.open("wb") as out:
            out.writelines(blocks(source, count))
    best: dict[str, float] = {}
    for turn in range(turns):
        for way, file in (("columnar", path), ("rows", part)):
            wall, cpu, found = _timed(way, file, folder)
            best[way] = max(best.get(way, 0), found / wall)
            print(
                f"    turn {turn + 1}: {way:9} {found / wall:9,.0f} events/s, {cpu / found * 1e6:5.1f} µs CPU",
                flush=True,
            )
    size = path.stat().st_size // events
    ratio = best["columnar"] / best["rows"]
    ours, theirs = best["columnar"], best["rows"]
    print(
        f"  {source} ({size} B a line): {ours:,.0f} events/s; json + row objects {theirs:,.0f}; {ratio:.1f}×",
        flush=True,
    )
    path.unlink()
    part.unlink()
    return best["columnar"], ratio


def kserve(folder: Path) -> None:
    """A source that only its reader reads, for comparison."""
    path = folder / "messages.http"
    path.write_bytes(kserve_messages(10_000))
    wall, _, events = _timed("columnar", path, folder)
    print(f"  kserve (no plan, {path.stat().st_size // events} B an event): {events / wall:,.0f} events/s")


def _resident(pid: int) -> int:
    """Bytes of a process and of those that it has started."""
    total = 0
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        total += next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0) * 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(_resident(int(child)) for child in (task / "children").read_text().split())
    except (OSError, ValueError):  # it has just ended
        pass
    return total


class Watched:
    """Adds up the resident memory of a process and its children, five times a second, in a thread."""

    def __init__(self, pid: int) -> None:
        self.seen = [0]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(pid,))
        self._thread.start()

    def _watch(self, pid: int) -> None:
        while not self._ended.wait(0.2):
            self.seen.append(_resident(pid) // 2**20)

    def end(self) -> tuple[int, int, int]:
        """MB: the peak of all, of the first and of the last quarter of the time."""
        self._ended.set()
        self._thread.join()
        quarter = max(1, len(self.seen) // 4)
        return max(self.seen), max(self.seen[:quarter]), max(self.seen[-quarter:])


READ_PIPE = f"""
import os, sys
from pathlib import Path
os.sched_setaffinity(0, {TWO})
from threatmatrix.telemetry.lake import Lake
from threatmatrix.workflows.ingest import ingest
lake = Lake(Path(sys.argv[1]) / "lake")
done = ingest(["-"], lake=lake, home=Path(sys.argv[1]), join=False)
lake.close()
print(done.events, done.dead_letters, done.files[0].by_reader)
"""


def memory(events: int, folder: Path) -> tuple[float, float]:
    """(peak MB, events per second) of reading so many events from a pipe."""
    with tempfile.TemporaryDirectory(dir=folder) as lake:
        start = time.perf_counter()
        reader = subprocess.Popen(
            [sys.executable, "-c", READ_PIPE, lake], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        watched = Watched(reader.pid)
        os.sched_setaffinity(0, OTHERS)
        assert reader.stdin is not None
        for data in blocks("gateway", events):
            reader.stdin.write(data)
        output, _ = reader.communicate()
        wall = time.perf_counter() - start
        peak, early, late = watched.end()
        os.sched_setaffinity(0, CORES)
    found, dead, by_reader = map(int, output.split())
    assert found + dead == events, "an event was lost"
    print(
        f"  {events:,} events: peak {peak} MB (first quarter {early}, last {late}), {found / wall:,.0f} events/s; "
        f"{dead:,} dead letters, {by_reader:,} lines by the reader",
        flush=True,
    )
    return peak, found / wall


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="2M events for the rates, 5M and 50M for the memory")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where to work (default: the system's temporary folder)"
    )
    given = parser.parse_args()
    events, turns = (2_000_000, 3) if given.full else (400_000, 2)
    print(f"cores {TWO} read, cores {OTHERS} generate; load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        rates = {source: rate(source, events, folder, turns) for source in SOURCES}
        kserve(folder)
        peaks = [
            memory(count, folder)[0] for count in ((5_000_000, 50_000_000) if given.full else (500_000, 2_000_000))
        ]
    worst, ratio = min(found for found, _ in rates.values()), min(found for _, found in rates.values())
    fine = worst >= MUST_RATE and ratio >= MUST_RATIO and max(peaks) <= MUST_MB
    print(f"JSONL → lake {worst:,.0f} events/s (must {MUST_RATE:,}), {ratio:.1f}× (must {MUST_RATIO:g}×), ", end="")
    print(f"memory {max(peaks):.0f} MB (must {MUST_MB}): {'reached' if fine else 'NOT reached'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
