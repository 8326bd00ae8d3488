"""Ten engines that judge listings of opcodes: five ways to learn, on n-grams of several sizes, whole or in pieces.

Malware hides among harmless code, so most engines look at a program piece by piece and go by the pieces that they
find. To learn, they have nothing but the label of the whole program, and give it to every piece. Each engine has its
own view (which n-grams, pieces of which length), its own model, and its own caution: how sure it must be of a piece,
and how large a share of the pieces must speak for a family. Label 0 is harmless, the others are families.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from threatmatrix.emulate.target import FloatArray, IntArray, Rows

__all__ = ["Engine", "Pieces", "View", "coded", "engines"]

Codes = NDArray[np.uint64]
"""One program: a number for each opcode."""

MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of n programs: for each the square roots of its n-grams' shares, so that a product is a likeness of 0
    to 1, and the program that it is of.
    """

    x: FloatArray
    of: IntArray
    programs: int

    def __add__(self, other: Pieces) -> Pieces:
        of = np.concatenate([self.of, other.of + self.programs])
        return Pieces(np.concatenate([self.x, other.x]), of, self.programs + other.programs)


@dataclass(frozen=True, slots=True)
class View:
    """n-grams in so many buckets, over pieces of so many opcodes (0: the whole program)."""

    n: int
    buckets: int
    piece: int

    def __call__(self, programs: Sequence[Codes]) -> Pieces:
        found: list[FloatArray] = []
        of: list[int] = []
        for number, codes in enumerate(programs):
            grams = self._grams(codes)
            size = self.piece or max(1, len(grams))
            parts = max(1, round(len(grams) / size))
            inside = np.minimum(np.arange(len(grams)) // size, parts - 1)
            counts = np.bincount(inside * self.buckets + grams, minlength=parts * self.buckets)
            found.append(counts.reshape(parts, self.buckets).astype(np.float64))
            of += [number] * parts
        x = np.concatenate(found) if found else np.zeros((0, self.buckets))
        shares = x / np.maximum(x.sum(axis=1, keepdims=True), 1.0)
        return Pieces(np.sqrt(shares), np.asarray(of, dtype=np.int64), len(programs))

    def _grams(self, codes: Codes) -> IntArray:
        count = max(0, len(codes) - self.n + 1)
        mixed = np.zeros(count, dtype=np.uint64)
        for i in range(self.n):
            mixed = (mixed + codes[i : count + i]) * MIX
        return ((mixed >> np.uint64(20)) % np.uint64(self.buckets)).astype(np.int64)


def coded(rows: Rows) -> list[Codes]:
    """Listings as numbers, one for each opcode."""
    return [np.array([_code(word) for word in text.split()], dtype=np.uint64) for text in rows]


@lru_cache(maxsize=4096)
def _code(word: str) -> int:
    return crc32(word.encode())


class Learner(Protocol):
    """How an engine learns: from pieces and their labels, to a probability of each label."""

    def fit(self, x: FloatArray, member: FloatArray) -> None:
        """``member`` (n, classes) is 1 at each piece's label."""

    def probability(self, x: FloatArray) -> FloatArray:
        """(n, classes); rows add up to 1."""


@dataclass(slots=True)
class Bayes:
    """Multinomial naive Bayes; ``weight``: how many n-grams a piece counts for."""

    weight: float = 40.0
    _log: FloatArray = field(init=False)
    _prior: FloatArray = field(init=False)

    def fit(self, x: FloatArray, member: FloatArray) -> None:
        counts = member.T @ x**2 * self.weight + 0.5
        self._log = np.log(counts / counts.sum(axis=1, keepdims=True))
        self._prior = np.log((member.sum(axis=0) + 1.0) / (len(x) + member.shape[1]))

    def probability(self, x: FloatArray) -> FloatArray:
        return _softmax(x**2 @ self._log.T * self.weight + self._prior)


@dataclass(slots=True)
class Regression:
    """Multinomial logistic regression by gradient descent with momentum; it goes on from the weights that it has."""

    rounds: int = 120
    further: int = 15  # rounds, each time that more has come
    _weights: FloatArray | None = field(default=None, init=False)

    def fit(self, x: FloatArray, member: FloatArray) -> None:
        z = _with_one(x)
        first = self._weights is None
        weights = np.zeros((z.shape[1], member.shape[1])) if self._weights is None else self._weights
        speed = np.zeros_like(weights)
        for _ in range(self.rounds if first else self.further):
            speed = 0.9 * speed - z.T @ (_softmax(z @ weights) - member) / len(z) - 1e-4 * weights
            weights = weights + speed
        self._weights = weights

    def probability(self, x: FloatArray) -> FloatArray:
        if self._weights is None:
            raise RuntimeError("an engine is asked before it has learnt anything")
        return _softmax(_with_one(x) @ self._weights)


@dataclass(slots=True)
class Neighbours:
    """The most alike known pieces vote."""

    k: int
    _known: FloatArray = field(init=False)
    _member: FloatArray = field(init=False)

    def fit(self, x: FloatArray, member: FloatArray) -> None:
        self._known, self._member = x, member

    def probability(self, x: FloatArray) -> FloatArray:
        nearest = np.argpartition(-(x @ self._known.T), self.k, axis=1)[:, : self.k]
        return np.asarray(self._member[nearest].mean(axis=1))


@dataclass(slots=True)
class Centroids:
    """The mean piece of each class; ``sharpness`` turns how alike they are into probabilities."""

    sharpness: float = 40.0
    _means: FloatArray = field(init=False)

    def fit(self, x: FloatArray, member: FloatArray) -> None:
        means = member.T @ x
        self._means = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)

    def probability(self, x: FloatArray) -> FloatArray:
        return _softmax(x @ self._means.T * self.sharpness)


