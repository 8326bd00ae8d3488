"""Equation solving: a linear model's weights from its scores, one linear equation for each of them.

Source: Tramèr, Zhang, Juels, Reiter, Ristenpart, "Stealing machine learning models via prediction APIs", 2016
(sections 4.1 and 4.1.2, logistic and softmax regression). Access: score. Cost: the procedure's budget; d + 1 queries
with exact scores give the weights of a linear model up to rounding errors, whatever number of classes it has.

The logarithms of a softmax's answers are its logits but for a constant in each row, so that the centred logarithms are
linear in the input: least squares solve them at once. Where the scores are rounded, or there are labels only, that
fails, and the copy is the softmax regression that explains the answers best, as in the paper. Unlike there the random
inputs follow a power law (``u ** power`` between the bounds), which saturates the softmax less than uniform ones do.

Holds ``surrogate``. Figures as for ``in_distribution`` (sources.py), and ``residual``: how far the copy's scores are
from the bought ones, root mean square; far above 0 where the target is no linear model. Result of one held-out input,
e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=1, distance=0.0)``. Control: the same queries, and
the answers handed out by lot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.extraction.stealing import Booty, Purchase, drawn, judged, supply
from threatmatrix.emulate.attacks.extraction.trainer import Training, train_mlp
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import FloatArray

__all__ = ["EquationParams", "equation_solving"]


@dataclass(frozen=True, slots=True)
class EquationParams:
    """Of the queries and, where the scores are no exact ones, of the regression."""

    power: float = 3.0  # 1: uniform between the bounds
    rows: int = 32
    rate: float = 3e-2
    steps: int = 2000


def equation_solving(stage: Stage) -> Brought:
    """Steal a linear model; see the module's docstring."""
    params = stage.settings(EquationParams)
    data = supply(stage)
    purchase = Purchase(stage, params.rows)
    purchase.buy(drawn(stage, stage.budget, params.power))
    booty = purchase.booty()
    regression = Training(hidden=(), steps=params.steps, rate=params.rate, decay=0.0)
    copy = _solved(booty) if booty.exact else train_mlp(booty.x, booty.answers, regression, stage.rng)
    brought = judged(stage, copy, purchase, data)
    residual = float(np.sqrt(np.sum((copy.scores(booty.x) - booty.answers) ** 2) / max(1, booty.answers.size)))
    return Brought(outcomes=brought.outcomes, holds=brought.holds, figures={**brought.figures, "residual": residual})


def _model(solution: FloatArray) -> MLP:
    """From (d + 1, k): the weights and, in the last row, the biases."""
    return MLP.of([solution[:-1]], [solution[-1]])


def _solved(booty: Booty) -> MLP:
    """Least squares on the centred logarithms."""
    logarithms = np.log(booty.answers)
    logits = logarithms - logarithms.mean(axis=1, keepdims=True)
    equations = np.column_stack([booty.x, np.ones(len(booty.x))])
    return _model(np.linalg.lstsq(equations, logits, rcond=None)[0])
