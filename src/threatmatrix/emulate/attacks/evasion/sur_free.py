"""SurFree: circles through the sample and the point reached, without any gradient.

Source: Maho, Furon, Le Merrer, "SurFree: a fast surrogate-free black-box attack", 2021 (section 4, algorithm 1),
untargeted; the norm is the procedure's, the circles are L2. Access: label. Cost: one query for each angle tried, at
most the sample's budget. It differs from the paper:

- after each step that came nearer it asks for the outermost point within the norm in the same direction, and once
  more before it claims success;
- the binary search for the best angle is short, as every query of it could have been another direction.

As in the paper, directions are drawn from the low frequencies (where the input is a square image), made orthogonal to
the last ones, and tried at both signs of angles from large to small.

Result of one sample, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=96, distance=0.999999,
refused=False, before=False)``.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import AttackSteps, Attempt, Query, Reply, Setting, parse_params, unit
from threatmatrix.emulate.attacks.evasion.walk import Start, Walk
from threatmatrix.emulate.target import FloatArray

__all__ = ["SurFreeParams", "sur_free"]

CHANGE = 1.02
"""By this the widest angle grows after a direction that came nearer and shrinks after one that did not."""


@dataclass(frozen=True, slots=True)
class SurFreeParams:
    """Angles are degrees between the point reached and the next one, seen from the sample."""

    angle: float = 30.0  # the widest, at first
    angles: int = 2  # tried for each direction and sign, from the widest down
    search: int = 4  # queries of the binary search once an angle is found
    remembered: int = 20  # directions to which the next one is orthogonal
    frequencies: float = 0.8  # share of the cosine basis
    tolerance: float = 0.05
    start: int = 2  # 0: noise; 1: the attacker's own images; 2: rays
    start_tries: int = 25


def sur_free(attempt: Attempt, setting: Setting) -> AttackSteps:
    """Yield the queries of one attempt; see the module's docstring."""
    params = parse_params(SurFreeParams, setting.params)
    walk = Walk(attempt, setting, Start(params.start, params.start_tries, params.tolerance))
    start = yield from walk.start()
    if start is None:
        return
    point, _ = yield from walk.approach(start)
    widest = math.radians(params.angle) * setting.spread
    past: deque[FloatArray] = deque(maxlen=max(1, min(params.remembered, len(attempt.x) // 4)))
    if (yield from walk.reached(point)):
        return
    while True:
        circle = _Circle(walk, point, [unit(point - attempt.x), *past], params.frequencies)
        angle = yield from circle.first(min(widest, math.pi / 2), params.angles)
        past.append(circle.direction)
        if angle is None:
            widest /= CHANGE
            continue
        widest *= CHANGE
        point = circle.at((yield from circle.best(angle, widest, params)))
        if (yield from walk.reached(point)):
            return


class _Circle:
    """The circle whose diameter is the way from the sample to the point: each point of it is nearer to the sample.

    It turns in a random direction that is orthogonal to the vectors ``to`` (unit, orthogonal to each other or nearly).
    """

    def __init__(self, walk: Walk, point: FloatArray, to: list[FloatArray], frequencies: float) -> None:
        self.walk = walk
        self.point = point
        self.to = to
        self.frequencies = frequencies
        self.turn()

    def turn(self) -> None:
        """Draw another direction."""
        drawn = self.walk.draw(1, self.frequencies)[0]
        for vector in self.to:
            drawn = drawn - (drawn @ vector) * vector
        self.direction = unit(drawn)

    def at(self, angle: float) -> FloatArray:
        x, away = self.walk.attempt.x, self.point - self.walk.attempt.x
        length = float(np.linalg.norm(away)) * math.cos(angle)
        turned = math.cos(angle) * unit(away) + math.sin(angle) * self.direction
        return self.walk.ball.clip(x + length * turned)

    def first(self, widest: float, angles: int) -> Generator[Query, Reply, float | None]:
        """The first angle that is adversarial, from the widest down, either sign."""
        for number in range(angles, 0, -1):
            for sign in (1.0, -1.0):
                angle = sign * widest * number / angles

                def another(angle: float = angle) -> FloatArray:
                    self.turn()
                    return self.at(angle)

                if (yield from self.walk.adversarial(self.at(angle), another)):
                    return angle
        return None

    def best(self, angle: float, widest: float, params: SurFreeParams) -> Generator[Query, Reply, float]:
        """The widest adversarial angle between this one and the next that was refused (or twice as wide)."""
        low, high = angle, angle + math.copysign(widest / params.angles, angle)
        for _ in range(params.search):
            middle = (low + high) / 2
            if (yield from self.walk.adversarial(self.at(middle))):
                low = middle
            else:
                high = middle
        return low
