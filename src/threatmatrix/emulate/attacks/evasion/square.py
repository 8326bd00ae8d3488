"""Square: random search with square windows, seeing scores.

Source: Andriushchenko, Croce, Flammarion, Hein, "Square Attack: a query-efficient black-box
adversarial attack via random search", 2020 (algorithms 1 and 2, Linf). Access: score; where the
target gives labels only, a score is 1 or 0 and the search is blind until it is lucky. Cost: one query
for each proposal, at most the sample's budget; it stops at the first misclassification.

OARS-style (Feng et al. 2023): windows never get small, and of several proposals the one is sent that is
farthest from everything sent before.

Result of one sample, e.g. ``SampleOutcome(index=0, claimed=True, confirmed=True, queries=44,
distance=0.15, refused=False)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import EDGE, AttackSteps, Attempt, Query, Setting, parse_params
from threatmatrix.emulate.target import FloatArray

__all__ = ["SquareParams", "square"]

SCHEDULE = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""After how many of 10,000 proposals the windows' area halves (section 4.1 of the paper)."""


@dataclass(frozen=True, slots=True)
class SquareParams:
    """Sizes of the windows; the threshold is the procedure's."""

    area: float = 0.15  # of the first windows, as a share of the image
    proposals: int = 200  # over which the paper's schedule is stretched
    wide_area: float = 0.8  # the same for OARS (wide windows are far apart) and averaging (few proposals)
    oars_side: int = 2  # OARS: the smallest window's side
    oars_candidates: int = 8  # OARS: proposals from which the farthest one is sent


def square(attempt: Attempt, setting: Setting) -> AttackSteps:
    """Yield the queries of one attempt; see the module's docstring."""
    search = _Search(attempt, setting, parse_params(SquareParams, setting.params))
    point, lowest = search.stripes(), math.inf
    for proposal in range(100_000):
        reply = yield Query(point[None])
        search.sent.append(point)
        margin = search.margin(reply.scores[0])
        if margin < lowest or attempt.best is None:
            attempt.best, lowest = point, margin
        if reply.labels[0] != attempt.y:
            attempt.best, attempt.claimed = point, True
            return
        point = search.propose(attempt.best, proposal)


class _Search:
    """The proposals of one random search on a square image with one channel."""

    def __init__(self, attempt: Attempt, setting: Setting, params: SquareParams) -> None:
        self.attempt = attempt
        self.setting = setting
        self.params = params
        self.side = math.isqrt(len(attempt.x))
        if self.side**2 != len(attempt.x):
            raise ValueError(f"Square needs a square image with one channel, not {len(attempt.x)} values")
        self.sent: list[FloatArray] = []

    def at(self, delta: FloatArray) -> FloatArray:
        x = self.attempt.x
        return np.asarray(np.clip(x + delta * self.setting.threshold * EDGE, *self.setting.bounds))

    def stripes(self) -> FloatArray:
        """The start: vertical stripes of plus and minus the threshold (section 3.2)."""
        return self.at(np.tile(self.attempt.rng.choice([-1.0, 1.0], self.side), self.side))

    def margin(self, scores: FloatArray) -> float:
        """Score of the true class minus the best other one, in logarithms: below 0 is a flip."""
        log = np.log(np.maximum(scores, 1e-12))
        return float(log[self.attempt.y] - np.delete(log, self.attempt.y).max())

    def window(self, proposal: int) -> int:
        """Side of the window for this proposal."""
        at = proposal * 10_000 / self.params.proposals
        first = self.params.wide_area if self.setting.oars or self.setting.repeats > 1 else self.params.area
        area = first / 2 ** sum(at > step for step in SCHEDULE)
        smallest = self.params.oars_side if self.setting.oars else 1
        return max(smallest, min(self.side - 1, round(math.sqrt(area) * self.side)))

    def propose(self, best: FloatArray, proposal: int) -> FloatArray:
        """The next point: one, or for OARS the one that is farthest from all that was sent."""
        if not self.setting.oars:
            return self._draw(best, proposal)
        drawn = np.stack([self._draw(best, proposal) for _ in range(self.params.oars_candidates)])
        sent = np.stack(self.sent)  # squared distances but for the candidate's own square
        gaps = (np.sum(sent**2, axis=1) - 2 * drawn @ sent.T).min(axis=1) + np.sum(drawn**2, axis=1)
        return np.asarray(drawn[np.argmax(gaps)])

    def _draw(self, best: FloatArray, proposal: int) -> FloatArray:
        """Plus or minus the threshold in one random window; never the same point again."""
        rng, size = self.attempt.rng, self.window(proposal)
        for _ in range(10):
            row, column = rng.integers(0, self.side - size + 1, 2)
            mask = np.zeros((self.side, self.side), dtype=bool)
            mask[row : row + size, column : column + size] = True
            signs = np.full(len(best), rng.choice([-1.0, 1.0]))
            point = np.where(mask.ravel(), self.at(signs), best)
            if not np.array_equal(point, best):
                break
        return point