@dataclass(slots=True)
class Signatures:
    """For each bucket that occurs at all, which class it speaks for: odds of its presence, added up."""

    _odds: FloatArray = field(init=False)
    _prior: FloatArray = field(init=False)

    def fit(self, x: FloatArray, member: FloatArray) -> None:
        size = member.sum(axis=0)
        share = (member.T @ (x > 0) + 0.5) / (size + 1.0)[:, None]
        self._odds = np.log(share / (1.0 - share))
        self._prior = np.log((size + 1.0) / (len(x) + len(size))) + np.log(1.0 - share).sum(axis=1)

    def probability(self, x: FloatArray) -> FloatArray:
        return _softmax((x > 0) @ self._odds.T + self._prior)


@dataclass(slots=True)
class Engine:
    """One vendor's engine. ``sure``: the least probability of a family for a piece to speak for it; ``share``: of the
    pieces that must.
    """

    view: View
    learner: Learner
    sure: float
    share: float

    def fit(self, pieces: Pieces, labels: IntArray, classes: int) -> None:
        """Learn programs by the labels of the whole (n,)."""
        self.learner.fit(pieces.x, np.eye(classes)[labels[pieces.of]])

    def judge(self, pieces: Pieces) -> IntArray:
        """Labels (n,) of the programs."""
        speaks = self.learner.probability(pieces.x) >= self.sure
        speaks[:, 0] = False
        votes = np.zeros((pieces.programs, speaks.shape[1]))
        np.add.at(votes, pieces.of, speaks)
        shares = votes / np.bincount(pieces.of, minlength=pieces.programs)[:, None]
        best = np.argmax(shares, axis=1)
        return np.where(shares[np.arange(len(best)), best] >= self.share, best, 0).astype(np.int64)


def _softmax(z: FloatArray) -> FloatArray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _with_one(x: FloatArray) -> FloatArray:
    return np.column_stack([5.0 * x, np.ones(len(x))])


def engines() -> Sequence[Engine]:
    """The ten, untrained."""
    whole, two, three = View(2, 128, 0), View(2, 128, 80), View(3, 256, 120)
    return (
        Engine(View(1, 64, 80), Bayes(), 0.7, 0.25),
        Engine(whole, Regression(), 0.5, 1.0),
        Engine(whole, Neighbours(3), 0.6, 1.0),
        Engine(two, Bayes(), 0.9, 0.2),
        Engine(two, Regression(), 0.7, 0.3),
        Engine(two, Neighbours(5), 0.7, 0.25),
        Engine(two, Centroids(), 0.5, 0.25),
        Engine(three, Bayes(), 0.5, 0.25),
        Engine(three, Regression(), 0.7, 0.3),
        Engine(three, Signatures(), 0.9, 0.3),
    )  # fmt: skip
