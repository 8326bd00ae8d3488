"""Requests as several sources log them, with the truth of which record is of which request.

Each source leaves the number of the request in a field that no other fills, so a joined event shows what went into it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from threatmatrix.model.event import Event

SECOND = 1_000_000
START = 1_767_225_600 * SECOND
WINDOW = 60 * SECOND
TAGS = {"nginx": "user_agent", "kserve": "input_fp", "answer": "output_label", "gateway": "session", "otel": "object"}
EXPECTED = {None: frozenset({"nginx", "kserve"})}


@dataclass(frozen=True)
class Request:
    """What really happened once."""

    number: int
    time: int
    ref: str | None
    trace: str | None = None
    principal: str | None = None
    model: str = "labels"
    src_ip: str = "203.0.113.7"
    rows: int = 1
    sources: tuple[str, ...] = ("nginx", "kserve", "answer")
    skew: dict[str, int] = field(default_factory=dict)


def records_of(request: Request) -> list[Event]:
    """The records that the sources of a request log of it."""
    return [event for source in request.sources for event in _records(request, source)]


def _records(request: Request, source: str) -> list[Event]:
    time = request.time + request.skew.get(source, 0)
    tag = f"t{request.number}"
    common = {"request_ref": request.ref, "trace_id": request.trace}
    if source == "nginx":
        return [
            Event(
                event_id=f"nginx:{request.ref or tag}", time=time, source="nginx", category="http", operation="other",
                src_ip=request.src_ip, principal=request.principal, user_agent=tag, method="POST",
                endpoint=f"/serve/{request.model}", input_bytes=900, latency_ms=20.0, status=200, **common,
            )
        ]  # fmt: skip
    if source == "otel":
        return [
            Event(
                event_id=f"otel:{request.number:x}", time=time, source="otel", category="inference", operation="chat",
                principal=request.principal, model=request.model, object=tag, tokens_in=3, tokens_out=4,
                trace_id=request.trace,
            )
        ]  # fmt: skip
    reader = "kserve" if source == "answer" else source
    who = request.principal if source == "gateway" else None
    rows = [
        Event(
            event_id=f"{source}:{request.ref or tag}:{row}", time=time, source=reader, category="inference",
            operation="infer", model=request.model, row=row, rows=request.rows, principal=who, **common,
        )
        for row in range(request.rows)
    ]  # fmt: skip
    if source == "kserve":
        return [replace(row, input_fp=tag, input_bytes=64) for row in rows]
    if source == "answer":
        return [replace(row, output_label=tag, output_scores=(0.75, 0.25)) for row in rows]
    return [replace(row, session=tag, input_bytes=64, output_label=None) for row in rows]


def truth_of(event: Event) -> set[str]:
    """The requests that an event is made of; more than one is a false join."""
    values = (getattr(event, name) for name in TAGS.values())
    return {value for value in values if isinstance(value, str) and value.startswith("t")}


def false_joins(events: Iterable[Event]) -> int:
    return sum(len(truth_of(event)) > 1 for event in events)


def whole(events: Sequence[Event]) -> Counter[str]:
    """Request → in how many events it stands."""
    return Counter(tag for event in events for tag in truth_of(event))


def busy_hour(seed: int, n: int, *, per_second: float = 200.0) -> tuple[list[Request], list[Event]]:
    """``n`` concurrent requests, some of them hostile, and their records in the order of their arrival.

    Clocks are skewed by up to 20 s; 1 in 50 records is lost on its way, 1 in 20 comes a minute late; 1 in 20 clients
    sends the same request id each time, 1 in 50 sends another's, 1 in 10 only has a trace that several calls share, and
    1 in 10 is known by its principal alone, of which there are few.
    """
    rng = random.Random(seed)
    skew = {source: rng.randrange(-10, 11) * SECOND for source in TAGS}
    requests: list[Request] = []
    for number in range(n):
        time = START + int(number / per_second * SECOND) + rng.randrange(SECOND)
        kind = rng.random()
        base = Request(
            number, time, f"r{number:08x}", principal=f"p{rng.randrange(50)}", src_ip=f"203.0.113.{rng.randrange(250)}",
            model=rng.choice(("labels", "spam", "price")), rows=rng.choice((1, 1, 1, 3)), skew=skew,
        )  # fmt: skip
        if kind < 0.05:
            base = replace(base, ref="constant")
        elif kind < 0.07 and requests:
            base = replace(base, ref=rng.choice(requests[-50:]).ref)
        elif kind < 0.17:
            base = replace(base, ref=None, rows=1, trace=f"trace{number // 4:x}", sources=("nginx", "otel"))
        elif kind < 0.27:
            base = replace(base, ref=None, rows=1, sources=("nginx", "otel"))
        requests.append(base)
    arrivals = []
    for request in requests:
        for event in records_of(request):
            reused = request.ref is None or kind_of_id(request) == "reused"
            if not reused and rng.random() < 0.02:
                continue
            delay = rng.random() * 2 + (60 if rng.random() < 0.05 else 0)
            arrivals.append((request.time + int(delay * SECOND), event))
    arrivals.sort(key=lambda pair: pair[0])
    return requests, [event for _, event in arrivals]


def kind_of_id(request: Request) -> str:
    return "reused" if request.ref != f"r{request.number:08x}" else "own"
