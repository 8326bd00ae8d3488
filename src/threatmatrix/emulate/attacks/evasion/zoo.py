"""ZOO: the scores' slope in one coordinate at a time, and Adam on what is known of it.

Source: Chen, Zhang, Sharma, Yi, Hsieh, "ZOO: Zeroth Order Optimization based Black-box Attacks to Deep Neural
Networks without Training Substitute Models", 2017 (algorithms 1 and 2: ZOO-ADAM), L2 or Linf, untargeted. Access:
score. Cost: ``1 + 2 * coordinates`` rows for each step in one request, at most the sample's budget; it stops at the
first misclassification. It differs from the paper:

- the norm is the goal and not part of the loss: each step is brought back into the ball, so there is no search
  for the constant that weighs distance against success;
- the point reached travels in the same request as the next pairs, and is asked where the norm ends;
- coordinates are those of the cosine basis, low frequencies rather first, where the input is a square image: the
  counterpart of the paper's smaller attack space; each is taken once before any is taken again.

``adaptive-heavy-tailed`` changes nothing here: what is drawn is a coordinate. A refused batch is drawn again.

Result of one sample, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=34, distance=0.999999,
refused=False, before=False)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import AttackSteps, Attempt, Query, Setting, parse_params
from threatmatrix.emulate.attacks.evasion.ball import Ball, claim_within, margins
from threatmatrix.emulate.attacks.evasion.cosines import Cosines
from threatmatrix.emulate.target import FloatArray

__all__ = ["ZOOParams", "zoo"]


@dataclass(frozen=True, slots=True)
class ZOOParams:
    """Of the differences, and of Adam."""

    coordinates: int = 4  # pairs for each step
    difference: float = 0.3  # half the way between the two of a pair, as a share of the threshold's L2 length
    rate: float = 0.2  # Adam's, as a share of the same length
    beta1: float = 0.9
    beta2: float = 0.999


def zoo(attempt: Attempt, setting: Setting) -> AttackSteps:
    """Yield the queries of one attempt; see the module's docstring."""
    search = _Search(attempt, setting, parse_params(ZOOParams, setting.params))
    ball, lowest = search.ball, np.inf
    while (pairs := min(search.params.coordinates, (attempt.rows_left(False) - 1) // 2)) > 0:
        point = ball.outermost(search.delta) if search.delta.any() else attempt.x

        def draw(point: FloatArray = point, pairs: int = pairs) -> FloatArray:
            search.choose(pairs)
            ways = search.half * search.basis
            return ball.clip(np.concatenate([point[None], point + ways, point - ways]))

        reply = yield Query(draw(), repeat=False, redraw=draw if setting.redraws else None)
        found = margins(reply.scores, attempt.y)
        if (yield from claim_within(attempt, setting, reply, point)):
            return
        if found[0] < lowest:
            attempt.best, lowest = point, found[0]
        search.adam(found[1 : pairs + 1] - found[pairs + 1 :])


class _Search:
    """What is known of each coordinate, and where the search stands."""

    def __init__(self, attempt: Attempt, setting: Setting, params: ZOOParams) -> None:
        self.attempt, self.setting, self.params = attempt, setting, params
        width = len(attempt.x)
        self.ball = Ball.of(attempt, setting)
        self.cosines = Cosines.of(width)
        length = setting.threshold * (1.0 if setting.norm == "l2" else float(np.sqrt(width)))
        self.half, self.rate = params.difference * setting.spread * length, params.rate * length
        self.delta = np.zeros(width)
        self.mean, self.square, self.times = np.zeros(width), np.zeros(width), np.zeros(width)
        self.waiting: list[int] = []
        self.chosen: list[int] = []
        self.basis = np.zeros((0, width))

    def choose(self, n: int) -> None:
        """Choose the next n coordinates, and make their unit vectors (n, d)."""
        self.chosen = []
        while len(self.chosen) < n:
            if not self.waiting:
                self.waiting = self.cosines.low_first(self.attempt.rng)
            self.chosen.append(self.waiting.pop(0))
        coefficients = np.zeros((n, len(self.delta)))
        coefficients[np.arange(n), self.chosen] = 1.0
        self.basis = self.cosines.image(coefficients)

    def adam(self, rise: FloatArray) -> None:
        """One step against the slope in the chosen coordinates."""
        p, slope, chosen = self.params, rise / (2 * self.half), self.chosen
        self.times[chosen] += 1
        self.mean[chosen] = p.beta1 * self.mean[chosen] + (1 - p.beta1) * slope
        self.square[chosen] = p.beta2 * self.square[chosen] + (1 - p.beta2) * slope**2
        mean = self.mean[chosen] / (1 - p.beta1 ** self.times[chosen])
        square = self.square[chosen] / (1 - p.beta2 ** self.times[chosen])
        self.delta = self.delta - self.rate * (mean / (np.sqrt(square) + 1e-8)) @ self.basis
