"""Confirmation: an attack's final point, asked again by fresh queries that the attack never saw."""

from __future__ import annotations

from typing import Any

import numpy as np

from threatmatrix.emulate.attacks.base import distance
from threatmatrix.emulate.target import IntArray, Rows, Target, texts
from threatmatrix.model.errors import UsageError

__all__ = ["FRESH_QUERIES", "choose_samples", "confirmed"]

FRESH_QUERIES = 5
ROUNDING = 1e-9


def confirmed(target: Target, x: Any, y: int, final: Any, *, norm: str, threshold: float) -> tuple[bool, float]:
    """Whether the final input is within the threshold of x and most of 5 fresh answers differ from y.

    Both are (d,) float64, or both one text or file.

    Returns that and the distance, computed here (inf without a point). A point outside the bounds or
    the threshold costs no query. Raises as the target does: a refused confirmation is no failed attack.
    """
    if final is None or (isinstance(final, np.ndarray) and not np.all(np.isfinite(final))):
        return False, float("inf")
    away = distance(x, final, norm)
    if away > threshold + ROUNDING or not _within(final, target.bounds):
        return False, away
    fresh = (
        np.repeat(final[None], FRESH_QUERIES, axis=0)
        if isinstance(final, np.ndarray)
        else texts([final] * FRESH_QUERIES)
    )
    labels = target.labels(fresh)
    return bool(2 * np.count_nonzero(labels != y) > FRESH_QUERIES), away


def _within(final: Any, bounds: tuple[float, float]) -> bool:
    """Texts and files have no bounds."""
    if not isinstance(final, np.ndarray):
        return True
    return bool(final.min() >= bounds[0] - ROUNDING and final.max() <= bounds[1] + ROUNDING)


def choose_samples(target: Target, x: Rows, y: IntArray, n: int, *, seed: int, batch: int = 50) -> IntArray:
    """Indices of n samples, drawn in seeded order, that the model classifies correctly before any attack.

    Asks the target one row for each candidate, in batches. Raises UsageError where too few are correct.
    """
    order = np.random.default_rng([seed, 0x5A3B]).permutation(len(y))
    chosen: list[int] = []
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        chosen += [int(i) for i in part[target.labels(x[part]) == y[part]]]
        if len(chosen) >= n:
            return np.asarray(chosen[:n], dtype=np.int64)
    raise UsageError(f"only {len(chosen)} of {len(y)} samples are classified correctly, {n} are needed")
