"""Inversion: what does the target take for a typical input of a class? Climb its score from grey.

Source: Fredrikson, Jha, Ristenpart, "Model inversion attacks that exploit confidence information", 2015 (gradient
ascent on the score of a class), without the gradient: Ilyas et al., "Black-box adversarial attacks with limited queries
and information", 2018 (NES: antithetic gaussian probes). Access: score; from labels alone the climb is blind. Cost:
``budget`` divided by the classes, in requests of ``probes`` rows.

With ``public`` data in hand the probes are drawn like differences of such data (their covariance), so that the climb
stays among inputs that look natural; Zhang et al., "The secret revealer", 2020, use a generative model for the same
end. The start is the middle of the bounds, or with public data their mean.

Holds ``reconstructions`` (classes, d). Figures: ``correlation`` (mean over classes: the reconstruction with the class's
mean, each less the mean of all classes), ``plain_correlation`` (without that subtraction), ``score`` (mean score of the
class, asked again). Result of one class, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=2000,
distance=0.0)``: confirmed where the judge gives it the class's label and, of all the classes' means, the class's own
correlates best. The means are those of ``members``, or of the samples where none are held. Control: the same number of
queries, and the answers handed out by lot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.asking import ask_all
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import FloatArray, IntArray
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["InversionParams", "nes_inversion"]


@dataclass(frozen=True, slots=True)
class InversionParams:
    """Of the climb."""

    probes: int = 50  # rows in one request, half of them mirrored
    spread: float = 0.1  # of the probes, as a share of the bounds' width
    step: float = 0.05  # as a share of the bounds' width
    classes: int = 0  # so many only; 0: all


def nes_inversion(stage: Stage) -> Brought:
    """Reconstruct every class; see the module's docstring."""
    params = stage.settings(InversionParams)
    classes = min(params.classes or stage.target.classes, stage.target.classes)
    climb = _Climb(stage, params, stage.budget // classes)
    found = np.stack([climb.reconstruct(c) for c in range(classes)])
    answer = stage.judge.ask(found, want_scores=True)
    truth = stage.held.get("members")
    means = _means(truth if isinstance(truth, Samples) else stage.samples, classes)
    centred = _correlations(found - means.mean(axis=0), means - means.mean(axis=0))
    own = np.arange(classes)
    right = (answer.labels == own) & (np.argmax(centred, axis=1) == own) & (np.array(climb.spent) > 0)
    outcomes = tuple(
        SampleOutcome(index=c, claimed=True, confirmed=bool(right[c]), queries=climb.spent[c], distance=0.0,
                      refused=climb.refused)
        for c in range(classes)
    )  # fmt: skip
    figures = {
        "correlation": float(np.mean(np.diag(centred))),
        "plain_correlation": float(np.mean(np.diag(_correlations(found, means)))),
    }
    if answer.scores is not None:
        figures["score"] = float(np.mean(np.diag(answer.scores[:, :classes])))
    return Brought(outcomes=outcomes, holds={"reconstructions": found}, figures=figures)


class _Climb:
    """Gradient ascent by antithetic probes, within a budget for each class."""

    def __init__(self, stage: Stage, params: InversionParams, budget: int) -> None:
        self.stage, self.params, self.budget = stage, params, budget
        self.low, self.high = stage.target.bounds
        d = int(np.prod(stage.target.input_shape))
        public = stage.held.get("public")
        self.start = np.full(d, (self.low + self.high) / 2)
        self.shape = np.eye(d)
        if isinstance(public, Samples):
            x = public.x.reshape(len(public), -1)
            self.start = x.mean(axis=0)
            values, vectors = np.linalg.eigh(np.cov(x.T))
            self.shape = (vectors * np.sqrt(np.maximum(values, 0.0) / max(float(values.mean()), 1e-12))) @ vectors.T
        self.first = stage.target.queries
        self.spent: list[int] = []
        self.refused = False

    def reconstruct(self, wanted: int) -> FloatArray:
        """The end (d,) of one climb."""
        width, half = self.high - self.low, max(1, self.params.probes // 2)
        point, spent, momentum = self.start.copy(), 0, np.zeros_like(self.start)
        while spent + 2 * half <= self.budget and not self.refused:
            probes = self.stage.rng.normal(size=(half, len(point))) @ self.shape
            around = np.concatenate([probes, -probes]) * self.params.spread * width
            before = self.stage.target.queries
            heights = self._heights(np.clip(point + around, self.low, self.high), wanted)
            spent += self.stage.target.queries - before
            if heights is None:
                break
            gradient = (heights[:half] - heights[half:]) @ probes
            momentum = 0.8 * momentum + gradient / max(float(np.linalg.norm(gradient)), 1e-12)
            move = momentum / max(float(np.abs(momentum).max()), 1e-12)
            point = np.clip(point + self.params.step * width * move, self.low, self.high)
        self.spent.append(spent)
        return point

    def _heights(self, x: FloatArray, wanted: int) -> FloatArray | None:
        """Logarithms of the wanted class's scores (n,), in random order for the control."""
        target = self.stage.target
        if self.stage.budget - (target.queries - self.first) < len(x):
            return None
        heard = ask_all(self.stage, x, len(x), since=self.first)
        self.refused = heard.refused
        if len(heard.labels) < len(x):
            return None
        heights = np.log(np.maximum(heard.scores[:, wanted], 1e-12))
        return heights[self.stage.rng.permutation(len(heights))] if self.stage.control else heights


def _means(samples: Samples, classes: int) -> FloatArray:
    x = samples.x.reshape(len(samples), -1)
    y: IntArray = samples.y
    return np.stack([x[y == c].mean(axis=0) if np.any(y == c) else x.mean(axis=0) for c in range(classes)])


def _correlations(a: FloatArray, b: FloatArray) -> FloatArray:
    """Of every row of a with every row of b."""
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    return np.asarray((a @ b.T) / np.maximum(lengths, 1e-12))
