"""Comparison models of the attacker's own: trained like the target, as far as one knows how.

Source: Shokri, Stronati, Song, Shmatikov, "Membership inference attacks against machine learning models", 2017
(section 5, shadow models). Access: none, they run on the attacker's machine. Cost: no query.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol

import numpy as np

from threatmatrix.emulate.attacks.extraction.trainer import Training, train_mlp
from threatmatrix.emulate.attacks.privacy.records import PUBLIC, BoolArray
from threatmatrix.emulate.stage import Samples, Stage
from threatmatrix.emulate.target import FloatArray, IntArray
from threatmatrix.model.errors import MissingExtraError, UnknownNameError

__all__ = ["SHADOWS", "Shadow", "comparison", "train_shadow"]

SHADOWS = ("mlp", "forest")


class Shadow(Protocol):
    """All that is asked of one."""

    def scores(self, x: FloatArray) -> FloatArray: ...


class _Forest:
    def __init__(self, x: FloatArray, y: IntArray, classes: int, seed: int) -> None:
        try:
            ensemble = import_module("sklearn.ensemble")
        except ImportError as e:
            raise MissingExtraError("shadow models of the kind forest", "emulate") from e
        self.model = ensemble.RandomForestClassifier(100, random_state=seed, n_jobs=1).fit(x, y)
        self.classes = classes

    def scores(self, x: FloatArray) -> FloatArray:
        scores = np.zeros((len(x), self.classes))
        scores[:, self.model.classes_] = self.model.predict_proba(x)
        return scores


def train_shadow(kind: str, x: FloatArray, y: IntArray, classes: int, rng: np.random.Generator) -> Shadow:
    """Train one on n records; raises UnknownNameError for a kind that there is not."""
    if kind == "forest":
        return _Forest(x, y, classes, int(rng.integers(2**31)))
    if kind == "mlp":
        return train_mlp(x, np.eye(classes)[y], Training(steps=600), rng)
    raise UnknownNameError("kind of shadow model", kind, SHADOWS)


def comparison(stage: Stage, kind: str, models: int, records: Samples) -> tuple[BoolArray, list[Shadow]]:
    """Models, each trained on a random half of the records in question and of ``public`` ones.

    With them: (models, records), whether a model learned from a record; every record is in half of the models.
    """
    own = stage.held.get(PUBLIC)
    x, y = records.x, records.y
    if isinstance(own, Samples):
        x, y = np.concatenate([x, own.x]), np.concatenate([y, own.y])
    order = np.argsort(stage.rng.random((models, len(x))), axis=0)
    inside = np.asarray(order < models // 2)
    classes = stage.target.classes
    return inside[:, : len(records)], [train_shadow(kind, x[half], y[half], classes, stage.rng) for half in inside]
