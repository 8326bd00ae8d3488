"""What a micro-batch costs: events of the product's own schema against generated rules, plan prepared."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import duckdb

from benchmarks.engine_world import FRAGMENTS, WORDS
from threatmatrix.detect.engines.scanning.scanner import Scanner
from threatmatrix.detect.sigma.ir import And, Leaf, Node, Not, Or
from threatmatrix.detect.sigma.rules import EventRule
from threatmatrix.detect.sigma.schema import EVENTS
from threatmatrix.model.event import Event

__all__ = ["micro_batches"]

BATCHES = 20
# The generated rules keep their shapes and values; their fields become those of an event.
_FIELDS = {
    "image": "user_agent",
    "command_line": "input_raw",
    "parent_image": "host",
    "original_name": "key_id",
    "query": "endpoint",
    "prompt": "input_raw",
    "referer": "host",
    "directory": "object",
    "integrity": "tenant",
    "process_id": "rows",
    "bytes": "input_bytes",
}


def micro_batches(rules: Sequence[EventRule], few: int) -> None:
    """Print the latency of batches of 1,000 events against the first ``few`` of ``rules``, and all of them."""
    maker = random.Random(7)
    batches = [[_event(maker, number) for number in range(1_000)] for _ in range(BATCHES)]
    for count in (few, len(rules)):
        some = [replace(rule, category="inference", condition=_renamed(rule.condition)) for rule in rules[:count]]
        with closing(duckdb.connect()) as con:
            con.execute("SET enable_progress_bar = false; SET threads = 2")
            scanner = Scanner(some, EVENTS, con)
            began = time.perf_counter()
            scanner.match(batches[0])
            first = time.perf_counter() - began
            took = []
            for batch in batches[1:]:
                began = time.perf_counter()
                scanner.match(batch)
                took.append((time.perf_counter() - began) * 1_000)
        worst = statistics.quantiles(took, n=20)[-1]
        halfway = statistics.median(took)
        print(
            f"micro-batch of 1,000 events × {count:5,} rules: p50 {halfway:6.1f} ms, p95 {worst:6.1f} ms"
            f" (the first {first * 1_000:,.0f} ms)"
        )


def _renamed(node: Node) -> Node:
    if isinstance(node, Leaf):
        return replace(node, field=_FIELDS.get(node.field, node.field))
    if isinstance(node, Not):
        return Not(_renamed(node.item))
    items = tuple(_renamed(item) for item in node.items)
    return And(items) if isinstance(node, And) else Or(items)


def _event(maker: random.Random, number: int) -> Event:
    words = maker.choices(WORDS, k=maker.randint(5, 40))
    if maker.random() < 0.005:
        words.append(maker.choice(FRAGMENTS))
    return Event(
        event_id=f"e{number}",
        time=1_767_571_200_000_000 + number,
        source="gateway",
        category="inference",
        principal=f"user{int(maker.expovariate(0.01))}",
        user_agent=f"client/{maker.randint(1, 60)}",
        host=f"srv-{maker.randint(1, 50)}",
        endpoint=f"/v2/models/{maker.choice(WORDS)}/infer/{maker.getrandbits(40):x}",
        input_raw=" ".join(words),
        status=maker.choice((200, 200, 200, 429, 500)),
        tokens_in=maker.randint(1, 900),
    )
