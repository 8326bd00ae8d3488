"""JbDA: grow a few inputs into a training set along the copy's own Jacobian, and ask about what grew.

Source: Papernot, McDaniel, Goodfellow, Jha, Celik, Swami, "Practical black-box attacks against machine learning", 2017
(section 4, algorithm 1, with the alternating step of section 5 and reservoir sampling). Access: label. Cost: the
procedure's budget: the first ``seeds`` inputs are the attacker's own, and each round asks about as many new ones as it
has, up to ``growth``. Unlike in the paper a round goes on from the copy of the last one, and the last copy is trained
afresh on everything.

Holds, figures, result record and control as for ``in_distribution`` (sources.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.extraction.stealing import Purchase, fit, judged, supply
from threatmatrix.emulate.attacks.extraction.trainer import Training
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import FloatArray

__all__ = ["JacobianParams", "jacobian_augmentation"]


@dataclass(frozen=True, slots=True)
class JacobianParams:
    """Of the rounds and of the copy."""

    seeds: int = 100
    growth: int = 200  # new inputs in one round, at most
    step: float = 0.1  # along the sign of the gradient, as a share of the bounds' width
    turn: int = 3  # rounds after which the step changes its sign
    rows: int = 50
    hidden: int = 128
    round_steps: int = 300
    steps: int = 2000


def jacobian_augmentation(stage: Stage) -> Brought:
    """Steal by inputs that grow from round to round; see the module's docstring."""
    params = stage.settings(JacobianParams)
    data = supply(stage)
    own = data.own
    purchase = Purchase(stage, params.rows)
    purchase.buy(own[stage.rng.permutation(len(own))[: params.seeds]])
    copy: MLP | None = None
    for turn in range(10_000):
        if not purchase.left or purchase.refused:
            break
        short = Training(hidden=(params.hidden,), steps=params.round_steps)
        booty = purchase.booty()
        copy = fit(booty, short, stage.rng, start=copy)
        step = params.step if turn // params.turn % 2 == 0 else -params.step
        chosen = stage.rng.permutation(len(booty.x))[: params.growth]
        purchase.buy(_grown(copy, booty.x[chosen], np.argmax(booty.answers[chosen], axis=1), step, stage))
    copy = fit(purchase.booty(), Training(hidden=(params.hidden,), steps=params.steps), stage.rng)
    return judged(stage, copy, purchase, data)


def _grown(copy: MLP, x: FloatArray, labels: FloatArray, step: float, stage: Stage) -> FloatArray:
    """Each input, moved by the sign of the derivative of the copy's output for the target's label."""
    low, high = stage.target.bounds
    gradient = copy.input_gradient(x, np.eye(copy.classes)[labels])
    return np.asarray(np.clip(x + step * (high - low) * np.sign(gradient), low, high))
