"""What every theft of a model shares: answers that are bought and counted, a copy trained on them, its fidelity.

Source: Jagielski et al., "High accuracy and high fidelity extraction of neural networks", 2020 (what fidelity is, and
why it is measured on data of the victim's kind). Access: label or score. Cost: what the attack asks; nothing here
asks the target but :meth:`Purchase.buy`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from threatmatrix.emulate.attacks.asking import ask_all, even_shares
from threatmatrix.emulate.attacks.extraction.trainer import Training, train_mlp
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import FloatArray, IntArray
from threatmatrix.model.errors import UsageError
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["PUBLIC", "Booty", "Purchase", "Supply", "drawn", "fit", "judged", "supply", "vectors"]

PUBLIC = "public"
"""Held by who has inputs of the right kind: ``Samples`` that are neither attacked nor held out."""

LOGITS = 0.1
"""Weight of the logits beside the labels, where scores are exact."""

DECIMALS = 6
"""Scores that are whole multiples of 10 to the power of minus this were rounded: their small ones say nothing."""


@dataclass(frozen=True, slots=True)
class Booty:
    """What was bought: inputs (n, d), answers (n, k) that add up to 1, and whether those are exact scores."""

    x: FloatArray
    answers: FloatArray
    exact: bool


@dataclass(slots=True)
class Purchase:
    """Answers of the target. ``refused``: every account was; ``left``: rows that the budget still pays for."""

    stage: Stage
    rows: int  # in one request
    refused: bool = False
    left: int = field(init=False)
    _first: int = field(init=False)
    _x: list[FloatArray] = field(default_factory=list)
    _answers: list[FloatArray] = field(default_factory=list)
    _scored: bool = True

    def __post_init__(self) -> None:
        self.left = self.stage.budget
        self._first = self.stage.target.queries

    @property
    def asked(self) -> int:
        """Rows that were sent, refused ones too."""
        return self.stage.target.queries - self._first

    @property
    def answered(self) -> bool:
        """Whether anything was bought."""
        return bool(self._x)

    def buy(self, x: FloatArray) -> FloatArray:
        """Ask for as many of these rows as the budget pays for; the answers that came (m, k), m at most n."""
        if self.refused or not self.left:
            x = x[:0]
        heard = ask_all(self.stage, x, self.rows, since=self._first)
        got = len(heard.labels)
        if got:
            self._x.append(x[:got])
            self._answers.append(heard.scores)
        self.refused, self._scored = self.refused or heard.refused, self._scored and heard.graded
        self.left = self.stage.budget - self.asked if got == len(x) and self.left else 0
        return heard.scores

    def booty(self) -> Booty:
        """All that was bought, which may be nothing; for the control its answers in an order drawn by lot."""
        target = self.stage.target
        x = np.concatenate([np.zeros((0, int(np.prod(target.input_shape)))), *self._x])
        answers = np.concatenate([np.zeros((0, target.classes)), *self._answers])
        if self.stage.control:
            answers = answers[self.stage.rng.permutation(len(answers))]
        return Booty(x, answers, self._scored and len(x) > 0 and _exact(answers))


def _exact(answers: FloatArray) -> bool:
    """Full scores: none is zero, and they are not rounded to a few decimals."""
    return bool(
        answers.min(initial=1.0) > 0.0 and not np.allclose(answers, np.round(answers, DECIMALS), rtol=0.0, atol=1e-12)
    )


def fit(booty: Booty, how: Training, rng: np.random.Generator, *, start: MLP | None = None) -> MLP:
    """Train a copy. Exact scores give the logits away up to a constant, so the copy is pulled towards those too."""
    return train_mlp(booty.x, booty.answers, replace(how, logits=LOGITS) if booty.exact else how, rng, start=start)


def drawn(stage: Stage, n: int, power: float) -> FloatArray:
    """N random inputs (n, d) between the target's bounds; a power above 1 leaves most values near the lower one."""
    low, high = stage.target.bounds
    return np.asarray(low + (high - low) * stage.rng.random((n, int(np.prod(stage.target.input_shape)))) ** power)


def vectors(samples: Samples) -> FloatArray:
    """The inputs as (n, d) float64; raises UsageError for texts and files."""
    if samples.x.dtype.kind != "f":
        raise UsageError("this attack needs inputs that are numbers", hint="Texts and files have attacks of their own")
    return np.asarray(samples.x.reshape(len(samples), -1), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Supply:
    """The attacker's own inputs (m, d), the held-out ones, and the numbers of these among the samples."""

    own: FloatArray
    held_out: Samples
    number: IntArray


def supply(stage: Stage) -> Supply:
    """With ``public`` data in hand all samples are held out; without, every second one is the attacker's own."""
    public = stage.held.get(PUBLIC)
    number = np.arange(len(stage.samples))
    if isinstance(public, Samples) and len(public):
        return Supply(vectors(public), stage.samples, number)
    if len(number) < 2:
        raise UsageError("this attack needs two samples at least: one to ask about, one to judge by")
    return Supply(vectors(stage.samples.at(number[1::2])), stage.samples.at(number[::2]), number[::2])


def judged(stage: Stage, copy: MLP, purchase: Purchase, data: Supply) -> Brought:
    """One outcome for each held-out input: whether the copy says what the target says when it is asked again.

    A copy that has learned nothing, as every request was refused, agrees on nothing.
    """
    x, truth = vectors(data.held_out), data.held_out.y
    theirs, ours = stage.judge.labels(x), copy.labels(x)
    outcomes = tuple(
        SampleOutcome(
            index=int(i), claimed=True, confirmed=purchase.answered and bool(a == b), distance=0.0,
            queries=share, refused=purchase.refused,
        )
        for i, a, b, share in zip(data.number, ours, theirs, even_shares(purchase.asked, len(x)), strict=True)
    )  # fmt: skip
    figures = {
        "fidelity": float(np.mean(ours == theirs)),
        "accuracy": float(np.mean(ours == truth)),
        "victim_accuracy": float(np.mean(theirs == truth)),
        "chance": float(np.max(np.bincount(theirs)) / len(theirs)),
        "queries": float(purchase.asked),
    }
    return Brought(outcomes=outcomes, holds={"surrogate": copy}, figures=figures)
