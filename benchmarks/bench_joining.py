"""The joiner: µs for each record beside ``json.loads`` of a line of that log, how that grows, and what a flood costs.

Then an hour of hostile and concurrent traffic (tests/telemetry/joining_world.py): false joins, and how many were found.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from tests.telemetry.joining_world import (
    SECOND,
    START,
    Request,
    busy_hour,
    false_joins,
    kind_of_id,
    records_of,
    truth_of,
)

from threatmatrix.model.event import Event
from threatmatrix.telemetry.joining import Joiner, join

MUST_FALSE = 0
BOTH = {None: frozenset({"nginx", "gateway"})}


def cost(action: Callable[[], Any], records: int, rounds: int = 3) -> float:
    """µs of processor time for each record, the best of some rounds."""
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        action()
        taken.append(time.process_time() - began)
    return min(taken) / records * 1e6


def traffic(n: int, sources: tuple[str, ...], *, ref: str = "", trace: str = "") -> list[Event]:
    """``n`` requests at 500 a second, within a second out of order, 1 in 100 a minute late."""
    rng = random.Random(2)
    arrivals = []
    for number in range(n):
        request = Request(
            number, START + number * 2000, ref or f"r{number:08x}", trace=trace or f"t{number}",
            principal=f"p{number % 500}", sources=sources,
        )  # fmt: skip
        for event in records_of(request):
            late = 60 * SECOND if rng.random() < 0.01 else 0
            arrivals.append((request.time + rng.randrange(SECOND) + late, event))
    arrivals.sort(key=lambda pair: pair[0])
    return [event for _, event in arrivals]


def stream(records: Sequence[Event], sources: dict[str | None, frozenset[str]] = BOTH) -> Joiner:
    joiner, watermark = Joiner(sources=sources), 0
    for start in range(0, len(records), 1000):
        batch = records[start : start + 1000]
        joiner.add(batch)
        watermark = max(watermark, batch[-1].time - 3 * SECOND)
        joiner.advance(watermark)
    joiner.flush()
    return joiner


def speed() -> None:
    records = traffic(16_000, ("nginx", "gateway"))
    texts = [json.dumps({k: v for k, v in asdict(event).items() if v is not None}) for event in records]
    print(f"{'json.loads of such a line':42} {cost(lambda: [json.loads(text) for text in texts], len(texts)):8.1f} µs")
    for n in (2_000, 16_000, 32_000):
        some = traffic(n, ("nginx", "gateway"))
        print(f"{f'stream, {len(some):,} records':42} {cost(lambda some=some: stream(some), len(some)):8.1f} µs")
        print(f"{f'at rest, {len(some):,} records':42} {cost(lambda some=some: join(some), len(some)):8.1f} µs")
    one = {None: frozenset({"nginx"})}
    print(f"{'a system with one source':42} {cost(lambda: stream(records, one), len(records)):8.3f} µs")
    for name, flood in (
        ("flood with one request id", traffic(16_000, ("nginx", "gateway"), ref="x")),
        ("flood with one trace", traffic(16_000, ("nginx", "otel"), trace="x")),
    ):
        print(f"{name:42} {cost(lambda flood=flood: stream(flood), len(flood), 1):8.1f} µs")
    joiner = stream(records)
    held = joiner.stats()["records"]
    state = joiner.snapshot()
    print(f"{f'snapshot of {held:,} records, each':42} {cost(joiner.snapshot, held):8.1f} µs")
    print(f"{'restore, each':42} {cost(lambda: joiner.restore(state), held):8.1f} µs")


def truth() -> int:
    found: Counter[str] = Counter()
    for seed in range(1, 6):
        requests, records = busy_hour(seed, 10_000)
        events = join(records).events
        made: dict[str, set[str]] = {}
        for event in events:
            for tag in truth_of(event):
                made.setdefault(tag, set()).add(event.source)
        found["records"] += len(records)
        found["false"] += false_joins(events)
        for request in requests:
            sources = made.get(f"t{request.number}", set())
            kind = "trace" if request.trace else "principal" if request.ref is None else kind_of_id(request)
            found[kind] += 1
            found[f"{kind} joined"] += bool(sources) and all("+" in source for source in sources)
    print(f"\n{found['records']:,} records of concurrent, hostile traffic: {found['false']} false joins")
    for kind, name in (
        ("own", "a request id of its own, 1 in 50 records lost"), ("reused", "a request id that others have, too"),
        ("trace", "a trace only"), ("principal", "a principal only, at 4 requests a second each"),
    ):  # fmt: skip
        print(f"  {name:48} {found[f'{kind} joined'] / found[kind]:7.1%} of {found[kind]:,} joined")
    return int(found["false"] > MUST_FALSE)


def main() -> int:
    speed()
    return truth()


if __name__ == "__main__":
    sys.exit(main())
