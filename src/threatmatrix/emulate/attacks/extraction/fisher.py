"""Fisherfaces with a gradient: a model of the attacker's own that tells pictures of people apart.

Source: Belhumeur, Hespanha, Kriegman, "Eigenfaces vs. Fisherfaces: recognition using class specific linear
projection", 1997 (section 2.4). Access: none, it runs on the attacker's machine. Cost: no query. Instead of a
projection on principal components first, the scatter within classes is regularised, and pictures are compared by the
cosine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.target import FloatArray, IntArray

__all__ = ["FisherModel", "train_fisher"]

SHARPNESS = 20.0
"""Of the logits: what a cosine is worth."""


@dataclass(frozen=True, slots=True)
class FisherModel:
    """Inputs (n, d) → logits (n, classes): the cosine with each class's mean in the projection. Differentiable."""

    mean: FloatArray  # (d,)
    projection: FloatArray  # (d, dimensions)
    centres: FloatArray  # (classes, dimensions), zero for a class without examples

    @property
    def classes(self) -> int:
        return len(self.centres)

    def logits(self, x: FloatArray) -> FloatArray:
        """(n, d) → (n, classes)."""
        return np.asarray(SHARPNESS * _unit((_standard(x) - self.mean) @ self.projection) @ self.centres.T)

    def labels(self, x: FloatArray) -> IntArray:
        """The most likely class: (n, d) → (n,) int64."""
        return np.asarray(np.argmax(self.logits(x), axis=1), dtype=np.int64)

    def input_gradient(self, x: FloatArray, upstream: FloatArray) -> FloatArray:
        """Gradient of ``sum(logits * upstream)`` with respect to x: (n, d) and (n, classes) → (n, d)."""
        z = _standard(x)
        projected = (z - self.mean) @ self.projection
        g = _through_unit(projected, SHARPNESS * upstream @ self.centres) @ self.projection.T
        spread = np.maximum(x.std(axis=1, keepdims=True), 1e-6)
        return np.asarray((g - g.mean(axis=1, keepdims=True) - z * (g * z).mean(axis=1, keepdims=True)) / spread)


def train_fisher(
    x: FloatArray, y: IntArray, classes: int, *, dimensions: int = 24, shrinkage: float = 0.1
) -> FisherModel:
    """Learn from inputs (n, d) with labels (n,). A label of ``classes`` or more helps to learn what differs between
    people, and is never answered.
    """
    z = _standard(x)
    mean = z.mean(axis=0)
    known, row = np.unique(y, return_inverse=True)
    means = np.stack([z[y == label].mean(axis=0) for label in known])
    within = z - means[row]
    scatter = within.T @ within / len(z)
    scatter[np.diag_indices(len(scatter))] += shrinkage
    root = np.linalg.cholesky(scatter)
    _, _, axes = np.linalg.svd(np.linalg.solve(root, (means - mean).T).T, full_matrices=False)
    projection = np.linalg.solve(root.T, axes[:dimensions].T)
    centres = np.zeros((classes, projection.shape[1]))
    embedded = _unit((z - mean) @ projection)
    for label in known[known < classes]:
        centres[label] = embedded[y == label].mean(axis=0)
    return FisherModel(mean, projection, _unit(centres))


def _standard(x: FloatArray) -> FloatArray:
    """Each input with mean 0 and deviation 1."""
    return np.asarray((x - x.mean(axis=1, keepdims=True)) / np.maximum(x.std(axis=1, keepdims=True), 1e-6))


def _unit(v: FloatArray) -> FloatArray:
    return np.asarray(v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12))


def _through_unit(v: FloatArray, g: FloatArray) -> FloatArray:
    """The gradient before normalisation, of one after it."""
    length = np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12)
    direction = v / length
    return np.asarray((g - direction * (g * direction).sum(axis=1, keepdims=True)) / length)
