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

from threatmatrix.emulate.reference.base import Visit
from threatmatrix.emulate.target import IntArray, Rows

__all__ = ["NETWORKS", "SCRIPTS", "SCRIPT_GAP", "SECOND", "Call", "Caller", "Users", "callers", "calls", "seeded_calls"]

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


def callers(
    n: int, inputs: int, apps: Sequence[str], *, rng: np.random.Generator, scripted: int = 2,
    scripts: Sequence[str] = SCRIPTS,
) -> list[Caller]:  # fmt: skip
    """Make n callers over so many honest inputs; the first ``scripted`` of them are programs."""
    made = []
    for number in range(n):
        script = number < scripted
        size = int(rng.integers(8, 41))
        place = (number - number % 3 // 2) % (len(NETWORKS) * len(HOSTS))
        made.append(
            Caller(
                account=f"honest-{number + 1:02d}",
                user_agent=scripts[number % len(scripts)] if script else apps[int(rng.integers(len(apps)))],
                address=f"{NETWORKS[place % len(NETWORKS)]}.{HOSTS[place // len(NETWORKS)]}",
                mean_gap=float(rng.uniform(SCRIPT_GAP + 0.5, 6.0)) if script else float(rng.uniform(5.0, 40.0)),
                scripted=script,
                stock=rng.choice(inputs, size=min(size, inputs), replace=False).astype(np.int64),
                again=float(rng.uniform(0.02, 0.15)),
            )
        )
    return made


def calls(
    crowd: Sequence[Caller], *, rng: np.random.Generator, most: int = 3, several: float = 0.1, pause: float = 0.2
) -> Iterator[Call]:
    """Requests in order of time, without end.

    A person sends one input, with the chance ``several`` up to ``most``. ``pause``: seconds that a program waits beyond
    its own gap.
    """
    last: dict[int, IntArray] = {}
    heap = [(int(rng.uniform(0, caller.mean_gap) * SECOND), number) for number, caller in enumerate(crowd)]
    heapq.heapify(heap)
    while heap:
        at, number = heapq.heappop(heap)
        caller = crowd[number]
        index = last.get(number)
        if index is None or rng.random() >= caller.again:
            together = not caller.scripted and rng.random() < several
            index = last[number] = caller.choose(int(rng.integers(2, most + 1)) if together else 1, rng)
        yield Call(at, caller, index)
        gap = (
            pause + max(SCRIPT_GAP, rng.normal(caller.mean_gap, 0.2))
            if caller.scripted
            else 0.2 + rng.exponential(caller.mean_gap)
        )
        heapq.heappush(heap, (at + int(gap * SECOND), number))


@dataclass(frozen=True, slots=True)
class Users:
    """Honest users who send some of the rows, and teach nothing."""

    rows: Rows
    apps: tuple[str, ...]

    def __call__(self, *, clients: int, seed: int) -> Iterator[Visit]:
        """See ``Honest``: visits in order of time, without end."""
        for call in seeded_calls(clients, len(self.rows), self.apps, seed=seed):
            who = call.caller
            yield Visit(
                at=call.at, account=who.account, user_agent=who.user_agent, address=who.address,
                rows=self.rows[call.index],
            )  # fmt: skip


def seeded_calls(clients: int, inputs: int, apps: Sequence[str], *, seed: int) -> Iterator[Call]:
    """The requests of so many callers over so many honest inputs, all from one seed."""
    crowd = callers(clients, inputs, apps, rng=np.random.default_rng([seed, 0xCA11]))
    yield from calls(crowd, rng=np.random.default_rng([seed, 0xCA12]))
