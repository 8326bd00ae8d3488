"""HopSkipJump: a boundary attack that sees labels only.

Source: Chen, Jordan, Wainwright, "HopSkipJumpAttack: A Query-Efficient Decision-Based Attack", 2020
(section 3, algorithm 2), L2, untargeted. Access: label. Cost: at most the sample's budget; each row
of a gradient batch is one query. It differs from the paper where a norm is the goal:

- it stops as soon as a point within the threshold is adversarial, so after each step it asks for the
  point on the threshold's sphere in the same direction (one query, often the last one);
- a point found inside is pushed out to the sphere, where it is most robust, and asked once more;
  only then does the attack claim success;
- ``start = 1`` begins at the attacker's own nearest images of other classes instead of noise.

OARS-style (Feng et al., "Stateful Defenses for Machine Learning Models Are Not Yet Secure Against
Black-box Attacks", 2023): the radius of a gradient batch begins as wide as the threshold and shrinks
only while the answers are (nearly) all alike, the binary search stops early, and a refused batch is
drawn again, wider.

Result of one sample, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=124,
distance=0.999999, refused=False)``.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import (
    EDGE,
    AttackSteps,
    Attempt,
    Query,
    Reply,
    Setting,
    others,
    parse_params,
    unit,
)
from threatmatrix.emulate.target import FloatArray

__all__ = ["HopSkipJumpParams", "hop_skip_jump"]

MIN_BATCH = 8
"""Fewer directions than this are no estimate of a gradient in 64 dimensions."""
DULL = 0.04
"""A batch whose share of flips is below this, or above 1 - this, carries no signal (OARS)."""


@dataclass(frozen=True, slots=True)
class HopSkipJumpParams:
    """Lengths are L2 in input units unless said otherwise."""

    batch: int = 30  # rows of the first gradient batch; grows with the root of the iteration
    max_batch: int = 100
    radius: float = 0.05  # of a gradient batch, as a share of the distance reached
    tolerance: float = 0.02  # the binary search stops at this distance
    start: int = 0  # 0: noise, as in the paper; 1: the attacker's own images
    start_tries: int = 25
    averaged_radius: float = 1.0  # the same where the attacker averages: wide enough to see through noise
    oars_radius: float = 1.0  # of the first OARS batch, as a share of the threshold
    oars_tolerance: float = 0.1


Bracket = tuple[FloatArray, FloatArray]
"""An adversarial point, and the middle of the last bracket around the boundary."""


def hop_skip_jump(attempt: Attempt, setting: Setting) -> AttackSteps:
    """Yield the queries of one attempt; see the module's docstring."""
    walk = _Walk(attempt, setting, parse_params(HopSkipJumpParams, setting.params))
    start = yield from walk.start()
    if start is None:
        return
    point, middle = yield from walk.approach(start)
    for iteration in range(1, 10_000):
        if walk.length(point) <= setting.threshold and (yield from walk.claim(point)):
            return
        normal = yield from walk.normal(point, middle, iteration)
        if normal is None:
            return
        moved = yield from walk.step(point, normal, walk.length(point) / math.sqrt(iteration))
        if moved is None:
            middle = point
            continue
        inside = walk.on_sphere(moved)
        if walk.length(moved) > setting.threshold and (yield from walk.adversarial(inside)):
            point = middle = inside
            continue
        nearer = yield from walk.approach(moved)
        if walk.length(nearer[0]) < walk.length(point):
            point, middle = nearer


class _Walk:
    """One walk along the boundary: the moves of the algorithm, each a generator of queries."""

    def __init__(self, attempt: Attempt, setting: Setting, params: HopSkipJumpParams) -> None:
        self.attempt = attempt
        self.setting = setting
        self.params = params
        self.spread = params.oars_radius * setting.threshold
        self.tolerance = params.oars_tolerance if setting.oars else params.tolerance

    def length(self, point: FloatArray) -> float:
        return float(np.linalg.norm(point - self.attempt.x))

    def clip(self, rows: FloatArray) -> FloatArray:
        return np.asarray(np.clip(rows, *self.setting.bounds))

    def on_sphere(self, point: FloatArray) -> FloatArray:
        """The point in the same direction at the threshold (nearer where the bounds cut it)."""
        x = self.attempt.x
        return self.clip(x + unit(point - x) * self.setting.threshold * EDGE)

    def adversarial(self, point: FloatArray) -> Generator[Query, Reply, bool]:
        """One query; keeps the point as the final one where it is the nearest flip so far."""
        reply = yield Query(point[None])
        flipped = bool(reply.labels[0] != self.attempt.y)
        if flipped:
            self.keep(point)
        return flipped

    def keep(self, point: FloatArray) -> None:
        best = self.attempt.best
        if best is None or self.length(point) < self.length(best):
            self.attempt.best = point

    def claim(self, point: FloatArray) -> Generator[Query, Reply, bool]:
        """Ask the outermost allowed point once more; claim where it is adversarial again."""
        final = self.on_sphere(point)
        reply = yield Query(final[None])
        if reply.labels[0] != self.attempt.y:
            self.attempt.best = final
            self.attempt.claimed = True
        return self.attempt.claimed

    def start(self) -> Generator[Query, Reply, FloatArray | None]:
        """An adversarial point at any distance."""
        if self.params.start == 1:
            return (yield from self._start_from_images())
        low, high = self.setting.bounds
        for _ in range(self.params.start_tries):
            point = self.attempt.rng.uniform(low, high, self.attempt.x.shape)
            if (yield from self.adversarial(point)):
                return np.asarray(point)
        return None

    def _start_from_images(self) -> Generator[Query, Reply, FloatArray | None]:
        """Half way to the nearest own images of other classes; if none flips, the nearest itself."""
        x = self.attempt.x
        images = self.setting.pool_x[others(self.setting.pool_y, self.attempt.y)]
        nearest = images[np.argsort(np.linalg.norm(images - x, axis=1))[:8]]
        if not len(nearest):
            return None
        rows = np.concatenate([x + (nearest - x) / 2, nearest[:1]])
        reply = yield Query(rows)
        flips = rows[reply.labels != self.attempt.y]
        if not len(flips):
            return None
        self.keep(flips[np.argmin(np.linalg.norm(flips - x, axis=1))])
        best: FloatArray = self.attempt.best
        return best

    def approach(self, point: FloatArray) -> Generator[Query, Reply, Bracket]:
        """Binary search between the sample and an adversarial point (algorithm 1)."""
        x, low, high = self.attempt.x, 0.0, 1.0
        length = self.length(point)
        while (high - low) * length > self.tolerance:
            share = (low + high) / 2
            if (yield from self.adversarial(x + share * (point - x))):
                high = share
            else:
                low = share
        return x + high * (point - x), x + (low + high) / 2 * (point - x)

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
            self.spread = share * max(self.length(point), self.setting.threshold)

        def draw() -> FloatArray:
            return self.clip(middle + self.spread * unit(self.attempt.rng.normal(size=(n, len(middle)))))

        def draw_wider() -> FloatArray:
            self.spread *= 1.5
            return draw()

        reply = yield Query(draw(), repeat=False, redraw=draw_wider if self.setting.oars else None)
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
            moved = self.clip(point + size * normal)
            if (yield from self.adversarial(moved)):
                return moved
            size /= 2
        return None
