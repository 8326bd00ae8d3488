"""Train a stand-in on public data: the target's labels are known, its answers are not needed.

Source: MITRE ATLAS AML.T0005 and AML.CS0012 (a model trained on public faces, on which a patch is computed); Liu et
al., "Delving into transferable adversarial examples", 2017 (stand-ins of unlike architecture). Access: none; what
each label stands for was learnt before. Cost: none; the judge asks once for each sample.

Needs ``public`` (inputs, with the attacker's own numbers) and ``label_names`` (the target's label → such a number), as
``enumerate_labels`` brings them. Things without a label help the projection of the model ``fisher`` and are left out
for ``mlp``. Holds ``surrogate``. Figures: ``fidelity`` (agreement with the target on the samples), ``accuracy``.

Result of one sample, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=0, distance=0.0)``: confirmed
where the stand-in says what the target says. Control: the labels are handed out to the things by lot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.extraction.fisher import FisherModel, train_fisher
from threatmatrix.emulate.attacks.extraction.trainer import Training, train_mlp
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import FloatArray, IntArray
from threatmatrix.model.errors import UsageError
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["StandInParams", "train_stand_in"]

MODELS = ("fisher", "mlp")


@dataclass(frozen=True, slots=True)
class StandInParams:
    """``model``: fisher or mlp; the others are of the mlp: hidden units, steps, noise on its inputs."""

    model: str = "fisher"
    hidden: int = 96
    steps: int = 400
    jitter: float = 0.1


def train_stand_in(stage: Stage) -> Brought:
    """Train on what is public; holds the ``surrogate``."""
    how = stage.settings(StandInParams)
    if how.model not in MODELS:
        raise UsageError(f"no stand-in {how.model!r}", hint=f"One of {', '.join(MODELS)}")
    public, names = stage.take("public", Samples), stage.take("label_names", dict)
    y = _labels(public.y, names, stage.target.classes)
    if stage.control:
        by_lot = stage.rng.permutation(stage.target.classes)
        y = np.where(y < len(by_lot), by_lot[np.minimum(y, len(by_lot) - 1)], y)
    x = np.asarray(public.x, dtype=np.float64)
    model: FisherModel | MLP = (
        train_fisher(x, y, stage.target.classes) if how.model == "fisher" else _perceptron(x, y, stage, how)
    )
    theirs, ours = stage.judge.labels(stage.samples.x), model.labels(stage.samples.x)
    outcomes = tuple(
        SampleOutcome(index=i, claimed=True, confirmed=bool(a == b), queries=0, distance=0.0)
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True))
    )
    figures = {"fidelity": float(np.mean(ours == theirs)), "accuracy": float(np.mean(ours == stage.samples.y))}
    return Brought(outcomes=outcomes, holds={"surrogate": model}, figures=figures)


def _labels(things: IntArray, names: dict[int, int], classes: int) -> IntArray:
    """The target's label of each thing; those that have none get numbers beyond its classes."""
    label_of = {thing: label for label, thing in names.items()}
    if not label_of:
        raise UsageError("no label was linked with anything", hint="Enumerate the labels with more queries first")
    return np.array([label_of.get(int(thing), classes + int(thing)) for thing in things], dtype=np.int64)


def _perceptron(x: FloatArray, y: IntArray, stage: Stage, how: StandInParams) -> MLP:
    own = y < stage.target.classes
    middle = float(np.mean(stage.target.bounds))
    training = Training(hidden=(how.hidden,), steps=how.steps, jitter=how.jitter)
    model = train_mlp(2.0 * (x[own] - middle), np.eye(stage.target.classes)[y[own]], training, stage.rng)
    first = 2.0 * model.weights[0]  # it learnt from inputs around zero, and is asked about plain ones
    return MLP.of((first, *model.weights[1:]), (model.biases[0] - middle * first.sum(axis=0), *model.biases[1:]))
