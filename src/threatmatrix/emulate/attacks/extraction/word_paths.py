"""The likeliest way through a source while a translation is read: neighbours mostly stand for neighbours.

After Vogel, Ney, Tillmann, "HMM-based Word Alignment in Statistical Translation", 1996: the states are the positions of
the source, the steps between them are counted from a first alignment, and all pairs with sources of one length are
gone through at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from threatmatrix.emulate.target import FloatArray, IntArray

__all__ = ["likely_paths", "step_costs"]

_WIDEST = 8  # steps that are told apart
_NEVER = -1e9
_FLOOR = 1e-12


def step_costs(paths: Sequence[Sequence[int]]) -> FloatArray:
    """Logarithm of how likely each step is, from ``-_WIDEST`` to ``_WIDEST``; positions below 0 are left out."""
    counts = np.full(2 * _WIDEST + 1, 0.5)
    for path in paths:
        at = np.array([-1, *(position for position in path if position >= 0)])
        np.add.at(counts, np.clip(np.diff(at), -_WIDEST, _WIDEST) + _WIDEST, 1.0)
    return np.asarray(np.log(counts / counts.sum()))


def likely_paths(weights: Sequence[FloatArray], costs: FloatArray) -> list[list[int]]:
    """For each pair: weights (m, n + 1) of the positions, nowhere first → a position for each of the m, or -1."""
    found: list[list[int]] = [[] for _ in weights]
    by_length: dict[int, list[int]] = {}
    for at, weight in enumerate(weights):
        by_length.setdefault(weight.shape[1], []).append(at)
    for together in by_length.values():
        lengths = [len(weights[at]) for at in together]
        wide = weights[together[0]].shape[1]
        emitted = np.full((len(together), max(lengths), wide), _NEVER)
        for row, at in enumerate(together):
            emitted[row, : lengths[row]] = np.log(weights[at] + _FLOOR)
            emitted[row, lengths[row] :, 0] = 0.0
        states = _walk(emitted, costs)
        for row, at in enumerate(together):
            found[at] = [int(position) for position in states[row, : lengths[row]]]
    return found


def _walk(emitted: FloatArray, costs: FloatArray) -> IntArray:
    """Viterbi over (pairs, words, positions). A state is the last position that was stood for; 0 is the beginning."""
    pairs, length, wide = emitted.shape
    apart = np.arange(wide)[None, :] - np.arange(wide)[:, None]
    step = costs[np.clip(apart, -_WIDEST, _WIDEST) + _WIDEST]
    score = np.full((pairs, wide), _NEVER)
    score[:, 0] = 0.0
    came = np.empty((length, pairs, wide), dtype=np.int64)
    for at in range(length):
        through = score[:, :, None] + step[None]
        best = through.argmax(axis=1)
        moved = np.take_along_axis(through, best[:, None], axis=1)[:, 0] + emitted[:, at]
        moved[:, 0] = _NEVER  # nobody goes back to the beginning
        stayed = score + emitted[:, at, :1]
        came[at] = np.where(moved > stayed, best, -1)
        score = np.maximum(moved, stayed)
    state = score.argmax(axis=1)
    path = np.empty((pairs, length), dtype=np.int64)
    rows = np.arange(pairs)
    for at in range(length - 1, -1, -1):
        before = came[at, rows, state]
        path[:, at] = np.where(before < 0, -1, state - 1)
        state = np.where(before < 0, state, before)
    return path
