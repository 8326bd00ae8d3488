"""SimBA: one basis vector after the other, kept where the score of the true class falls.

Source: Guo, Gardner, You, Wilson, Weinberger, "Simple Black-box Adversarial Attacks", 2019 (algorithm 1, cosine
basis), L2 or Linf, untargeted. Access: score. Cost: one query for the sample, then one or two for each basis vector,
up to the sample's budget; it stops at the first misclassification. It differs from the paper:

- the steps are added up to a direction, and what is asked is the farthest point in that direction that the norm
  allows, not the sum itself: every query is a full attempt, and no step leaves the norm;
- it minimises the margin (true class minus the best other one, in logarithms), not the probability;
- low frequencies come rather first, in random order; once every vector was tried it goes round again, with steps that
  weigh less and less;
- for Linf a few low frequencies only set the signs, and then it goes value by value, of which only the sign is left to
  choose: one query each. So it does from the beginning where the width is no square image.

``adaptive-oars``, ``adaptive-wide``: the cosine basis for either norm, and each step weighs at least half of what was
there, so that successive queries stay apart. ``adaptive-heavy-tailed``: random heavy-tailed directions instead.

Result of one sample, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=19, distance=0.999999,
refused=False, before=False)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import AttackSteps, Attempt, Query, Setting, parse_params
from threatmatrix.emulate.attacks.evasion.ball import Ball, claim, directions, margins
from threatmatrix.emulate.attacks.evasion.cosines import Cosines
from threatmatrix.emulate.target import FloatArray

__all__ = ["SimBAParams", "simba"]


FIRST = 12
"""Linf: so many low frequencies come before the single values."""


@dataclass(frozen=True, slots=True)
class SimBAParams:
    """Which basis, and how large a step an attacker takes who spreads his queries."""

    basis: str = ""  # "cosines", "values", "": cosines for L2, a few cosines and then values for Linf
    wide_step: float = 0.5  # oars, wide: a step as a share of the whole so far


def simba(attempt: Attempt, setting: Setting) -> AttackSteps:
    """Yield the queries of one attempt; see the module's docstring."""
    params, ball = parse_params(SimBAParams, setting.params), Ball.of(attempt, setting)
    spread = params.wide_step if setting.spread > 1 else 0.0
    reply = yield Query(attempt.x[None])
    lowest = float(margins(reply.scores, attempt.y)[0])
    direction, vectors = np.zeros(len(attempt.x)), _vectors(attempt, setting, params)
    while True:
        vector, first = next(vectors), attempt.rng.choice([-1.0, 1.0])
        for sign in (first, -first):
            moved = [_step(direction, vector, sign, spread)]
            if np.array_equal(ball.outermost(moved[0]), attempt.best):
                continue  # a value that is there already

            def another(
                before: FloatArray = direction, sign: float = sign, moved: list[FloatArray] = moved
            ) -> FloatArray:
                moved[0] = _step(before, next(vectors), sign, spread)
                return ball.outermost(moved[0])[None]

            reply = yield Query(ball.outermost(moved[0])[None], redraw=another if setting.redraws else None)
            point, margin = ball.outermost(moved[0]), float(margins(reply.scores, attempt.y)[0])
            if reply.labels[0] != attempt.y and (yield from claim(attempt, setting, point)):
                return
            if margin < lowest:
                direction, lowest, attempt.best = moved[0], margin, point
                break


def _step(direction: FloatArray, vector: FloatArray, sign: float, spread: float) -> FloatArray:
    """The direction with one more step. Along a single value the step replaces its sign, which is all it has."""
    if np.count_nonzero(vector) == 1:
        return np.where(vector != 0, sign, np.sign(direction))
    return direction + sign * max(1.0, spread * float(np.linalg.norm(direction))) * vector


def _vectors(attempt: Attempt, setting: Setting, params: SimBAParams) -> Iterator[FloatArray]:
    """Unit vectors (d,), without end."""
    width = len(attempt.x)
    cosines = Cosines.of(0 if params.basis == "values" else width)
    only_first = params.basis == "" and setting.norm == "linf" and setting.spread == 1
    first = FIRST if only_first else None
    while setting.draws != "gaussian":
        yield directions(attempt, 1, setting.draws)[0]
    while cosines.side:
        yield from (cosines.vector(number) for number in cosines.low_first(attempt.rng)[:first])
        if first is not None:
            break
    while True:
        yield from (np.eye(1, width, int(at))[0] for at in attempt.rng.permutation(width))
