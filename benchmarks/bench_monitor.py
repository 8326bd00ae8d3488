"""What the near-duplicate monitor costs per event, beside two ways to ask the same question.

Run: ``python benchmarks/bench_monitor.py [--sizes 5000 20000 100000] [--batch 1000]``. Baselines, on the
same vectors and with the same threshold: a brute-force NumPy scan (every batch against everything
before it, by matrix products) and scikit-learn's BallTree (rebuilt for every batch, radius query).
Both only
find neighbours, all of them; the monitor also drops retries, keeps clusters and writes findings, but misses lone
neighbours in crowded buckets (docs/monitors.md). A
baseline whose full run would take minutes is timed over evenly spaced batches, and says so.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # one core, for all three alike

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from threatmatrix.detect.calibrate import calibrate  # noqa: E402
from threatmatrix.detect.monitors import NearDuplicateMonitor, describe  # noqa: E402
from threatmatrix.model.event import Event  # noqa: E402

SCALE = 1 / 24
DIMS = 64
SAMPLED = 12  # batches of a baseline that are timed
Vectors = NDArray[np.int8]
Generate = Callable[[int, np.random.Generator], NDArray[np.float64]]


def honest(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Images that differ as digits do: ten smooth prototypes, 16 modes of variation, values in 0..1."""
    prototypes, modes = rng.random((10, DIMS)), rng.normal(0, 1, (16, DIMS))
    return np.clip(prototypes[rng.integers(0, 10, n)] + rng.normal(0, 0.18, (n, 16)) @ modes, 0, 1)


def camera(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """One dense cluster: the same image with sensor noise."""
    return np.clip(rng.random(DIMS) + rng.normal(0, 0.02, (n, DIMS)), 0, 1)


def to_events(inputs: NDArray[np.float64]) -> tuple[list[Event], Vectors]:
    steps = np.clip(np.rint(inputs / SCALE), -127, 127).astype(np.int8)
    events = [
        Event(
            event_id=f"e{i}",
            time=i * 50_000,
            source="bench",
            category="inference",
            principal=f"client{i % 40}",
            model="digits",
            input_fp=f"fp{i}",
            input_vec=row.tobytes(),
            vec_scale=SCALE,
            vec_key="k",
        )
        for i, row in enumerate(steps)
    ]
    return events, steps


def time_monitor(events: list[Event], batch: int, reference: list[Event]) -> tuple[float, str]:
    monitor = NearDuplicateMonitor(calibrations=calibrate(reference, created=0), max_entries=200_000)
    started = time.process_time()
    alarms: set[str] = set()
    for start in range(0, len(events), batch):
        alarms.update(finding.finding_id for finding in monitor.feed(events[start : start + batch]))
    seconds = time.process_time() - started
    return seconds / len(events) * 1e6, f"{monitor.stats()['clusters']} clusters, {len(alarms)} alarms"


def time_baseline(query: Callable[[Vectors, Vectors], int], steps: Vectors, batch: int) -> tuple[float, str]:
    starts = range(batch, len(steps) - batch + 1, batch)
    chosen = [starts[i] for i in np.unique(np.linspace(0, len(starts) - 1, SAMPLED).astype(int))]
    started = time.process_time()
    for start in chosen:
        query(steps[:start], steps[start : start + batch])
    seconds = time.process_time() - started
    return seconds / (len(chosen) * batch) * 1e6, f"{len(chosen)} of {len(starts)} batches timed"


def brute_force(radius: float) -> Callable[[Vectors, Vectors], int]:
    def query(earlier: Vectors, rows: Vectors) -> int:
        wide, found = rows.astype(np.float32), 0
        norms = (wide * wide).sum(axis=1)
        for start in range(0, len(earlier), 8192):
            part = earlier[start : start + 8192].astype(np.float32)
            squared = norms[:, None] + (part * part).sum(axis=1)[None, :] - 2 * (wide @ part.T)
            found += int(np.count_nonzero(squared <= radius**2))
        return found

    return query


def ball_tree(radius: float) -> Callable[[Vectors, Vectors], int]:
    from sklearn.neighbors import BallTree

    def query(earlier: Vectors, rows: Vectors) -> int:
        return int(BallTree(earlier, leaf_size=40).query_radius(rows, radius, count_only=True).sum())

    return query


def report(
    kind: str, make: Callable[[int, np.random.Generator], NDArray[np.float64]], args: argparse.Namespace
) -> None:
    rng = np.random.default_rng(args.seed)
    reference, _ = to_events(honest(1000, rng))
    events, steps = to_events(make(max(args.sizes), np.random.default_rng(args.seed)))
    (calibration,) = calibrate(reference, created=0)
    radius = calibration.threshold / SCALE
    print(f"\n{kind}, batches of {args.batch}; {describe(calibration)}")
    print(f"{'events':>8}  {'monitor':>9}  {'NumPy scan':>11}  {'BallTree':>9}   µs of CPU per event")
    costs = []
    for size in args.sizes:
        cost, note = time_monitor(events[:size], args.batch, reference)
        scan, timed = time_baseline(brute_force(radius), steps[:size], args.batch)
        tree, _ = time_baseline(ball_tree(radius), steps[:size], args.batch)
        costs.append((cost, scan, tree))
        print(f"{size:>8}  {cost:>9.1f}  {scan:>11.1f}  {tree:>9.1f}   {note}; baselines: {timed}")
    factor = args.sizes[-1] / args.sizes[0]
    growth = ", ".join(
        f"{name} ×{last / first:.1f}"
        for name, first, last in zip(("monitor", "scan", "BallTree"), costs[0], costs[-1], strict=True)
    )
    print(f"growth of the cost per event over ×{factor:.0f} events: {growth}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 20_000, 100_000])
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    report("distinct honest images", honest, args)
    report("one dense cluster", camera, args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
