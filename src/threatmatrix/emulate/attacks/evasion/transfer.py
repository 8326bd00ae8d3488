"""Transfer: projected gradient descent on a model at hand, then one query on the target.

Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", 2018 (PGD);
Papernot, McDaniel, Goodfellow, "Transferability in Machine Learning", 2016. Access: file (the
weights of a base model that is publicly available). Cost: one query for each sample.

The gradient is that of the margin (best other class minus true class) in the base model's logits,
normalised and projected on the L2 ball or, for Linf, its sign and a clip. The last point has the
full threshold, as what transfers is confidence, not closeness.

Result of one sample, e.g. ``SampleOutcome(index=0, claimed=True, confirmed=True, queries=1,
distance=0.998, refused=False)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import EDGE, AttackSteps, Attempt, Query, Setting, parse_params, unit
from threatmatrix.emulate.target import Differentiable, FloatArray
from threatmatrix.model.errors import UsageError

__all__ = ["TransferParams", "pgd", "transfer"]


@dataclass(frozen=True, slots=True)
class TransferParams:
    """Of the gradient descent; the threshold is the procedure's."""

    steps: int = 100
    step: float = 0.1  # length of one step, as a share of the threshold


def transfer(attempt: Attempt, setting: Setting) -> AttackSteps:
    """Yield the one query of one attempt; raises UsageError without a base model."""
    if setting.surrogate is None:
        raise UsageError("transfer needs the base model's weights", hint="Hold one as 'surrogate'")
    params = parse_params(TransferParams, setting.params)
    point = pgd(setting.surrogate, attempt.x, attempt.y, setting, params)
    attempt.best = point
    reply = yield Query(point[None])
    attempt.claimed = bool(reply.labels[0] != attempt.y)


def pgd(model: Differentiable, x: FloatArray, y: int, setting: Setting, params: TransferParams) -> FloatArray:
    """The point (d,) within the threshold of x (d,) that is worst for the model's margin."""
    limit = setting.threshold * EDGE
    true = np.zeros((1, model.classes))
    true[0, y] = 1.0
    delta = np.zeros((1, len(x)))
    for _ in range(params.steps):
        other = np.argmax(model.logits(x + delta) - 1e12 * true, axis=1)
        upstream = np.eye(model.classes)[other] - true
        gradient = model.input_gradient(x + delta, upstream)
        if setting.norm == "linf":
            delta = np.clip(delta + params.step * limit * np.sign(gradient), -limit, limit)
        else:
            delta = delta + params.step * limit * unit(gradient)
            delta = delta * min(1.0, limit / max(float(np.linalg.norm(delta)), 1e-12))
        delta = np.clip(x + delta, *setting.bounds) - x
    return np.asarray((x + delta)[0])
