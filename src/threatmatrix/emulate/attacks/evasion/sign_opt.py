"""Sign-OPT: descend the distance to the boundary, of which single queries tell the sign of the slope.

Source: Cheng, Singh, Chen, Chen, Liu, Hsieh, "Sign-OPT: A Query-Efficient Hard-label Adversarial Attack", 2020
(algorithm 1), untargeted; the norm is the procedure's, the distance itself is L2. Access: label. Cost: one query for
each direction of an estimate, one request for all of them, and a few for each step, at most the sample's budget. It
differs from the paper:

- directions come from the lower frequencies where the input is a square image;
- a step is tried in shrinking sizes by one query each, at a distance a little below the one reached; only then is the
  new distance searched;
- after each step it asks for the outermost point within the norm in the same direction, and once more before it
  claims success.

Result of one sample, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=131, distance=0.999999,
refused=False, before=False)``.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import AttackSteps, Attempt, Query, Reply, Setting, parse_params, unit
from threatmatrix.emulate.attacks.evasion.walk import Start, Walk
from threatmatrix.emulate.target import FloatArray

__all__ = ["SignOPTParams", "sign_opt"]


@dataclass(frozen=True, slots=True)
class SignOPTParams:
    """Of the estimate and the steps."""

    directions: int = 30  # of one estimate
    turn: float = 0.2  # how far a direction of the estimate turns from the one reached (tangent of the angle)
    step: float = 1.0  # the first step along the estimate (tangent of the angle)
    nearer: float = 0.97  # a step counts that is adversarial at this share of the distance
    frequencies: float = 0.7  # share of the cosine basis
    tolerance: float = 0.02
    start: int = 2  # 0: noise; 1: the attacker's own images; 2: rays
    start_tries: int = 25


def sign_opt(attempt: Attempt, setting: Setting) -> AttackSteps:
    """Yield the queries of one attempt; see the module's docstring."""
    params = parse_params(SignOPTParams, setting.params)
    walk = Walk(attempt, setting, Start(params.start, params.start_tries, params.tolerance))
    start = yield from walk.start()
    if start is None:
        return
    point, _ = yield from walk.approach(start)
    while True:
        if walk.inside(point) and (yield from walk.reached(point)):
            return
        slope = yield from _slope(walk, params, point)
        if slope is None:
            return
        moved = yield from _step(walk, params, point, slope)
        if moved is None:
            continue
        if not walk.inside(moved) and (yield from walk.reached(moved)):
            return
        point, _ = yield from walk.approach(moved)


def _turned(walk: Walk, point: FloatArray, by: FloatArray, share: float = 1.0) -> FloatArray:
    """Points (n, d) at a share of the point's distance, in its direction turned by tangents (n, d)."""
    away = point - walk.attempt.x
    length = float(np.linalg.norm(away)) * share
    return walk.ball.clip(walk.attempt.x + unit(unit(away) + by) * length)


def _slope(walk: Walk, params: SignOPTParams, point: FloatArray) -> Generator[Query, Reply, FloatArray | None]:
    """The direction in which the boundary comes nearer: the mean of signed directions."""
    n = min(params.directions, walk.attempt.rows_left(False) - 3)
    if n < 1:
        return None
    turn = params.turn * walk.setting.spread

    def draw() -> FloatArray:
        return _turned(walk, point, turn * walk.draw(n, params.frequencies))

    reply = yield Query(draw(), repeat=False, redraw=draw if walk.setting.redraws else None)
    signs = np.where(reply.labels != walk.attempt.y, 1.0, -1.0)
    if abs(signs.mean()) < 1:
        signs = signs - signs.mean()
    out = unit(point - walk.attempt.x)
    turns = reply.rows - point
    turns = unit(turns - (turns @ out)[:, None] * out)
    return unit((signs[:, None] * turns).mean(axis=0))


def _step(
    walk: Walk, params: SignOPTParams, point: FloatArray, slope: FloatArray
) -> Generator[Query, Reply, FloatArray | None]:
    """A point nearer to the sample, or None where no step reaches one."""
    size = params.step
    for _ in range(6):
        moved = _turned(walk, point, size * slope, params.nearer)
        if (yield from walk.adversarial(moved)):
            return moved
        size /= 2
    return None
