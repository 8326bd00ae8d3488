"""Small models of texts: word counts or character n-grams, and a linear model or a small network on top of them.

The reference targets of mail, domain names and headers are such models, and so is what an attacker builds on his own
machine. A trained model is nothing but arrays; how they are trained: text_training.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.target import FloatArray, IntArray, Rows

__all__ = ["Cells", "Features", "Grams", "TextModel", "Words", "bag", "chunks", "tokens"]

WORD = re.compile(r"[a-z0-9']+")
CHUNK = 500  # texts at a time, so that a large set needs little memory
MULTIPLIER = np.uint32(2654435761)  # Knuth's multiplicative hash


def tokens(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return WORD.findall(text.lower())


def chunks(rows: Rows | Sequence[str]) -> Iterator[list[str]]:
    """Texts, some at a time."""
    for start in range(0, len(rows), CHUNK):
        yield [str(text) for text in rows[start : start + CHUNK]]


class Features(Protocol):
    """Texts → numbers, of which only the product with a matrix is ever needed."""

    @property
    def width(self) -> int: ...

    def times(self, rows: Sequence[str], matrix: FloatArray) -> FloatArray:
        """The features of n texts times a matrix (width, k): (n, k)."""


@dataclass(frozen=True, slots=True)
class Words:
    """Word counts: ``1 + log(count)`` times the word's weight, at length 1 where ``unit``."""

    index: Mapping[str, int]
    weight: FloatArray  # (words,): 1, or the inverse document frequency
    unit: bool

    @classmethod
    def learn(cls, rows: Sequence[str], *, least: int = 3, idf: bool = True) -> Words:
        """The vocabulary of n texts: words of at least ``least`` of them. ``idf``: TF-IDF, else plain counts."""
        seen = Counter(word for text in rows for word in set(tokens(text)))
        words = sorted(word for word, count in seen.items() if count >= least)
        often = np.array([seen[word] for word in words], dtype=np.float64)
        weight = np.log((1.0 + len(rows)) / (1.0 + often)) + 1.0 if idf else np.ones(len(words))
        return cls({word: i for i, word in enumerate(words)}, weight, idf)

    @property
    def width(self) -> int:
        return len(self.index)

    def of(self, rows: Sequence[str]) -> FloatArray:
        """N texts → (n, words)."""
        return self.scaled(self.weighed(rows))

    def times(self, rows: Sequence[str], matrix: FloatArray) -> FloatArray:
        return np.asarray(self.of(rows) @ matrix)

    def weighed(self, rows: Sequence[str]) -> FloatArray:
        """Before the length is made 1: (n, words)."""
        x = np.zeros((len(rows), self.width))
        for i, text in enumerate(rows):
            known = [at for at in map(self.index.get, tokens(text)) if at is not None]
            np.add.at(x[i], known, 1.0)
        return np.where(x > 0, 1.0 + np.log(np.maximum(x, 1.0)), 0.0) * self.weight

    def scaled(self, x: FloatArray) -> FloatArray:
        """What :meth:`weighed` gave, at length 1 where these features are."""
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) if self.unit else x


@dataclass(frozen=True, slots=True)
class Cells:
    """The features of n texts that are not 0: text ``start[i]`` to ``start[i + 1]`` has these columns and values."""

    start: IntArray  # (n + 1,)
    column: IntArray
    value: FloatArray


@dataclass(frozen=True, slots=True)
class Grams:
    """Counts of character n-grams, hashed to ``width`` columns; of each line by itself, with its two ends.

    ``present``: 1 where it occurs, however often. ``unit``: at length 1. ``until``: only of what stands before its
    first occurrence (``.``: the first label of a domain name).
    """

    orders: tuple[int, ...]
    width: int
    present: bool = False
    unit: bool = False
    until: str = ""

    def cells(self, rows: Sequence[str]) -> Cells:
        """The n-grams of n texts."""
        key, count = np.unique(self._keys(rows), return_counts=True)
        start = np.searchsorted(key, np.arange(len(rows) + 1) * self.width)
        value = np.ones(len(key)) if self.present else count.astype(np.float64)
        if self.unit:
            mine = np.repeat(np.arange(len(rows)), np.diff(start))
            value /= np.sqrt(np.bincount(mine, weights=value**2, minlength=len(rows)))[mine]
        return Cells(start.astype(np.int64), key % self.width, value)

    def _keys(self, rows: Sequence[str]) -> IntArray:
        """Text and column of each n-gram of n texts, in one number."""
        if self.until:
            rows = [text.partition(self.until)[0] for text in rows]
        coded = [b"\n" + text.encode("latin-1", "replace") + b"\n" for text in rows]
        chars = np.frombuffer(b"".join(coded), dtype=np.uint8).astype(np.uint32)
        owner = np.repeat(np.arange(len(rows)), [len(c) for c in coded])
        keys = [self._of_order(chars, owner, order) for order in self.orders if len(chars) >= order]
        return np.concatenate([np.zeros(0, dtype=np.int64), *keys])

    def _of_order(self, chars: NDArray[np.uint32], owner: IntArray, order: int) -> IntArray:
        """The same for n-grams of one order; none goes across the end of a line."""
        last = len(chars) - order + 1
        code = np.full(last, order, dtype=np.uint32)
        inside = owner[:last] == owner[order - 1 :]
        for i in range(order):
            code = code * np.uint32(257) + chars[i : last + i]
            if 0 < i < order - 1:
                inside &= chars[i : last + i] != ord("\n")
        column = ((code * MULTIPLIER) >> np.uint32(8)) % np.uint32(self.width)
        return np.asarray((owner[:last] * self.width + column)[inside], dtype=np.int64)

    def times(self, rows: Sequence[str], matrix: FloatArray) -> FloatArray:
        if self.present or self.unit:
            return bag(self.cells(rows), matrix)
        owner, column = np.divmod(self._keys(rows), self.width)
        columns = (np.bincount(owner, weights=part[column], minlength=len(rows)) for part in matrix.T)
        return np.stack(list(columns), axis=1)  # plain counts need no sorting


def bag(cells: Cells, matrix: FloatArray) -> FloatArray:
    """Cells of n texts times a matrix (width, k): (n, k)."""
    sums = np.zeros((len(cells.start) - 1, matrix.shape[1]))
    full = np.flatnonzero(np.diff(cells.start))
    if len(full):
        sums[full] = np.add.reduceat(cells.value[:, None] * matrix[cells.column], cells.start[full], axis=0)
    return sums


@dataclass(frozen=True, slots=True)
class TextModel:
    """Features and a network on them. Of a classifier the network has a column for each class, of a regressor one."""

    features: Features
    network: MLP

    def logits(self, rows: Rows | Sequence[str]) -> FloatArray:
        """N texts → (n, classes), before the softmax."""
        first, *later = self.network.weights
        bias, *biases = self.network.biases
        parts = [np.zeros((0, first.shape[1])), *(self.features.times(chunk, first) for chunk in chunks(rows))]
        z = np.concatenate(parts) + bias
        for w, b in zip(later, biases, strict=True):
            z = np.maximum(z, 0.0) @ w + b
        return np.asarray(z)

    def scores(self, rows: Rows | Sequence[str]) -> FloatArray:
        """Class probabilities (n, classes)."""
        z = self.logits(rows)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    def labels(self, rows: Rows | Sequence[str]) -> IntArray:
        """The most likely class (n,)."""
        return np.asarray(np.argmax(self.logits(rows), axis=1), dtype=np.int64)
