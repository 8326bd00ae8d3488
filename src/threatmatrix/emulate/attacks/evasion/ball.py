"""Where an evasion may go: within a norm of the sample and within the bounds; and random directions there."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import EDGE, Attempt, Draws, Query, Reply, Setting, unit
from threatmatrix.emulate.target import FloatArray

__all__ = ["Ball", "claim", "claim_within", "directions", "margins"]

DEGREES_OF_FREEDOM = 2
"""Of the heavy-tailed draws (Student's t): a direction has few large values and many small ones."""


SHARE = 0.1
"""Linf: a value of so much of a direction's mean goes all the way."""


@dataclass(frozen=True, slots=True)
class Ball:
    """All points within ``radius`` of ``centre`` (d,) in L2 or Linf, and within the bounds."""

    centre: FloatArray
    norm: str
    radius: float
    bounds: tuple[float, float]

    @classmethod
    def of(cls, attempt: Attempt, setting: Setting) -> Ball:
        """A little inside the threshold, so that rounding never carries a point outside."""
        return cls(attempt.x, setting.norm, setting.threshold * EDGE, setting.bounds)

    def length(self, point: FloatArray) -> float:
        """Distance of a point from the centre, in the norm."""
        delta = point - self.centre
        return float(np.abs(delta).max() if self.norm == "linf" else np.sqrt(delta @ delta))

    def clip(self, rows: FloatArray) -> FloatArray:
        """The nearest points within the bounds."""
        return np.asarray(np.clip(rows, *self.bounds))

    def project(self, point: FloatArray) -> FloatArray:
        """The nearest point of the ball (for L2: nearest along the line to the centre)."""
        delta = self.clip(point) - self.centre
        if self.norm == "linf":
            return np.asarray(self.centre + np.clip(delta, -self.radius, self.radius))
        length = float(np.sqrt(delta @ delta))
        return self.centre + delta * min(1.0, self.radius / length) if length else self.centre

    def outermost(self, direction: FloatArray) -> FloatArray:
        """The point of the ball that is farthest from the centre in a direction.

        L2: what the bounds cut off is made up for in the other values. Linf: values that are at least a tenth of the
        mean go all the way, smaller ones in proportion.
        """
        if self.norm == "linf":
            scale = SHARE * float(np.abs(direction).mean()) or 1.0
            return self.clip(self.centre + np.clip(direction / scale, -1.0, 1.0) * self.radius)
        along, room = direction / (float(np.sqrt(direction @ direction)) or 1.0), self.radius
        point = self.clip(self.centre + along * room)
        for _ in range(6):
            reached = self.length(point)
            if reached > 0.999 * self.radius or not reached:
                break
            room *= self.radius / reached
            point = self.clip(self.centre + along * room)
        return self.project(point)


def directions(attempt: Attempt, n: int, draws: Draws) -> FloatArray:
    """N random unit vectors (n, d)."""
    size = (n, len(attempt.x))
    rng = attempt.rng
    return unit(rng.normal(size=size) if draws == "gaussian" else rng.standard_t(DEGREES_OF_FREEDOM, size=size))


def margins(scores: FloatArray, label: int) -> FloatArray:
    """Of each row (n, k): score of the label minus the best other one, in logarithms; below 0 is a flip."""
    log = np.log(np.maximum(scores, 1e-12))
    rest = log.copy()
    rest[:, label] = -np.inf
    return np.asarray(log[:, label] - rest.max(axis=1))


def claim(
    attempt: Attempt, setting: Setting, point: FloatArray, *, again: bool = False
) -> Generator[Query, Reply, bool]:
    """A flip was seen here: claim success; ``again``, or where queries carry noise, ask the point itself first."""
    if again or setting.noise:
        reply = yield Query(point[None], exact=True)
        if reply.labels[0] == attempt.y:
            return False
    attempt.best, attempt.claimed = point, True
    return True


def claim_within(attempt: Attempt, setting: Setting, reply: Reply, point: FloatArray) -> Generator[Query, Reply, bool]:
    """Claim the first row of a batch that flipped within the norm; an averaging attacker asks it again, repeatedly.

    The first row of the batch is ``point``, as it was before the variant's noise.
    """
    ball = Ball.of(attempt, setting)
    for row in np.flatnonzero(reply.labels != attempt.y):
        found = reply.rows[row] if row else point
        if ball.length(found) <= setting.threshold and (
            yield from claim(attempt, setting, found, again=setting.repeats > 1)
        ):
            return True
    return False
