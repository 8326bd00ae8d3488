"""Clean-label poisoning: training inputs with right labels, moved a little towards the inputs that shall be mistaken.

Source: Shafahi et al., "Poison frogs! Targeted clean-label poisoning attacks on neural networks", 2018 (section 3.2:
several poisons, overlaid with the target at low opacity). Access: train. Cost: no query; one training for each group of
inputs, and one on the clean data. How it differs from the paper: the collision is sought among the inputs themselves,
not among the features of a network that the attacker would have to hold, and the whole model is trained again.

Each input to be mistaken gets ``each`` poisons: rows of class ``target`` that are nearest to it are copied, moved so
far towards it as ``reach`` (the largest change of a value) allows, and added with their own, right label. To spare
trainings, ``together`` inputs share one. As control, the same rows are moved as far in directions by chance.

Needs ``corpus`` (Samples of numbers) and ``retrain``. Result: one outcome for each held-out input of class ``source``,
e.g.
``SampleOutcome(index=3, claimed=True, confirmed=True, queries=0, distance=0.0, before=False)``; confirmed where
the model that was trained with its poisons says ``target``. Figures: ``asr``, ``poisons`` (in one training),
``moved`` (mean largest change of a value), ``accuracy_before``, ``accuracy_after`` (mean over the trainings).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.training.base import accuracy, aims, outcomes_of, retraining
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import FloatArray, IntArray
from threatmatrix.model.errors import UsageError

__all__ = ["CleanLabelParams", "clean_label"]


@dataclass(frozen=True, slots=True)
class CleanLabelParams:
    """``source`` -1: inputs of each class; ``target`` -1: the class whose training data come nearest to the input."""

    source: int = -1
    target: int = -1
    each: int = 30
    reach: float = 0.3
    together: int = 1


def clean_label(stage: Stage) -> Brought:
    """Poison, train again, ask; see the module's docstring."""
    params = stage.settings(CleanLabelParams)
    data, retrain = retraining(stage)
    if data.x.dtype.kind != "f":
        raise UsageError("clean-label poisoning moves numbers; the training data are texts or files")
    clean = retrain(data)
    of, wanted = _aims(stage, data, params)
    units = stage.samples.x[of]
    before, after = np.asarray(clean.answer(units).labels == wanted), np.zeros(len(units), dtype=np.bool_)
    right, moved = [], []
    size = max(1, params.together)
    for start in range(0, len(units), size):
        group = slice(start, start + size)
        poisons, far = _poisons(stage, data, Samples(units[group], wanted[group]), params)
        model = retrain(Samples(np.concatenate([data.x, poisons.x]), np.concatenate([data.y, poisons.y])))
        after[group] = model.answer(units[group]).labels == wanted[group]
        right.append(accuracy(model, stage.samples))
        moved.append(far)
    return Brought(
        outcomes=outcomes_of(after, before, after, queries=0),
        figures={
            "asr": float(np.mean(after)),
            "poisons": params.each * min(len(units), size),
            "moved": float(np.mean(moved)),
            "accuracy_before": accuracy(clean, stage.samples),
            "accuracy_after": float(np.mean(right)),
        },
    )


def _aims(stage: Stage, data: Samples, params: CleanLabelParams) -> tuple[IntArray, IntArray]:
    """Which inputs, and for what they shall be mistaken."""
    y, classes = stage.samples.y, stage.target.classes
    if params.target >= 0:
        return aims(y, params.source, params.target, classes)
    of = np.flatnonzero((y == params.source) | (params.source < 0))
    away = np.full((len(of), classes), np.inf)
    for label in np.unique(data.y):
        own = data.x[data.y == label]
        for row, unit in enumerate(stage.samples.x[of]):
            away[row, label] = np.sort(np.linalg.norm((own - unit).reshape(len(own), -1), axis=1))[: params.each].mean()
    away[np.arange(len(of)), y[of]] = np.inf
    other = np.isfinite(away).any(axis=1)  # data of one class only: there is nothing else to be mistaken for
    return of[other], np.argmin(away[other], axis=1).astype(np.int64)


def _poisons(stage: Stage, data: Samples, group: Samples, params: CleanLabelParams) -> tuple[Samples, float]:
    """The poisons of a group with their right labels, and the mean of their largest changes."""
    made: list[FloatArray] = []
    far: list[float] = []
    for unit, label in zip(group.x, group.y, strict=True):
        own = data.x[data.y == label]
        away = np.linalg.norm((own - unit).reshape(len(own), -1), axis=1)
        near = own[np.resize(np.argsort(away, kind="stable")[: params.each], params.each)]
        step = np.clip(unit - near, -params.reach, params.reach)
        if stage.control:
            step = stage.rng.permuted(step.reshape(len(step), -1), axis=1).reshape(step.shape)
            step = step * stage.rng.choice([-1.0, 1.0], step.shape)
        made.append(np.clip(near + step, *stage.target.bounds))
        far.append(float(np.mean(np.max(np.abs(made[-1] - near).reshape(len(near), -1), axis=1))))
    return Samples(np.concatenate(made), np.repeat(group.y, params.each)), float(np.mean(far))
