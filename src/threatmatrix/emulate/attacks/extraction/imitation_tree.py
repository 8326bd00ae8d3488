"""Which of several ways a word is put, by rules that are read off from the cases: a decision tree.

After Magerman, "Statistical Decision-Tree Models for Parsing", 1995: each node asks whether one feature is there, the
one that says most about the way; a leaf knows how often each way was taken. One tree for all words of a class chooses
an ending, so that what holds for *rojo* holds for an adjective that was hardly ever seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.target import FloatArray, IntArray

__all__ = ["Cases", "Endings", "Tree", "learn_endings", "learn_tree"]

_LEAF = 3  # cases on the side where the feature is there, at least
_DEEPEST = 32
_MOST = 40  # ways
_SMALL = 400  # cases below which only the features that are there are looked at
_GAIN = 5.0  # bits that a question must save over all its cases …
_OF_A_WAY = 0.7  # … and for each further way: about what chance saves (half of a degree of freedom, in nats)

Cases = tuple[list[list[int]], list[str]]
"""The features of each case, all of the same number, and the ways that were taken."""


@dataclass(frozen=True, slots=True)
class _Node:
    counts: FloatArray
    feature: int = -1
    there: _Node | None = None
    absent: _Node | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """The ways and the questions."""

    ways: tuple[str, ...]
    root: _Node

    def path(self, features: frozenset[int]) -> list[FloatArray]:
        """How often each way was taken, in all cases first, in cases like this last."""
        node = self.root
        found = [node.counts]
        while node.there is not None and node.absent is not None:
            node = node.there if node.feature in features else node.absent
            found.append(node.counts)
        return found

    def best(self, features: frozenset[int]) -> str:
        """The usual way."""
        return self.ways[0] if len(self.ways) == 1 else self.ways[int(np.argmax(self.path(features)[-1]))]


@dataclass(frozen=True, slots=True)
class Endings:
    """A word of a class: its ways, and where the ending of each stands in the tree of the class."""

    ways: tuple[str, ...]
    tree: Tree | None = None
    places: tuple[int, ...] = ()

    def best(self, features: frozenset[int]) -> str:
        """The way whose ending is the usual one in the likest cases that have any ending of this word."""
        if self.tree is None or len(self.ways) == 1:
            return self.ways[0]
        for counts in reversed(self.tree.path(features)):
            mine = counts[list(self.places)]
            if mine.any():
                return self.ways[int(np.argmax(mine))]
        return self.ways[0]


def learn_tree(features: Sequence[Sequence[int]], ways: Sequence[str]) -> Tree:
    """From n cases."""
    usual = tuple(way for way, _ in Counter(ways).most_common(_MOST))
    if len(usual) == 1:
        return Tree(usual, _Node(np.ones(1)))
    kept = [at for at, way in enumerate(ways) if way in usual]
    table = np.array([features[at] for at in kept], dtype=np.int64)
    names, local, counts = np.unique(table, return_inverse=True, return_counts=True)
    local = local.reshape(table.shape)
    rare = counts < _LEAF
    number = np.where(rare, 0, np.cumsum(~rare))
    learner = _Learner(
        number[local], np.array([usual.index(ways[at]) for at in kept]),
        np.concatenate([[-1], names[~rare]]), len(usual),
    )  # fmt: skip
    return Tree(usual, learner.node(np.arange(len(kept)), 0))


@dataclass(frozen=True, slots=True)
class _Learner:
    """``x`` (n, k): numbers of features, 0 for a rare one; ``y`` (n,): ways; ``names``: of the features."""

    x: IntArray
    y: IntArray
    names: IntArray
    ways: int

    def node(self, cases: IntArray, depth: int) -> _Node:
        y = self.y[cases]
        counts = np.bincount(y, minlength=self.ways).astype(np.float64)
        if depth == _DEEPEST or counts.max() == counts.sum():
            return _Node(counts)
        x = self.x[cases]
        seen, local = np.unique(x, return_inverse=True) if len(cases) < _SMALL else (np.arange(len(self.names)), x)
        key = (local.reshape(x.shape) * self.ways + y[:, None]).ravel()
        there = np.bincount(key, minlength=len(seen) * self.ways).reshape(-1, self.ways)
        total = there.sum(axis=1)
        worth = (total >= _LEAF) & (total < len(cases)) & (seen > 0)
        if not np.any(worth):
            return _Node(counts)
        seen, there = seen[worth], there[worth].astype(np.float64)
        saved = _bits(counts[None])[0] - _bits(there) - _bits(counts - there)
        at = int(np.argmax(saved))
        if saved[at] < _GAIN + _OF_A_WAY * (np.count_nonzero(counts) - 1):
            return _Node(counts)
        best = int(seen[at])
        has = np.any(x == best, axis=1)
        return _Node(counts, int(self.names[best]), self.node(cases[has], depth + 1), self.node(cases[~has], depth + 1))


def _bits(counts: FloatArray) -> FloatArray:
    """Bits that it takes to say the ways of these cases: (m, ways) → (m,)."""
    total = counts.sum(axis=1)
    parts = counts * np.log2(np.maximum(counts, 1.0))
    return np.asarray(total * np.log2(np.maximum(total, 1.0)) - parts.sum(axis=1))


def learn_endings(cases: Mapping[str, Cases]) -> dict[str, Endings]:
    """The words of one class, each from its cases."""
    usual = {word: _usual(ways) for word, (_, ways) in cases.items()}
    common = {word: _in_common(ways) for word, ways in usual.items()}
    features: list[list[int]] = []
    ends: list[str] = []
    for word, (seen, ways) in cases.items():
        if len(usual[word]) > 1:
            kept = [at for at, way in enumerate(ways) if way in usual[word]]
            features += [seen[at] for at in kept]
            ends += [ways[at][common[word] :] for at in kept]
    if not features:
        return {word: Endings(ways) for word, ways in usual.items()}
    tree = learn_tree(features, ends)
    return {
        word: Endings(ways, tree, tuple(_place(tree, way[common[word] :]) for way in ways))
        for word, ways in usual.items()
    }


def _in_common(ways: Sequence[str]) -> int:
    """How many letters all ways begin with."""
    first, last = min(ways), max(ways)
    return next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def _place(tree: Tree, ending: str) -> int:
    return tree.ways.index(ending) if ending in tree.ways else len(tree.ways) - 1


def _usual(ways: Sequence[str]) -> tuple[str, ...]:
    counts = Counter(ways)
    return tuple(way for way, count in counts.most_common() if count > 1) or (ways[0],)
