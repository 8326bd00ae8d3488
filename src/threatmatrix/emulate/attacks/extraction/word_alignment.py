"""Which word of a translation stands for which word of the source: IBM Model 1 by expectation maximisation.

Source: Brown, Della Pietra, Della Pietra, Mercer, "The Mathematics of Statistical Machine Translation", 1993 (Model 1,
section 4.2), with the prior for the diagonal of Dyer, Chahuneau, Smith, "A Simple, Fast, and Effective
Reparameterization of IBM Model 2", 2013. Both as sums over flat arrays, one entry for each pair of words that stand in
the same pair of sentences.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from threatmatrix.emulate.attacks.extraction.word_paths import likely_paths, step_costs
from threatmatrix.emulate.target import FloatArray, IntArray

__all__ = ["NOWHERE", "align"]

NOWHERE = -1
_EMPTY_SHARE = 0.08  # of a translation's words that stand for none of the source
_TENSION = 4.0  # how strongly the diagonal is preferred
_ROUNDS = 8
_BITS = 24  # of a word's number


def align(sources: Sequence[Sequence[str]], translations: Sequence[Sequence[str]]) -> list[list[int]]:
    """For each word of each translation the position in the source that it stands for, or NOWHERE.

    The model is learnt in both directions and their agreement decides (Liang, Taskar, Klein 2006): alone, the one
    from the source lets a rare word stand for whatever is near it.
    """
    pairs, words, positions, prior = _flatten(sources, translations)
    numbers, entry = np.unique(pairs, return_inverse=True)
    forwards = _learn(entry, numbers >> _BITS, words, prior)
    backwards = _learn(entry, numbers & ((1 << _BITS) - 1), positions, prior)
    return _best(forwards * backwards * prior, sources, translations)


def _learn(entry: IntArray, given: IntArray, chosen_for: IntArray, prior: FloatArray) -> FloatArray:
    """For each entry how likely its pair is. ``given``: the word that each pair is conditioned on; ``chosen_for``:
    the place that each entry competes for.
    """
    chance = np.ones(len(given))
    for _ in range(_ROUNDS):
        expected = chance[entry] * prior
        expected /= np.bincount(chosen_for, expected)[chosen_for]
        counts = np.bincount(entry, expected, minlength=len(given))
        chance = counts / np.bincount(given, counts)[given]
    return np.asarray(chance[entry])


def _flatten(
    sources: Sequence[Sequence[str]], translations: Sequence[Sequence[str]]
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Entries: the pair of words as one number, which place of all translations, which of all sources, prior."""
    ids: dict[str, int] = {"": 0}
    others: dict[str, int] = {}
    pairs, words, positions, priors, total, read = [], [], [], [], 0, 0
    for source, translation in zip(sources, translations, strict=True):
        n, m = len(source), len(translation)
        if not n or not m:
            continue
        left = np.array([0, *(ids.setdefault(word, len(ids)) for word in source)])
        right = np.array([others.setdefault(word, len(others)) for word in translation])
        away = np.abs(np.arange(n)[None, :] / n - np.arange(m)[:, None] / m)
        near = np.exp(-_TENSION * away)
        near *= (1.0 - _EMPTY_SHARE) / near.sum(axis=1, keepdims=True)
        priors.append(np.concatenate([np.full((m, 1), _EMPTY_SHARE), near], axis=1).ravel())
        pairs.append((left[None, :] << _BITS | right[:, None]).ravel())
        words.append(np.repeat(np.arange(total, total + m), n + 1))
        positions.append(np.tile(np.arange(read, read + n + 1), m))
        total, read = total + m, read + n + 1
    first, second, third = (np.concatenate(each).astype(np.int64) for each in (pairs, words, positions))
    return first, second, third, np.concatenate(priors)


def _best(
    weight: FloatArray, sources: Sequence[Sequence[str]], translations: Sequence[Sequence[str]]
) -> list[list[int]]:
    blocks, at = [], 0
    for source, translation in zip(sources, translations, strict=True):
        n, m = len(source), len(translation)
        size = m * (n + 1) if n and m else 0
        blocks.append(weight[at : at + size].reshape(m, n + 1) if size else np.ones((m, 1)))
        at += size
    first = [[int(i) - 1 for i in np.argmax(block, axis=1)] for block in blocks]
    paths = likely_paths(blocks, step_costs(first))
    return [
        _in_one_piece(path, block[np.arange(len(path)), np.array(path, dtype=np.int64) + 1])
        for path, block in zip(paths, blocks, strict=True)
    ]


def _in_one_piece(stands_for: list[int], sure: FloatArray) -> list[int]:
    """Of several runs that stand for one word only the surest stays."""
    runs: dict[int, list[range]] = {}
    start = 0
    for end in range(1, len(stands_for) + 1):
        if end == len(stands_for) or stands_for[end] != stands_for[start]:
            runs.setdefault(stands_for[start], []).append(range(start, end))
            start = end
    for position, several in runs.items():
        if position != NOWHERE and len(several) > 1:
            kept = max(several, key=lambda run: max(sure[at] for at in run))
            for run in several:
                if run != kept:
                    for at in run:
                        stands_for[at] = NOWHERE
    return stands_for
