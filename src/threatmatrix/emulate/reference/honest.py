"""Honest clients of the digits service, with realistic repetition; deterministic by seed.

Most are app users who scan digits now and then: each has an own small pool of digits, some much more
often than others (Zipf), and sends an identical image again when impatient. A few are batch clients of
programmers, at most one request in two seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.reference.callers import SCRIPT_GAP as BATCH_GAP
from threatmatrix.emulate.reference.callers import SECOND, Caller, callers, calls
from threatmatrix.emulate.reference.mlp import FloatArray, IntArray

__all__ = ["BATCH_GAP", "SECOND", "HonestRequest", "honest_clients", "honest_requests"]

APPS = (
    "DigitsApp/2.3 (Android 14)",
    "DigitsApp/2.3 (iPhone; iOS 18.1)",
    "DigitsApp/2.2 (Android 13)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "FormScanner/1.8 (Windows 11)",
)
SCRIPTS = ("python-requests/2.32.3", "python-httpx/0.28.1", "python-requests/2.31.0")


@dataclass(frozen=True, slots=True)
class HonestRequest:
    """``offset_us``: microseconds since the start; ``rows`` (n, d) float64, ``index`` (n,) their images."""

    offset_us: int
    account: str
    user_agent: str
    rows: FloatArray
    index: IntArray


def honest_clients(n: int, images: int, *, seed: int, scripted: int = 3) -> list[Caller]:
    """Make n clients over a stock of ``images``; ``scripted`` of them are batch clients (at most n)."""
    rng = np.random.default_rng([seed, 0x40E5])
    return callers(n, images, APPS, rng=rng, scripted=scripted, scripts=SCRIPTS)


def honest_requests(x: FloatArray, clients: list[Caller], *, seed: int) -> Iterator[HonestRequest]:
    """Requests in order of time, without end. ``x`` (m, d) are the honest images."""
    for call in calls(clients, rng=np.random.default_rng([seed, 0x40E6]), pause=0.0):
        yield HonestRequest(call.at, call.caller.account, call.caller.user_agent, x[call.index], call.index)
