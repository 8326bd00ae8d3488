"""Honest clients of the digits service, with realistic repetition; deterministic by seed.

Most are app users who scan digits now and then: each has an own small pool of digits, some much more
often than others (Zipf), and sends an identical image again when impatient. A few are batch clients of
programmers, at most one request in two seconds.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.reference.mlp import FloatArray, IntArray

__all__ = ["HonestClient", "HonestRequest", "honest_clients", "honest_requests"]

APPS = (
    "DigitsApp/2.3 (Android 14)",
    "DigitsApp/2.3 (iPhone; iOS 18.1)",
    "DigitsApp/2.2 (Android 13)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "FormScanner/1.8 (Windows 11)",
)
SCRIPTS = ("python-requests/2.32.3", "python-httpx/0.28.1", "python-requests/2.31.0")
SECOND = 1_000_000
BATCH_GAP = 2.0
"""Seconds between two requests of a batch client, at least."""


@dataclass(frozen=True, slots=True)
class HonestClient:
    """``mean_gap`` in seconds; ``pool`` are indices into the honest images, the favourite first."""

    account: str
    user_agent: str
    mean_gap: float
    scripted: bool
    pool: IntArray
    resend: float  # chance that the last image is sent again, bit by bit the same


@dataclass(frozen=True, slots=True)
class HonestRequest:
    """``offset_us``: microseconds since the start; ``rows`` (n, d) float64, ``index`` (n,) their images."""

    offset_us: int
    account: str
    user_agent: str
    rows: FloatArray
    index: IntArray


def honest_clients(n: int, images: int, *, seed: int, scripted: int = 3) -> list[HonestClient]:
    """Make n clients over a stock of ``images``; ``scripted`` of them are batch clients (at most n)."""
    rng = np.random.default_rng([seed, 0x40E5])
    clients = []
    for number in range(n):
        script = number < scripted
        size = int(rng.integers(8, 41))
        clients.append(
            HonestClient(
                account=f"honest-{number + 1:02d}",
                user_agent=SCRIPTS[number % len(SCRIPTS)] if script else APPS[int(rng.integers(len(APPS)))],
                mean_gap=float(rng.uniform(BATCH_GAP + 0.5, 6.0)) if script else float(rng.uniform(5.0, 40.0)),
                scripted=script,
                pool=rng.choice(images, size=min(size, images), replace=False).astype(np.int64),
                resend=float(rng.uniform(0.02, 0.15)),
            )
        )
    return clients


def honest_requests(x: FloatArray, clients: list[HonestClient], *, seed: int) -> Iterator[HonestRequest]:
    """Requests in order of time, without end. ``x`` (m, d) are the honest images."""
    rng = np.random.default_rng([seed, 0x40E6])
    last: dict[int, IntArray] = {}
    heap = [(int(rng.uniform(0, c.mean_gap) * SECOND), i) for i, c in enumerate(clients)]
    heapq.heapify(heap)
    while heap:
        at, number = heapq.heappop(heap)
        client = clients[number]
        index = last.get(number)
        if index is None or rng.random() >= client.resend:
            index = last[number] = _choose(client, rng)
        yield HonestRequest(at, client.account, client.user_agent, x[index], index)
        heapq.heappush(heap, (at + _gap(client, rng), number))


def _choose(client: HonestClient, rng: np.random.Generator) -> IntArray:
    """One image, or a form of two or three; the r-th of the pool with probability ~ 1/r."""
    weights = 1.0 / np.arange(1, len(client.pool) + 1)
    size = 1 if client.scripted or rng.random() >= 0.1 else min(int(rng.integers(2, 4)), len(client.pool))
    return rng.choice(client.pool, size=size, replace=False, p=weights / weights.sum())


def _gap(client: HonestClient, rng: np.random.Generator) -> int:
    if client.scripted:
        return int(max(BATCH_GAP, rng.normal(client.mean_gap, 0.2)) * SECOND)
    return int((0.2 + rng.exponential(client.mean_gap)) * SECOND)
