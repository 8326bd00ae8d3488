"""Words that stand in the same company and end alike, as one class: k-means over what is around them.

After Schütze, "Distributional Part-of-Speech Tagging", 1995, with the endings of Clark, "Combining Distributional and
Morphological Information for Part of Speech Induction", 2003: counts of the neighbours on each side, square roots,
scaled to length 1. The second time the neighbours are counted by their class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from threatmatrix.emulate.target import FloatArray, IntArray

__all__ = ["word_classes", "word_topics"]

_NEIGHBOURS = 60
_ENDING = 0.35  # weight of a word's last letter beside its company's
_ROUNDS = 12
_STARTS = 5
_TOLD = 5  # sentences in which a word must stand to have a topic …
_COMMON = 25  # … and one in so many at most
_PRIOR = 1.0
_TELLING = 0.3


def word_classes(sentences: Sequence[Sequence[str]], classes: int, rng: np.random.Generator) -> Mapping[str, int]:
    """Word → its class, 0 to ``classes`` - 1, for every word that was seen."""
    counts = Counter(word for sentence in sentences for word in sentence)
    known = {word: at for at, (word, _) in enumerate(counts.most_common())}
    row = np.array([known[word] for sentence in sentences for word in (*sentence, sentence[-1])], dtype=np.int64)
    ends = np.cumsum([len(sentence) + 1 for sentence in sentences]) - 1
    inside = np.ones(len(row), dtype=bool)
    inside[ends] = False
    table = _company(row, inside, np.minimum(np.arange(len(known)), _NEIGHBOURS), _NEIGHBOURS + 1)
    endings = _endings(list(known))
    k = min(classes, len(known))
    first = _k_means(np.concatenate([table, endings], axis=1), k, rng)
    frequent = np.arange(len(known)) < _NEIGHBOURS  # of which each stays a neighbour of its own
    by_class = np.where(frequent, np.arange(len(known)), _NEIGHBOURS + first)
    table = _company(row, inside, by_class, _NEIGHBOURS + k)
    return dict(zip(known, map(int, _k_means(np.concatenate([table, endings], axis=1), k, rng)), strict=True))


def _company(row: IntArray, inside: FloatArray, kind: IntArray, kinds: int) -> FloatArray:
    """For each word how often which kind of word stands before it and after it, or the end of the text."""
    near = np.where(inside, kind[row], kinds)
    before, after = np.roll(near, 1), np.roll(near, -1)
    before[0] = kinds
    words, wide = int(row.max()) + 1, kinds + 1
    sides = [
        np.bincount(row[inside] * wide + side[inside], minlength=words * wide).reshape(words, wide)
        for side in (before, after)
    ]
    return _scaled(np.sqrt(np.concatenate(sides, axis=1)))


def _endings(words: Sequence[str]) -> FloatArray:
    letters = sorted({word[-1] for word in words})
    return _ENDING * np.eye(len(letters))[[letters.index(word[-1]) for word in words]]


def _scaled(x: FloatArray) -> FloatArray:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))


def _k_means(x: FloatArray, k: int, rng: np.random.Generator) -> IntArray:
    """The best of several rounds of k-means on the sphere."""
    x = _scaled(x)
    found = [_once(x, k, rng) for _ in range(_STARTS)]
    return max(found, key=lambda each: each[1])[0]


def _once(x: FloatArray, k: int, rng: np.random.Generator) -> tuple[IntArray, float]:
    """Nearest centre of each, and how near; the first centres are far apart, as k-means++ draws them."""
    often = x[: max(k, len(x) // 2)]
    centres = x[:1]
    while len(centres) < k:
        away = np.maximum(1.0 - (often @ centres.T).max(axis=1), 1e-12)
        centres = np.concatenate([centres, often[[int(rng.choice(len(often), p=away / away.sum()))]]])
    nearest = np.zeros(len(x), dtype=np.int64)
    for _ in range(_ROUNDS):
        nearest = np.argmax(x @ centres.T, axis=1).astype(np.int64)
        for at in range(k):
            if np.any(nearest == at):
                centres[at] = x[nearest == at].mean(axis=0)
        centres = _scaled(centres)
    return nearest, float(np.sum(x * centres[nearest]))


def word_topics(sentences: Sequence[Sequence[str]], topics: int, rng: np.random.Generator) -> Mapping[str, int]:
    """Word → its topic, for the words that keep company with some and not with others wherever they stand.

    Pointwise mutual information of two words in one sentence (Church, Hanks 1990), its largest directions, k-means.
    """
    counts = Counter(word for sentence in sentences for word in dict.fromkeys(sentence))
    often = [word for word, count in counts.items() if _TOLD <= count <= len(sentences) / _COMMON]
    if len(often) <= topics:
        return {}
    known = {word: at for at, word in enumerate(often)}
    there = np.zeros((len(sentences), len(known)), dtype=np.float32)
    for row, sentence in enumerate(sentences):
        there[row, [known[word] for word in sentence if word in known]] = 1.0
    together = (there.T @ there).astype(np.float64)
    alone = np.diag(together).copy()
    told = np.log((together + _PRIOR) / (np.outer(alone, alone) / len(sentences) + _PRIOR))
    np.fill_diagonal(told, 0.0)
    values, vectors = np.linalg.eigh(told)
    largest = vectors[:, -topics:] * np.sqrt(np.maximum(values[-topics:], 0.0))
    order = np.argsort(-np.linalg.norm(largest, axis=1), kind="stable")
    nearest = np.empty(len(known), dtype=np.int64)
    nearest[order] = _k_means(largest[order], topics, rng)
    return {word: int(nearest[at]) for word, at in known.items() if _belongs(told[at], nearest, int(nearest[at]))}


def _belongs(told: FloatArray, nearest: IntArray, topic: int) -> bool:
    """Whether a word keeps company with its own topic, and with no other nearly as much."""
    means = np.bincount(nearest, told, minlength=int(nearest.max()) + 1) / np.maximum(np.bincount(nearest), 1)
    own, others = means[topic], np.delete(means, topic)
    return bool(own > _TELLING and own - others.max() > _TELLING)
