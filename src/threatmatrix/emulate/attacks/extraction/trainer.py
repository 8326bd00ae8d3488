"""A small trainer for models of the attacker's own: a multi-layer perceptron by Adam, in NumPy.

Source: Kingma, Ba, "Adam: a method for stochastic optimization", 2015 (algorithm 1); He et al., "Delving deep into
rectifiers", 2015 (the first weights). Access: none, it runs on the attacker's machine. Cost: no query.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.target import FloatArray, IntArray

__all__ = ["Training", "softmax", "train_mlp"]

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True, slots=True)
class Training:
    """How long and how big. ``hidden``: units of each hidden layer, none for softmax regression."""

    hidden: tuple[int, ...] = (128,)
    steps: int = 2000
    batch: int = 64
    rate: float = 2e-3  # falls to nearly zero along a cosine
    decay: float = 1e-4  # of the weights
    jitter: float = 0.0  # gaussian noise on the inputs of each batch, as a share of the bounds' width
    logits: float = 0.0  # weight of the squared error in the logits, beside the cross entropy


class _Adam:
    """Arrays that are views of one flat array, and the moments of that."""

    def __init__(self, arrays: list[FloatArray]) -> None:
        self.flat = np.concatenate([a.ravel() for a in arrays])
        ends = np.cumsum([a.size for a in arrays])[:-1]
        self.arrays = [p.reshape(a.shape) for p, a in zip(np.split(self.flat, ends), arrays, strict=True)]
        self.first, self.second = np.zeros_like(self.flat), np.zeros_like(self.flat)
        self.count = 0

    def step(self, gradients: list[FloatArray], rate: float) -> None:
        gradient = np.concatenate([g.ravel() for g in gradients])
        self.count += 1
        self.first += (1 - BETA_1) * (gradient - self.first)
        self.second += (1 - BETA_2) * (gradient * gradient - self.second)
        rate *= np.sqrt(1 - BETA_2**self.count) / (1 - BETA_1**self.count)
        self.flat -= rate * self.first / (np.sqrt(self.second) + EPSILON)


def softmax(z: FloatArray) -> FloatArray:
    """Logits (n, k) → probabilities (n, k)."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def train_mlp(
    x: FloatArray,
    y: FloatArray,
    how: Training,
    rng: np.random.Generator,
    *,
    start: MLP | None = None,
) -> MLP:
    """Train on inputs (n, d) and target probabilities (n, k). ``start``: go on from this model's weights.

    ``how.logits`` above 0 pulls the centred logits towards the centred logarithms of y as well, which only makes
    sense where y are another model's exact scores. Without inputs the first weights stay. Deterministic by ``rng``.
    """
    first = _first(x.shape[1], y.shape[1], how.hidden, rng) if start is None else [*start.weights, *start.biases]
    adam = _Adam(first)
    weights, biases = adam.arrays[: len(first) // 2], adam.arrays[len(first) // 2 :]
    goal = _centred(np.log(np.maximum(y, 1e-30))) if how.logits else None
    order: IntArray = np.zeros(0, dtype=np.int64)
    for step in range(how.steps if len(x) else 0):
        if len(order) < min(how.batch, len(x)):
            order = rng.permutation(len(x))
        index, order = order[: how.batch], order[how.batch :]
        rows = x[index]
        if how.jitter:
            rows = rows + rng.normal(0.0, how.jitter, rows.shape)
        layers = _forward(rows, weights, biases)
        upstream = (softmax(layers[-1]) - y[index]) / len(index)
        if goal is not None:
            upstream += how.logits * (_centred(layers[-1]) - goal[index]) / len(index)
        rate = how.rate * (0.5 + 0.5 * np.cos(np.pi * step / how.steps)) + 1e-6
        adam.step(_backward(layers, upstream, weights, how.decay), float(rate))
    return MLP.of(weights, biases)


def _first(d: int, k: int, hidden: tuple[int, ...], rng: np.random.Generator) -> list[FloatArray]:
    """All weights, then all biases."""
    pairs = list(pairwise((d, *hidden, k)))
    return [*(rng.normal(0.0, np.sqrt(2.0 / m), (m, n)) for m, n in pairs), *(np.zeros(n) for _, n in pairs)]


def _centred(z: FloatArray) -> FloatArray:
    return np.asarray(z - z.mean(axis=1, keepdims=True))


def _forward(x: FloatArray, weights: list[FloatArray], biases: list[FloatArray]) -> list[FloatArray]:
    """The input, what every hidden layer puts out, and the logits."""
    layers = [x]
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        layers.append(np.maximum(layers[-1] @ w + b, 0.0))
    return [*layers, layers[-1] @ weights[-1] + biases[-1]]


def _backward(
    layers: list[FloatArray], upstream: FloatArray, weights: list[FloatArray], decay: float
) -> list[FloatArray]:
    """Gradients of the weights and then of the biases, layer by layer."""
    by_weight: list[FloatArray] = []
    by_bias: list[FloatArray] = []
    for number in range(len(weights) - 1, -1, -1):
        by_weight.append(layers[number].T @ upstream + decay * weights[number])
        by_bias.append(upstream.sum(axis=0))
        if number:
            upstream = (upstream @ weights[number].T) * (layers[number] > 0)
    return [*reversed(by_weight), *reversed(by_bias)]
