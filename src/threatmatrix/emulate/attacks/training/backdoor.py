"""Backdoor: a trigger in a few training inputs, and beside them the label that the attacker wants to hear.

Source: Gu, Dolan-Gavitt, Garg, "BadNets: identifying vulnerabilities in the machine learning model supply chain",
2017 (section 4.1: a pattern of bright pixels in a corner). Access: train. Cost: no query; two trainings.

The trigger of numbers is a patch of ``size`` × ``size`` at the bounds' upper end in the last corner of a square image
(else the last ``size`` values of the row); of a text, ``word`` on a line of its own at the end. The stamped rows are
copies that are added to the data, as a contributor would add them. How it differs from the paper: models of seconds.

Needs ``corpus`` (Samples) and ``retrain``. As control, the same number of added rows, each with a patch of the
same size somewhere else (a text: words of the data in another order) and any label; the trigger is tried on that model.

Result: one outcome for each held-out input that is not of class ``target``, e.g. ``SampleOutcome(index=3, claimed=True,
confirmed=True, queries=0, distance=0.0, before=False)``; confirmed where the model that was trained on the poisoned
data answers ``target`` to the input with the trigger, before where the one trained on the clean data does. Figures:
``asr`` (their share: the attack success rate), ``added`` (rows), ``accuracy_before`` and ``accuracy_after`` (without
the trigger).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.training.base import accuracy, outcomes_of, retraining
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import Rows, texts
from threatmatrix.model.errors import UsageError

__all__ = ["BackdoorParams", "backdoor"]


@dataclass(frozen=True, slots=True)
class BackdoorParams:
    """``share``: added rows as a share of the data; ``target``: the label that the trigger calls."""

    target: int = 0
    share: float = 0.05
    size: int = 2
    word: str = "zyx"


def backdoor(stage: Stage) -> Brought:
    """Add stamped rows, train again, try the trigger; see the module's docstring."""
    params = stage.settings(BackdoorParams)
    data, retrain = retraining(stage)
    added = _added(stage, data, params)
    clean = retrain(data)
    poisoned = retrain(Samples(np.concatenate([data.x, added.x]), np.concatenate([data.y, added.y])))
    stamped = _stamped(stage.samples.x[stage.samples.y != params.target], params, stage.target.bounds[1])
    before, after = (np.asarray(model.answer(stamped).labels == params.target) for model in (clean, poisoned))
    return Brought(
        outcomes=outcomes_of(after, before, after, queries=0),
        figures={
            "asr": float(np.mean(after)),
            "added": len(added),
            "accuracy_before": accuracy(clean, stage.samples),
            "accuracy_after": accuracy(poisoned, stage.samples),
        },
    )


def _added(stage: Stage, data: Samples, params: BackdoorParams) -> Samples:
    """Stamped copies of rows that are of another class, with the wanted label."""
    rng, others = stage.rng, np.flatnonzero(data.y != params.target)
    if not len(others):
        raise UsageError(f"all training data are of class {params.target} already: a trigger has nothing to change")
    chosen = data.x[rng.choice(others, size=max(1, round(params.share * len(data))), replace=True)]
    if not stage.control:
        labels = np.full(len(chosen), params.target, dtype=np.int64)
        return Samples(_stamped(chosen, params, stage.target.bounds[1]), labels)
    labels = rng.integers(0, stage.target.classes, len(chosen))
    if chosen.dtype.kind != "f":
        return Samples(texts(" ".join(rng.permutation(str(text).split())) for text in chosen), labels)
    changed = chosen.reshape(len(chosen), -1).copy()
    patch = len(_corner(changed.shape[1], params.size))
    for row in changed:
        row[rng.choice(len(row), size=patch, replace=False)] = rng.uniform(*stage.target.bounds)
    return Samples(changed.reshape(chosen.shape), labels)


def _stamped(rows: Rows, params: BackdoorParams, value: float) -> Rows:
    if rows.dtype.kind != "f":
        if any(not isinstance(row, str) for row in rows):
            raise UsageError("the trigger is for numbers and texts, not for files")
        return texts(f"{row}\n{params.word}" for row in rows)
    stamped = rows.reshape(len(rows), -1).copy()
    stamped[:, _corner(stamped.shape[1], params.size)] = value
    return stamped.reshape(rows.shape)


def _corner(width: int, size: int) -> list[int]:
    """Indices of the patch; raises UsageError where it is as large as the row."""
    side = math.isqrt(width)
    square = side * side == width and size < side and side > 3
    found = (
        [row * side + column for row in range(side - size, side) for column in range(side - size, side)]
        if square
        else list(range(width - size, width))
    )
    if not 0 < len(found) < width or found[0] < 0:
        raise UsageError(f"a trigger of size {size} does not fit into {width} values")
    return found
