"""What attacks that see labels only have in common: a start, a way to the boundary, the word that they succeeded."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import Attempt, Query, Reply, Setting, others
from threatmatrix.emulate.attacks.evasion.ball import Ball, claim, directions
from threatmatrix.emulate.attacks.evasion.cosines import Cosines
from threatmatrix.emulate.target import FloatArray

__all__ = ["Bracket", "Start", "Walk"]

NEAREST = 8
"""So many own images of other classes are tried as a start."""
RAYS = 8
"""So many directions are tried at each radius."""
RADII = (1.0, 2.0, 3.0, 4.0, 5.0)
"""At so many times the threshold."""
SMOOTH = 0.3
"""Rays are drawn from so much of the cosine basis."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a walk begins, and how exactly it finds the boundary."""

    kind: int = 2  # 0: noise; 1: the attacker's own images of other classes; 2: rays, farther and farther out
    tries: int = 25
    tolerance: float = 0.02  # the binary search stops at this L2 distance


Bracket = tuple[FloatArray, FloatArray]
"""An adversarial point, and the middle of the last bracket around the boundary."""


class Walk:
    """One walk along the boundary. Lengths are L2; whether the goal is reached is measured in the procedure's norm."""

    def __init__(self, attempt: Attempt, setting: Setting, start: Start) -> None:
        self.attempt = attempt
        self.setting = setting
        self.ball = Ball.of(attempt, setting)
        self.cosines = Cosines.of(len(attempt.x))
        self.began = start
        self.asked = attempt.x
        self.l2 = setting.threshold * (1.0 if setting.norm == "l2" else float(np.sqrt(len(attempt.x))))

    def length(self, point: FloatArray) -> float:
        """L2 distance from the sample."""
        return float(np.linalg.norm(point - self.attempt.x))

    def inside(self, point: FloatArray) -> bool:
        """Whether the point is within the threshold."""
        return self.ball.length(point) <= self.setting.threshold

    def goal(self, point: FloatArray) -> FloatArray:
        """The outermost allowed point in the same direction."""
        return self.ball.outermost(point - self.attempt.x)

    def draw(self, n: int, frequencies: float) -> FloatArray:
        """Random unit vectors (n, d), of the lower frequencies where the input is a square image."""
        return self.cosines.smooth(directions(self.attempt, n, self.setting.draws), frequencies)

    def adversarial(
        self, point: FloatArray, another: Callable[[], FloatArray] | None = None
    ) -> Generator[Query, Reply, bool]:
        """One query; keeps the point as the final one where it is the nearest flip so far.

        ``another`` draws another point (d,) where this one is refused; ``asked`` is the one that was answered.
        """
        self.asked = point

        def redraw() -> FloatArray:
            self.asked = point if another is None else another()
            return np.asarray(self.asked[None])

        reply = yield Query(point[None], redraw=redraw if another and self.setting.redraws else None)
        flipped = bool(reply.labels[0] != self.attempt.y)
        if flipped:
            self.keep(self.asked)
        return flipped

    def keep(self, point: FloatArray) -> None:
        """Make a flip the final point where it is the nearest so far."""
        best = self.attempt.best
        if best is None or self.ball.length(point) < self.ball.length(best):
            self.attempt.best = point

    def reached(self, point: FloatArray) -> Generator[Query, Reply, bool]:
        """Ask the outermost allowed point in the same direction once more; claim where it is adversarial."""
        return (yield from claim(self.attempt, self.setting, self.goal(point), again=True))

    def start(self) -> Generator[Query, Reply, FloatArray | None]:
        """An adversarial point at any distance."""
        if self.began.kind == 1:
            return (yield from self._start_from_images())
        if self.began.kind == 2:
            found = yield from self._start_on_rays()
            if found is not None:
                return found
        low, high = self.setting.bounds
        for _ in range(self.began.tries):
            point = self.attempt.rng.uniform(low, high, self.attempt.x.shape)
            if (yield from self.adversarial(point)):
                return np.asarray(point)
        return None

    def _start_on_rays(self) -> Generator[Query, Reply, FloatArray | None]:
        """Random smooth directions, asked farther and farther out until one flips."""
        for times in RADII:
            ball = Ball(self.attempt.x, "l2", times * self.l2, self.setting.bounds)
            n = min(RAYS, self.attempt.rows_left(True))
            if not n:
                return None

            def draw(ball: Ball = ball, n: int = n) -> FloatArray:
                return np.stack([ball.outermost(ray) for ray in self.draw(n, SMOOTH)])

            reply = yield Query(draw(), redraw=draw if self.setting.redraws else None)
            flips = reply.rows[reply.labels != self.attempt.y]
            if len(flips):
                self.keep(flips[0])
                return np.asarray(flips[0])
        return None

    def _start_from_images(self) -> Generator[Query, Reply, FloatArray | None]:
        """Half way to the nearest own images of other classes; if none flips, the nearest itself."""
        x = self.attempt.x
        images = self.setting.pool_x[others(self.setting.pool_y, self.attempt.y)]
        nearest = images[np.argsort(np.linalg.norm(images - x, axis=1))[:NEAREST]]
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

    def approach(self, point: FloatArray, tolerance: float | None = None) -> Generator[Query, Reply, Bracket]:
        """Binary search between the sample and an adversarial point."""
        x, low, high = self.attempt.x, 0.0, 1.0
        length = self.length(point)
        while (high - low) * length > (tolerance or self.began.tolerance):
            share = (low + high) / 2
            if (yield from self.adversarial(x + share * (point - x))):
                high = share
            else:
                low = share
        return x + high * (point - x), x + (low + high) / 2 * (point - x)
