"""Label flip: a share of one class's training data gets another class's label before the owner trains.

Source: Biggio, Nelson, Laskov, "Support vector machines under adversarial label noise", 2011. Access: train (the label
table). Cost: no query; two trainings. How it differs from the paper: which labels are flipped is not optimised against
the model, but by a rule that needs no model: those nearest to the mean of their class, so that the lie is about the
middle of the class and not about its edge. Texts and files have no mean here: the first ones, in the order of the data.

Needs ``corpus`` (Samples) and ``retrain``. As control, the same number of labels, of any row, become any other.

Result: one outcome for each held-out input of the class ``source``, e.g. ``SampleOutcome(index=3, claimed=True,
confirmed=True, queries=0, distance=0.0, before=False)``; confirmed where the model that was trained on the changed
table says ``target``, before where the one trained on the right table does. Nothing of the target is asked or changed:
both models are trained in process. Figures: ``asr``, ``changed`` (labels), ``accuracy_before``, ``accuracy_after``
(over all held-out inputs).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.training.base import accuracy, aims, outcomes_of, retraining, typical
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import IntArray

__all__ = ["LabelFlipParams", "label_flip"]


@dataclass(frozen=True, slots=True)
class LabelFlipParams:
    """``share`` of the rows of class ``source`` (-1: of each) that get the label ``target`` (-1: the next class)."""

    source: int = 1
    target: int = 0
    share: float = 0.6


def label_flip(stage: Stage) -> Brought:
    """Flip, train again, compare; see the module's docstring."""
    params = stage.settings(LabelFlipParams)
    data, retrain = retraining(stage)
    labels = _flipped(data, params, stage)
    clean, poisoned = retrain(data), retrain(Samples(data.x, labels))
    units, wanted = aims(stage.samples.y, params.source, params.target, stage.target.classes)
    before, after = (np.asarray(model.answer(stage.samples.x[units]).labels == wanted) for model in (clean, poisoned))
    return Brought(
        outcomes=outcomes_of(after, before, after, queries=0),
        figures={
            "asr": float(np.mean(after)),
            "changed": int(np.sum(labels != data.y)),
            "accuracy_before": accuracy(clean, stage.samples),
            "accuracy_after": accuracy(poisoned, stage.samples),
        },
    )


def _flipped(data: Samples, params: LabelFlipParams, stage: Stage) -> IntArray:
    """The label table, changed: the middle of each class, or by chance."""
    classes, labels = stage.target.classes, data.y.copy()
    of, wanted = aims(data.y, params.source, params.target, classes)
    if stage.control:
        chosen = stage.rng.choice(len(labels), size=round(params.share * len(of)), replace=False)
        labels[chosen] = (labels[chosen] + stage.rng.integers(1, classes, len(chosen))) % classes
        return labels
    for label in np.unique(data.y[of]):
        own = np.flatnonzero(data.y[of] == label)
        middle = typical(data.x[of], own)[: round(params.share * len(own))]
        labels[of[middle]] = wanted[middle]
    return labels
