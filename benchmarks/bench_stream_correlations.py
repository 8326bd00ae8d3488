"""Correlations over a stream: CPU time of one occurrence, for each kind.

``python -m benchmarks.bench_stream_correlations``

50 groups in turn, 100 occurrences of a group within the timespan; all of them in order, and with every tenth late by up
to half a timespan. Matching (the scan) is not part of it. Each figure is the least of three runs.
"""

from __future__ import annotations

import random
import time
from typing import Any

from threatmatrix.detect.engines.counting.chains import plans
from threatmatrix.detect.engines.counting.correlating import CorrelationFindings
from threatmatrix.detect.sigma.ir import Leaf
from threatmatrix.detect.sigma.rules import Bound, Correlation, EventRule, Expression, Kind, Meta, RuleName
from threatmatrix.model.event import Event

EVENTS, BATCH, GROUPS = 30_000, 1_000, 50
SPAN = 60_000_000
START = 1_760_000_400_000_000


def _meta(key: str) -> Meta:
    return Meta(key=key, title=key, technique="t", file="f.yml")


RULES = [EventRule(meta=_meta(key), category="inference", condition=Leaf("model", "equals", "x")) for key in "abcd"]


def _kind(kind: Kind, rules: str = "a", **more: Any) -> Correlation:
    said: dict[str, Any] = {"group_by": ("principal",), "timespan": SPAN, "timespan_text": "1m"}
    return Correlation(meta=_meta("it"), kind=kind, rules=tuple(rules), **{**said, **more})


def _least(number: float) -> tuple[Bound, ...]:
    return (Bound("gte", number),)


BOTH = Expression("and", (RuleName("a"), Expression("or", (RuleName("b"), RuleName("c"))), RuleName("d")))
ABSENT = Expression("and", (RuleName("a"), Expression("not", (RuleName("d"),))))
KINDS = {
    "event_count, none fires": _kind("event_count", bounds=_least(1000)),
    "event_count, nearly all fire": _kind("event_count", bounds=_least(50)),
    "event_count within bounds": _kind("event_count", bounds=(Bound("gte", 90), Bound("lte", 95))),
    "value_count": _kind("value_count", bounds=_least(1000), field=("object",)),
    "value_sum of BIGINT": _kind("value_sum", bounds=_least(1e9), field=("tokens_in",)),
    "value_sum of DOUBLE": _kind("value_sum", bounds=_least(1e9), field=("latency_ms",)),
    "value_avg": _kind("value_avg", bounds=_least(1e9), field=("tokens_in",)),
    "value_percentile": _kind("value_percentile", bounds=_least(1e9), field=("tokens_in",), percentile=95.0),
    "temporal, none fires": _kind("temporal", "abcd", bounds=_least(5)),
    "temporal expression, nearly all fire": _kind("temporal", "abcd", expression=BOTH),
    "temporal_ordered, nearly all fire": _kind("temporal_ordered", "abcd", bounds=_least(4)),
    "temporal_ordered, 3 of 4, nearly all fire": _kind("temporal_ordered", "abcd", bounds=_least(3)),
    "expression with not": _kind("temporal", "abcd", expression=ABSENT),
}


def _events(late: bool) -> list[Event]:
    rng = random.Random(1)
    found = []
    for number in range(EVENTS):
        behind = rng.randrange(SPAN // 2) if late and number % 10 == 0 else 0
        found.append(
            Event(
                event_id=f"e{number}",
                time=START + number * SPAN // (100 * GROUPS) - behind,
                source="bench",
                category="inference",
                principal=f"p{number % GROUPS}",
                object=f"o{rng.randrange(60)}",
                tokens_in=rng.randrange(1000),
                latency_ms=rng.random() * 100,
            )
        )
    return found


def _micros(rule: Correlation, events: list[Event], none: bool = False) -> float:
    """CPU of one event: an occurrence, or with ``none`` an event that no rule matched."""
    (plan,) = plans(RULES, [rule], None)
    rng = random.Random(2)
    batches = []
    for at in range(0, EVENTS, BATCH):
        part = events[at : at + BATCH]
        matched = {} if none else {place: 1 << rng.randrange(len(rule.rules)) for place in range(len(part))}
        batches.append((part, matched))
    best = float("inf")
    for _ in range(3):
        subject = CorrelationFindings(plan)
        began = time.process_time()
        for part, matched in batches:
            subject.feed(part, matched)
        best = min(best, (time.process_time() - began) / EVENTS * 1e6)
    return best


def main() -> None:
    ordered, mixed = _events(late=False), _events(late=True)
    print(f"{'µs of CPU for an occurrence':44s} {'in order':>9s} {'10 % late':>9s}")
    for name, rule in KINDS.items():
        print(f"{name:44s} {_micros(rule, ordered):9.1f} {_micros(rule, mixed):9.1f}", flush=True)
    waiting = KINDS["expression with not"]
    print(f"{'an event that a rule with not only waits by':44s} {_micros(waiting, ordered, none=True):9.1f}")


if __name__ == "__main__":
    main()
