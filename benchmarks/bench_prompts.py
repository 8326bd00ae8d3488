"""Prompts: are variations of one told from different ones, and what does a prompt cost?

Thresholds as ``calibrate`` learns them (the 0.1 % quantile of nearest-neighbour distances of honest prompts), then the
share of 15 variations of a prompt that end in one cluster, which is what makes the monitor alarm. The ways of making
the vector were chosen on seeds 1 to 3; what is shown is of seeds 101 to 103. The texts are made up
(``benchmarks/prompt_traffic.py``): real ones differ, so calibrate on your own.
"""

from __future__ import annotations

import random
import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.prompt_traffic import VARIATIONS, honest, prompt
from threatmatrix.telemetry.inputs.inputs import Inputs
from threatmatrix.telemetry.inputs.keys import Key, Keyring
from threatmatrix.telemetry.inputs.prompts import STEP

SEEDS = (101, 102, 103)
HONEST = 2000
PROMPTS = 40  # varied, for each kind of variation
PROBES = 15


def vectors(inputs: Inputs, texts: list[str]) -> NDArray[np.float64]:
    """(n, 64) of the texts that are long enough for a vector."""
    found = [inputs.text(text, 0).input_vec for text in texts]
    return np.array([np.frombuffer(each, np.int8) for each in found if each], np.float64)


def distances(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, n), as the monitor measures them."""
    norms = (rows**2).sum(axis=1)
    squared: NDArray[np.float64] = np.maximum(0, norms[:, None] + norms[None] - 2 * rows @ rows.T)
    return np.sqrt(squared) * STEP


def largest_cluster(apart: NDArray[np.float64], threshold: float) -> int:
    """Members of the largest group that single linkage makes."""
    label = np.arange(len(apart))
    while True:
        spread = np.where(apart <= threshold, label[None, :], len(apart)).min(axis=1)
        if np.array_equal(label, spread):
            return int(np.bincount(label).max())
        label = spread


def measure(seed: int) -> dict[str, float]:
    """Figures of one seed, by name."""
    inputs = Inputs(Keyring(Key("1", bytes([seed]) * 32)))
    reference, other = vectors(inputs, honest(seed, HONEST)), vectors(inputs, honest(seed + 1000, HONEST))
    apart = distances(reference)
    np.fill_diagonal(apart, np.inf)
    threshold = float(np.quantile(apart.min(axis=1), 0.001, method="inverted_cdf"))
    figures = {
        "threshold": threshold,
        "median distance to the nearest honest prompt": float(np.median(apart.min(axis=1))),
        "largest honest cluster of 2,000 others": float(largest_cluster(distances(other), threshold)),
    }
    rng = random.Random(f"probes {seed}")
    for name, vary in VARIATIONS.items():
        shares = []
        for _ in range(PROMPTS):
            text = prompt(rng)
            probes = vectors(inputs, [vary(rng, text) for _ in range(PROBES)])
            shares.append(largest_cluster(distances(probes), threshold) / PROBES)
        figures[name] = float(np.mean(shares))
    return figures


def cost() -> None:
    """µs of CPU for a prompt, beside the keyed hash alone."""
    texts = honest(7, 1000)
    inputs = Inputs(Keyring(Key("1", b"1" * 32)))
    both = Inputs(Keyring(Key("1", b"1" * 32), Key("2", b"2" * 32), 1))
    for name, made, chosen in (
        ("a vector and a hash", inputs, texts),
        ("the same under two keys", both, texts),
        ("a hash (too short for a vector)", inputs, [text[:30] for text in texts]),
        ("16,384 characters", inputs, [(text * 300)[:16_384] for text in texts[:100]]),
    ):
        made.text(chosen[0], 0)
        start = time.process_time()
        for text in chosen:
            made.text(text, 0)
        spent = (time.process_time() - start) / len(chosen) * 1e6
        print(
            f"{name}: {spent:.0f} µs a prompt of {np.mean([len(text) for text in chosen]):,.0f} characters on average"
        )


def main() -> None:
    found = [measure(seed) for seed in SEEDS]
    for name in found[0]:
        print(f"{name}: " + ", ".join(f"{figures[name]:.2f}" for figures in found))
    cost()


if __name__ == "__main__":
    main()
