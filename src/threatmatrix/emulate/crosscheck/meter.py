"""A model as a library sees it: counts every row, stops at the budget, keeps the best point that was asked.

Libraries cannot be given a number of queries, nor a norm to stop at. Both are done here, by an exception that the
library does not know, so that what they reach within a budget compares with what our attacks reach within it.
"""

from __future__ import annotations

import numpy as np

from threatmatrix.emulate.attacks.base import distance
from threatmatrix.emulate.target import FloatArray, Target

__all__ = ["Enough", "Meter"]


class Enough(Exception):
    """The budget is used up, or a point within the threshold was misclassified."""


class Meter:
    """One sample's access to a target, as a function of rows.

    ``best``: the nearest misclassified point that was asked and lies within the bounds; ``claimed`` once it lies within
    the threshold too.
    """

    def __init__(
        self, target: Target, x: FloatArray, y: int, *, budget: int, norm: str, threshold: float, want_scores: bool
    ) -> None:
        self.target, self.x, self.y = target, x, y
        self.budget, self.norm, self.threshold = budget, norm, threshold
        self.want_scores = want_scores
        self.spent = 0
        self.best: FloatArray | None = None
        self.nearest = float("inf")

    @property
    def claimed(self) -> bool:
        return self.nearest <= self.threshold

    def scores(self, rows: FloatArray) -> FloatArray:
        """Answers (n, k) for n rows of any shape: scores, or 1 at the label. Raises Enough, and what the target raises.

        Of rows that the budget does not pay for in full, those are asked that it does pay for.
        """
        flat = np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
        flat = np.where(np.isfinite(flat), flat, self.x)  # ART's Square divides by zero on images as small as 8×8
        paid = flat[: self.budget - self.spent]
        if not len(paid):
            raise Enough
        before = self.target.queries
        try:
            answer = self.target.ask(paid, want_scores=self.want_scores)
        finally:
            self.spent += self.target.queries - before
        for point in paid[answer.labels != self.y]:
            self.keep(point)
        if self.claimed or len(paid) < len(flat):
            raise Enough
        one_hot: FloatArray = np.eye(self.target.classes)[answer.labels]
        return one_hot if answer.scores is None else answer.scores

    def keep(self, point: FloatArray) -> None:
        """Take a misclassified point as the best one where it is nearer than the last."""
        low, high = self.target.bounds
        away = distance(self.x, point, self.norm)
        if away < self.nearest and point.min() >= low and point.max() <= high:
            self.best, self.nearest = point.copy(), away
