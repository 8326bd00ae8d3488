"""Who calls a reference target, and when: people with habits, and a few programs; deterministic by seed.

Each caller has a small stock of inputs of his own, some far more often than others (Zipf), and now and then sends the
last one again. Two of three accounts have an address of their own; the third shares the one before it, as a household
does. The addresses are those that RFC 5737 keeps for documentation.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.target import IntArray

__all__ = ["SCRIPTS", "SECOND", "Call", "Caller", "callers", "calls"]

SECOND = 1_000_000
SCRIPTS = ("python-requests/2.32.3", "python-httpx/0.28.1", "Go-http-client/2.0")
NETWORKS = ("198.51.100", "203.0.113", "192.0.2")
HOSTS = range(2, 250)
SCRIPT_GAP = 2.0
"""Seconds between two requests of a program, at least."""


@dataclass(frozen=True, slots=True)
class Caller:
    """``stock``: indices into the honest inputs, the favourite first; ``mean_gap`` in seconds."""

    account: str
    user_agent: str
    address: str
    mean_gap: float
    scripted: bool
    stock: IntArray
    again: float  # chance that the last input is sent once more

    def choose(self, size: int, rng: np.random.Generator) -> IntArray:
        """So many different inputs, the r-th of the stock with probability ~ 1/r."""
        weights = 1.0 / np.arange(1, len(self.stock) + 1)
        return rng.choice(self.stock, size=min(size, len(self.stock)), replace=False, p=weights / weights.sum())


@dataclass(frozen=True, slots=True)
class Call:
    """One request: when (µs since the start), who, and the indices of its inputs."""

    at: int
    caller: Caller
    index: IntArray


def callers(n: int, inputs: int, apps: Sequence[str], *, seed: int, scripted: int = 2) -> list[Caller]:
    """Make n callers over so many honest inputs; the first ``scripted`` of them are programs."""
    rng = np.random.default_rng([seed, 0xCA11])
    made = []
    for number in range(n):
        script = number < scripted
        size = int(rng.integers(8, 41))
        place = (number - number % 3 // 2) % (len(NETWORKS) * len(HOSTS))
        made.append(
            Caller(
                account=f"honest-{number + 1:02d}",
                user_agent=SCRIPTS[number % len(SCRIPTS)] if script else apps[int(rng.integers(len(apps)))],
                address=f"{NETWORKS[place % len(NETWORKS)]}.{HOSTS[place // len(NETWORKS)]}",
                mean_gap=float(rng.uniform(SCRIPT_GAP + 0.5, 6.0)) if script else float(rng.uniform(5.0, 40.0)),
                scripted=script,
                stock=rng.choice(inputs, size=min(size, inputs), replace=False).astype(np.int64),
                again=float(rng.uniform(0.02, 0.15)),
            )
        )
    return made


def calls(crowd: Sequence[Caller], *, seed: int, most: int = 3) -> Iterator[Call]:
    """Requests in order of time, without end; a person sends one input, or at times up to ``most``."""
    rng = np.random.default_rng([seed, 0xCA12])
    last: dict[int, IntArray] = {}
    heap = [(int(rng.uniform(0, caller.mean_gap) * SECOND), number) for number, caller in enumerate(crowd)]
    heapq.heapify(heap)
    while heap:
        at, number = heapq.heappop(heap)
        caller = crowd[number]
        index = last.get(number)
        if index is None or rng.random() >= caller.again:
            several = not caller.scripted and rng.random() < 0.1
            index = last[number] = caller.choose(int(rng.integers(2, most + 1)) if several else 1, rng)
        yield Call(at, caller, index)
        gap = max(SCRIPT_GAP, rng.normal(caller.mean_gap, 0.2)) if caller.scripted else rng.exponential(caller.mean_gap)
        heapq.heappush(heap, (at + int((0.2 + gap) * SECOND), number))
