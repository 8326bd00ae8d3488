"""Boundary attack: a random walk on the wrong side of the decision boundary, towards the sample.

Source: Brendel, Rauber, Bethge, "Decision-Based Adversarial Attacks: Reliable Attacks Against Black-Box Machine
Learning Models", 2018 (section 2, algorithm 1), untargeted; the norm is the procedure's, the walk itself is L2. Access:
label. Cost: one query for each proposal and for each look at the norm, at most the sample's budget. It differs from
the paper:

- it begins with a binary search to the boundary, and directions come from the lower frequencies where the input is
  a square image (Brunner et al., "Guessing Smart", 2019);
- one proposal is both steps, sideways and inwards; the size of either follows from the share of the last proposals
  that stayed adversarial: sideways is learned from every fifth proposal, which is a sideways step alone;
- after some accepted proposals it asks for the outermost point within the norm in the same direction, and once more
  before it claims success.

Result of one sample, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=212, distance=0.999999,
refused=False, before=False)``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import AttackSteps, Attempt, Setting, parse_params, unit
from threatmatrix.emulate.attacks.evasion.walk import Start, Walk
from threatmatrix.emulate.target import FloatArray

__all__ = ["BoundaryParams", "boundary"]

REMEMBERED = 10
"""A step's size follows from so many of its last proposals."""


@dataclass(frozen=True, slots=True)
class BoundaryParams:
    """Step sizes are shares of the distance reached."""

    sideways: float = 0.3  # at first
    inwards: float = 0.1  # at first
    look_every: int = 5  # accepted proposals between two looks at the norm
    frequencies: float = 0.7  # share of the cosine basis
    tolerance: float = 0.05
    start: int = 2  # 0: noise, as in the paper; 1: the attacker's own images; 2: rays
    start_tries: int = 25


def boundary(attempt: Attempt, setting: Setting) -> AttackSteps:
    """Yield the queries of one attempt; see the module's docstring."""
    params = parse_params(BoundaryParams, setting.params)
    walk = Walk(attempt, setting, Start(params.start, params.start_tries, params.tolerance))
    start = yield from walk.start()
    if start is None:
        return
    point, _ = yield from walk.approach(start)
    sideways = _Size(params.sideways * setting.spread, aim=0.5, most=1.0)
    inwards = _Size(params.inwards, aim=0.25, most=0.5)
    accepted, proposals = 0, 0
    while True:
        if walk.inside(point) or accepted >= params.look_every:
            accepted = 0
            if (yield from walk.reached(point)):
                return
        proposals += 1
        alone = proposals % 5 == 0

        def draw(here: FloatArray = point, share: float = 0.0 if alone else inwards.value) -> FloatArray:
            return _proposal(walk, here, sideways.value, share, params.frequencies)

        flipped = yield from walk.adversarial(draw(), draw)
        (sideways if alone else inwards).learn(flipped)
        if flipped:
            point = walk.asked
            accepted += not alone


def _proposal(walk: Walk, point: FloatArray, sideways: float, inwards: float, frequencies: float) -> FloatArray:
    """A step along the sphere around the sample, then one towards it."""
    x, away = walk.attempt.x, point - walk.attempt.x
    length, out = float(np.linalg.norm(away)), unit(away)
    drawn = walk.draw(1, frequencies)[0]
    along = unit(drawn - (drawn @ out) * out)
    turned = x + unit(away + sideways * length * along) * length
    return walk.ball.clip(x + (turned - x) * (1 - inwards))


class _Size:
    """A step's size: larger where more of its proposals stay adversarial than it aims at, else smaller."""

    def __init__(self, value: float, *, aim: float, most: float) -> None:
        self.value, self.aim, self.most = value, aim, most
        self.last: deque[bool] = deque(maxlen=REMEMBERED)

    def learn(self, stayed: bool) -> None:
        self.last.append(stayed)
        if len(self.last) == REMEMBERED:
            self.value = min(self.most, self.value * (1.3 if sum(self.last) / REMEMBERED > self.aim else 1 / 1.3))
            self.last.clear()
