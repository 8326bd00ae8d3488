"""HopSkipJump: a boundary attack that sees labels only.

Source: Chen, Jordan, Wainwright, "HopSkipJumpAttack: A Query-Efficient Decision-Based Attack", 2020
(section 3, algorithm 2), untargeted; the norm is the procedure's, the walk itself is L2. Access: label. Cost: at most
the sample's budget; each row of a gradient batch is one query. It differs from the paper where a norm is the goal:

- it stops as soon as a point within the threshold is adversarial, so after each step it asks for the
  outermost allowed point in the same direction (one query, often the last one);
- a point found inside is pushed out to the threshold, where it is most robust, and asked once more;
  only then does the attack claim success;
- ``start = 2`` begins on random smooth rays, asked farther and farther out, so that the walk begins close by; ``1``
  at the attacker's own nearest images of other classes; ``0`` at noise, as in the paper;
- a gradient batch is wider than the paper's, and drawn from the lower frequencies where the input is a square image:
  ``radius: 0.05``, ``frequencies: 1`` and ``start: 0`` are the paper's way;
- after each batch it asks for the outermost point along the normals found so far (where the boundary is flat, the
  nearest one), and once the walk gains nothing it starts again elsewhere: ``memory: 0``, ``patience: 0`` do neither.

OARS-style (Feng et al., "Stateful Defenses for Machine Learning Models Are Not Yet Secure Against
Black-box Attacks", 2023): the radius of a gradient batch begins as wide as the threshold and shrinks
only while the answers are (nearly) all alike, the binary search stops early, and a refused batch is
drawn again, wider.

Result of one sample, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=124,
distance=0.999999, refused=False, before=False)``.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import AttackSteps, Attempt, Query, Reply, Setting, parse_params, unit
from threatmatrix.emulate.attacks.evasion.walk import Bracket, Start, Walk
from threatmatrix.emulate.target import FloatArray

__all__ = ["HopSkipJumpParams", "hop_skip_jump"]

MIN_BATCH = 8
"""Fewer directions than this are no estimate of a gradient in 64 dimensions."""
GAIN = 0.95
"""A step that leaves more than this share of the distance gained nothing."""
DULL = 0.04
"""A batch whose share of flips is below this, or above 1 - this, carries no signal (OARS)."""


@dataclass(frozen=True, slots=True)
class HopSkipJumpParams:
    """Lengths are L2 in input units unless said otherwise."""

    batch: int = 30  # rows of the first gradient batch; grows with the root of the iteration
    max_batch: int = 100
    radius: float = 0.2  # of a gradient batch, as a share of the distance reached
    frequencies: float = 0.7  # share of the cosine basis from which a batch is drawn
    memory: float = 0.8  # of earlier normals, in the direction that is asked after each; 0: it is not asked
    patience: int = 2  # steps without gain until it starts again; 0: never
    tolerance: float = 0.02  # the binary search stops at this distance
    start: int = 2  # 0: noise, as in the paper; 1: the attacker's own images; 2: rays
    start_tries: int = 25
    averaged_radius: float = 1.0  # the same where the attacker averages: wide enough to see through noise
    oars_radius: float = 1.0  # of the first OARS batch, as a share of the threshold
    oars_tolerance: float = 0.1


def hop_skip_jump(attempt: Attempt, setting: Setting) -> AttackSteps:
    """Yield the queries of one attempt; see the module's docstring."""
    params = parse_params(HopSkipJumpParams, setting.params)
    tolerance = params.oars_tolerance if setting.oars else params.tolerance
    walk = _Jump(attempt, setting, Start(params.start, params.start_tries, tolerance))
    walk.configure(params)
    while (yield from _stalls(walk, params)):
        pass


def _stalls(walk: _Jump, params: HopSkipJumpParams) -> Generator[Query, Reply, bool]:
    """One walk; True where it gained nothing for a while, and another start may do better."""
    start = yield from walk.start()
    if start is None:
        return False
    point, middle = yield from walk.approach(start)
    inwards, stalled = np.zeros(len(point)), 0
    for iteration in range(1, 10_000):
        if params.patience and stalled >= params.patience:
            break
        if walk.inside(point) and (yield from walk.reached(point)):
            return False
        normal = yield from walk.normal(point, middle, iteration)
        if normal is None:
            return False
        inwards = params.memory * inwards + normal
        if params.memory and (yield from walk.reached(walk.attempt.x + inwards)):
            return False
        before = walk.length(point)
        point, middle = yield from walk.move(point, middle, normal, before / math.sqrt(iteration))
        stalled = 0 if walk.length(point) <= GAIN * before else stalled + 1
    return True


class _Jump(Walk):
    """The moves of the algorithm, each a generator of queries."""

    def configure(self, params: HopSkipJumpParams) -> None:
        self.params = params
        self.spread = params.oars_radius * self.l2

    def move(
        self, point: FloatArray, middle: FloatArray, normal: FloatArray, size: float
    ) -> Generator[Query, Reply, Bracket]:
        """Step along the normal, and back to the boundary nearer to the sample."""
        moved = yield from self.step(point, normal, size)
        if moved is None:
            return point, point
        goal = self.goal(moved)
        if not self.inside(moved) and (yield from self.adversarial(goal)):
            return goal, goal
        nearer = yield from self.approach(moved)
        return nearer if self.length(nearer[0]) < self.length(point) else (point, middle)

    def normal(
        self, point: FloatArray, middle: FloatArray, iteration: int
    ) -> Generator[Query, Reply, FloatArray | None]:
        """Estimate the boundary's normal from one batch (section 3.2, with the mean as baseline)."""
        params, n_rows = self.params, self.attempt.rows_left(False) - 3
        n = min(params.max_batch, int(params.batch * math.sqrt(iteration)), n_rows)
        if n < MIN_BATCH:
            return None
        if not self.setting.oars:
            share = params.radius if self.setting.repeats == 1 else params.averaged_radius
            self.spread = share * self.setting.wide * max(self.length(point), self.l2)

        def draw() -> FloatArray:
            return self.ball.clip(middle + self.spread * self.draw(n, params.frequencies))

        def draw_wider() -> FloatArray:
            self.spread *= 1.5
            return draw()

        reply = yield Query(draw(), repeat=False, redraw=draw_wider if self.setting.redraws else None)
        signs = np.where(reply.labels != self.attempt.y, 1.0, -1.0)
        flipped = float(np.mean(signs > 0))
        if self.setting.oars and not DULL <= flipped <= 1 - DULL:
            self.spread *= 0.7
        if 0 < flipped < 1:
            signs = signs - signs.mean()
        return unit((signs[:, None] * unit(reply.rows - middle)).mean(axis=0))

    def step(self, point: FloatArray, normal: FloatArray, size: float) -> Generator[Query, Reply, FloatArray | None]:
        """Geometric progression: halve the step until it lands on the adversarial side."""
        for _ in range(6):
            moved = self.ball.clip(point + size * normal)
            if (yield from self.adversarial(moved)):
                return moved
            size /= 2
        return None
