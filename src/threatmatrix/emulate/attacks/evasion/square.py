"""Square: random search with square windows, seeing scores.

Source: Andriushchenko, Croce, Flammarion, Hein, "Square Attack: a query-efficient black-box
adversarial attack via random search", 2020 (algorithms 1 and 2, Linf). Access: score; where the
target gives labels only, a score is 1 or 0 and the search is blind until it is lucky. Cost: one query
for each proposal, at most the sample's budget; it stops at the first misclassification. Square images of one or
three channels (height, width, channels); a window draws its sign for each channel. It differs from the paper:

- the schedule is stretched over the proposals of the budget, and the margin is taken in logarithms;
- for L2 the pattern of signs is the same, and the point asked is the farthest one in its direction within the norm
  (the paper moves mass between windows instead).

``adaptive-oars`` (Feng et al. 2023): windows never get small, and of several proposals the one is sent that is
farthest from everything sent before. ``adaptive-wide``: the first windows take most of the image.
``adaptive-heavy-tailed``: a window's size follows a heavy tail instead of the schedule.

Result of one sample, e.g. ``SampleOutcome(index=0, claimed=True, confirmed=True, queries=44,
distance=0.15, refused=False)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import AttackSteps, Attempt, Query, Setting, parse_params
from threatmatrix.emulate.attacks.evasion.ball import Ball, claim, margins
from threatmatrix.emulate.attacks.evasion.cosines import image_shape
from threatmatrix.emulate.target import FloatArray

__all__ = ["SquareParams", "square"]

SCHEDULE = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""After how many of 10,000 proposals the windows' area halves (section 4.1 of the paper)."""


@dataclass(frozen=True, slots=True)
class SquareParams:
    """Sizes of the windows; the threshold is the procedure's."""

    area: float = 0.15  # of the first windows, as a share of the image
    proposals: int = 200  # over which the paper's schedule is stretched
    wide_area: float = 0.8  # the same for OARS and wide (such windows are far apart) and averaging (few proposals)
    oars_side: int = 2  # OARS: the smallest window's side
    oars_candidates: int = 8  # OARS: proposals from which the farthest one is sent


def square(attempt: Attempt, setting: Setting) -> AttackSteps:
    """Yield the queries of one attempt; see the module's docstring."""
    search = _Search(attempt, setting, parse_params(SquareParams, setting.params))
    signs, lowest = search.stripes(), math.inf
    best = signs
    for proposal in range(100_000):
        drawn = _Drawn(signs)

        def again(base: FloatArray = best, number: int = proposal, drawn: _Drawn = drawn) -> FloatArray:
            drawn.signs = search.propose(base, number)
            return search.at(drawn.signs)[None]

        reply = yield Query(search.at(signs)[None], redraw=again if setting.redraws and proposal else None)
        point = search.at(drawn.signs)
        search.sent.append(point)
        if reply.labels[0] != attempt.y and (yield from claim(attempt, setting, point)):
            return
        margin = float(margins(reply.scores, attempt.y)[0])
        if margin < lowest:
            best, lowest = drawn.signs, margin
            attempt.best = point
        signs = search.propose(best, proposal)


@dataclass(slots=True)
class _Drawn:
    """The signs that were answered in the end: those of the last drawing."""

    signs: FloatArray


class _Search:
    """The proposals of one search on a square image: patterns of signs (d,), each put where the norm ends."""

    def __init__(self, attempt: Attempt, setting: Setting, params: SquareParams) -> None:
        self.attempt = attempt
        self.setting = setting
        self.params = params
        self.ball = Ball.of(attempt, setting)
        self.side, self.channels = image_shape(len(attempt.x))
        if not self.side:
            raise ValueError(f"Square needs a square image with one or three channels, not {len(attempt.x)} values")
        self.low, self.high = self.ball.clip(attempt.x - self.ball.radius), self.ball.clip(attempt.x + self.ball.radius)
        self.sent: list[FloatArray] = []

    def at(self, signs: FloatArray) -> FloatArray:
        """The point of a pattern."""
        if self.setting.norm == "linf":
            return np.where(signs > 0, self.high, self.low)
        return self.ball.outermost(signs)

    def stripes(self) -> FloatArray:
        """The start: vertical stripes of plus and minus (section 3.2)."""
        return np.tile(self.attempt.rng.choice([-1.0, 1.0], self.side * self.channels), self.side)

    def window(self, proposal: int) -> int:
        """Side of the window for this proposal."""
        at = proposal * 10_000 / self.params.proposals
        wide = self.setting.oars or self.setting.wide > 1 or self.setting.repeats > 1
        area = (self.params.wide_area if wide else self.params.area) / 2 ** sum(at > step for step in SCHEDULE)
        if self.setting.draws != "gaussian":
            area = self.params.area * float(self.attempt.rng.pareto(1.0))
        smallest = self.params.oars_side if self.setting.oars else 1
        return max(smallest, min(self.side - 1, round(math.sqrt(area) * self.side)))

    def propose(self, best: FloatArray, proposal: int) -> FloatArray:
        """The next pattern: one, or for OARS the one whose point is farthest from all that was sent."""
        if not self.setting.oars:
            return self._draw(best, proposal)
        drawn = [self._draw(best, proposal) for _ in range(self.params.oars_candidates)]
        points = np.stack([self.at(signs) for signs in drawn])
        sent = np.stack(self.sent)  # squared distances but for the candidate's own square
        gaps = (np.sum(sent**2, axis=1) - 2 * points @ sent.T).min(axis=1) + np.sum(points**2, axis=1)
        return drawn[int(np.argmax(gaps))]

    def _draw(self, best: FloatArray, proposal: int) -> FloatArray:
        """Plus or minus in one random window, for each channel; never the same point again."""
        rng, size = self.attempt.rng, self.window(proposal)
        before = self.at(best)
        for _ in range(10):
            row, column = rng.integers(0, self.side - size + 1, 2)
            image = best.reshape(self.side, self.side, self.channels).copy()
            image[row : row + size, column : column + size] = rng.choice([-1.0, 1.0], self.channels)
            if not np.array_equal(self.at(image.ravel()), before):
                break
        return image.ravel()
