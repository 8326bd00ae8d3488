"""How the models of texts learn: on words with scikit-learn, on character n-grams with Adagrad in NumPy.

Source: Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning", JMLR 2011; it suits features of which
each text has a few of many. Both are deterministic by seed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.target import FloatArray, IntArray, Rows
from threatmatrix.emulate.text_models import Cells, Grams, TextModel, Words, bag, chunks
from threatmatrix.model.errors import MissingExtraError

__all__ = ["fit_grams", "fit_scores", "fit_words"]

BATCH = 64


def fit_words(
    words: Words, rows: Rows | Sequence[str], labels: IntArray, *, hidden: tuple[int, ...], epochs: int, seed: int
) -> TextModel:
    """A network that tells two classes by words. Raises MissingExtraError without scikit-learn."""
    network = _network("MLPClassifier", hidden, epochs, seed)
    _fit(network, _matrix(words, rows), labels)
    last, bias = network.coefs_[-1], network.intercepts_[-1]  # one logit for class 1 → a logit for each class
    ends = np.concatenate([np.zeros_like(last), last], axis=1), np.concatenate([np.zeros_like(bias), bias])
    return TextModel(words, _mlp([*network.coefs_[:-1], ends[0]], [*network.intercepts_[:-1], ends[1]]))


def fit_scores(
    words: Words, rows: Rows | Sequence[str], values: FloatArray, *, hidden: tuple[int, ...], epochs: int, seed: int
) -> TextModel:
    """A network that tells one number (n,) of each text. Raises MissingExtraError without scikit-learn."""
    network = _network("MLPRegressor", hidden, epochs, seed)
    _fit(network, _matrix(words, rows), values.astype(np.float32))
    return TextModel(words, _mlp(network.coefs_, network.intercepts_))


def _matrix(words: Words, rows: Rows | Sequence[str]) -> Any:
    return np.concatenate([words.of(chunk).astype(np.float32) for chunk in chunks(rows)])


def _mlp(weights: Sequence[Any], biases: Sequence[Any]) -> MLP:
    return MLP.of([np.asarray(w, dtype=np.float64) for w in weights], [np.asarray(b, dtype=np.float64) for b in biases])


def _network(kind: str, hidden: tuple[int, ...], epochs: int, seed: int) -> Any:
    try:
        networks = import_module("sklearn.neural_network")
    except ImportError as e:
        raise MissingExtraError("a network on words", "emulate") from e
    return getattr(networks, kind)(
        hidden_layer_sizes=hidden, alpha=1e-4, learning_rate_init=3e-3, batch_size=BATCH, max_iter=epochs,
        n_iter_no_change=1000, tol=0.0, random_state=seed % 2**32,
    )  # fmt: skip


def _fit(model: Any, x: Any, y: Any) -> None:
    """One thread, for the same bits everywhere, and no complaint that training stopped where it was told to."""
    with import_module("threadpoolctl").threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, y)


def fit_grams(
    features: Grams,
    rows: Rows | Sequence[str],
    labels: IntArray,
    *,
    hidden: int = 0,
    epochs: int = 8,
    rate: float = 0.1,
    decay: float = 1e-5,
    seed: int = 0,
) -> TextModel:
    """Two classes by n-grams: a logistic regression, or a network with one hidden layer of ``hidden`` units."""
    rng = np.random.default_rng([seed, 0x96A3])
    learner = _Bag(features.width, hidden, rate, decay, rng)
    parts = [features.cells(chunk) for chunk in chunks(rows)]
    column, value = np.concatenate([p.column for p in parts]), np.concatenate([p.value for p in parts])
    sizes = np.concatenate([np.diff(p.start) for p in parts])
    begin = np.concatenate([[0], np.cumsum(sizes)])
    for _ in range(epochs):
        order = rng.permutation(len(rows))
        for batch in (order[at : at + BATCH] for at in range(0, len(order), BATCH)):
            pick = np.concatenate([np.arange(begin[i], begin[i + 1]) for i in batch])
            start = np.concatenate([[0], np.cumsum(sizes[batch])])
            learner.step(Cells(start, column[pick], value[pick]), labels[batch])
    return TextModel(features, learner.model())


class _Bag:
    """A linear model or a network with one hidden layer over few of many columns, learning batch by batch."""

    def __init__(self, width: int, hidden: int, rate: float, decay: float, rng: np.random.Generator) -> None:
        self.rate, self.decay = rate, decay
        first = rng.normal(0.0, 0.1, (width, hidden)) if hidden else np.zeros((width, 1))
        self.weights = [first, *([rng.normal(0.0, hidden**-0.5, (hidden, 1))] if hidden else [])]
        self.biases = [np.zeros(w.shape[1]) for w in self.weights]
        self.sums = [np.full(array.shape, 1e-6) for array in (*self.weights, *self.biases)]

    def step(self, cells: Cells, labels: IntArray) -> None:
        """One step down the gradient of the log loss, only in the columns that the batch has."""
        z = bag(cells, self.weights[0]) + self.biases[0]
        out = z if len(self.weights) == 1 else np.maximum(z, 0.0) @ self.weights[1] + self.biases[1]
        error = (1.0 / (1.0 + np.exp(-np.clip(out, -30, 30))) - labels[:, None]) / len(labels)
        if len(self.weights) == 2:
            back = (error @ self.weights[1].T) * (z > 0)
            self._move(self.weights[1], self.sums[1], np.maximum(z, 0.0).T @ error)
            self._move(self.biases[1], self.sums[3], error.sum(axis=0))
            error = back
        self._move(self.biases[0], self.sums[len(self.weights)], error.sum(axis=0))
        touched, at = np.unique(cells.column, return_inverse=True)
        spread = cells.value[:, None] * np.repeat(error, np.diff(cells.start), axis=0)
        gradient = np.stack([np.bincount(at, weights=part, minlength=len(touched)) for part in spread.T], axis=1)
        rows, sums = self.weights[0][touched], self.sums[0][touched]
        self._move(rows, sums, gradient + self.decay * rows)
        self.weights[0][touched], self.sums[0][touched] = rows, sums

    def _move(self, array: FloatArray, sums: FloatArray, gradient: FloatArray) -> None:
        sums += gradient**2
        array -= self.rate * gradient / np.sqrt(sums)

    def model(self) -> MLP:
        """With a logit for each of two classes."""
        last, bias = self.weights[-1], self.biases[-1]
        ends = np.concatenate([np.zeros_like(last), last], axis=1), np.concatenate([np.zeros_like(bias), bias])
        return MLP.of([*self.weights[:-1], ends[0]], [*self.biases[:-1], ends[1]])
