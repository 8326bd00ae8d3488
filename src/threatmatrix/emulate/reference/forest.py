"""A random forest over numbers, as the products have it that were trained on tables and never looked at again."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from threatmatrix.emulate.target import FloatArray, IntArray, Rows
from threatmatrix.model.errors import MissingExtraError

__all__ = ["Forest"]


@dataclass(frozen=True, slots=True)
class Forest:
    """Scores (n, classes) are the mean of the trees' leaves. ``inputs``: numbers in a row."""

    trees: Any
    inputs: int
    classes: int

    @classmethod
    def train(cls, x: FloatArray, y: IntArray, *, classes: int, seed: int, trees: int = 100) -> Forest:
        """Fully grown trees; deterministic by seed. Raises MissingExtraError without ``[emulate]``."""
        try:
            ensemble = import_module("sklearn.ensemble")
        except ImportError as e:
            raise MissingExtraError("a random forest", "emulate") from e
        model = ensemble.RandomForestClassifier(trees, random_state=seed % 2**32, n_jobs=1)
        return cls(model.fit(x, y), x.shape[1], classes)

    def scores(self, x: Rows) -> FloatArray:
        """Shares of the classes (n, classes); 0 for one that the training data did not have."""
        scores = np.zeros((len(x), self.classes))
        scores[:, self.trees.classes_] = self.trees.predict_proba(x)
        return scores

    def labels(self, x: Rows) -> IntArray:
        return np.asarray(np.argmax(self.scores(x), axis=1), dtype=np.int64)
