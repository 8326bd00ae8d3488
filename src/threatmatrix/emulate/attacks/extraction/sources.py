"""Steal a model by asking about inputs that are chosen before the first answer: random ones, or real ones.

Source: Tramèr et al., "Stealing machine learning models via prediction APIs", 2016 (section 5, random queries with
retraining); Orekondy, Schiele, Fritz, "Knockoff nets", 2019 (in-distribution: natural inputs of the same kind, drawn
at random). Access: label; with scores the copy learns the whole answer, and where these are exact it learns the logits,
which the papers' copies do not. Cost: the procedure's budget, in requests of ``rows``.

``random_queries`` draws each value within the target's bounds by a power law, ``u ** power``: 1 is uniform, larger
powers leave most values near the lower bound, as they are in pictures with a dark ground. With ``power: 0`` the
attacker finds out: a few rows of each of some powers, and the rest by the one whose answers are spread most evenly over
the classes, where one answer tells most. ``in_distribution`` asks about the attacker's own inputs; where these are
fewer than the budget, it goes on with blends of two of them.

Holds ``surrogate`` (a model with a gradient). Figures: ``fidelity`` (agreement with the target on held-out inputs,
asked again), ``accuracy`` and ``victim_accuracy`` (with the true labels), ``chance`` (agreement of always saying the
target's most frequent label), ``queries``. Result of one held-out input, e.g. ``SampleOutcome(index=3, claimed=True,
confirmed=True, queries=4, distance=0.0)``. Control: the same queries, and the answers handed out by lot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.extraction.stealing import Purchase, drawn, fit, judged, supply
from threatmatrix.emulate.attacks.extraction.trainer import Training
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import FloatArray

__all__ = ["InDistributionParams", "RandomQueriesParams", "blends", "in_distribution", "random_queries"]

POWERS = (1.0, 2.0, 3.0, 5.0, 0.5)
"""What ``power: 0`` tries."""


@dataclass(frozen=True, slots=True)
class RandomQueriesParams:
    """Of the queries and of the copy."""

    power: float = 0.0  # 1: uniform between the bounds; 0: find out
    rows: int = 50  # in one request
    hidden: int = 128  # units of the copy's hidden layer
    steps: int = 2000  # of its training


@dataclass(frozen=True, slots=True)
class InDistributionParams:
    """Of the queries and of the copy."""

    rows: int = 50
    hidden: int = 128
    steps: int = 2000


def random_queries(stage: Stage) -> Brought:
    """Steal by random inputs; see the module's docstring."""
    params = stage.settings(RandomQueriesParams)
    purchase = Purchase(stage, params.rows)
    power = params.power or _best_power(stage, purchase)
    purchase.buy(drawn(stage, purchase.left, power))
    return _copied(stage, purchase, params.hidden, params.steps)


def _best_power(stage: Stage, purchase: Purchase) -> float:
    """The power whose answers are spread most evenly; each is tried with a twentieth of the budget."""
    spread = []
    for power in POWERS:
        answers = purchase.buy(drawn(stage, stage.budget // 20, power))
        share = answers.mean(axis=0) if len(answers) else np.ones(1)
        spread.append(-float(np.sum(share * np.log(share + 1e-12))))
    return POWERS[stage.rng.integers(len(POWERS)) if stage.control else int(np.argmax(spread))]


def in_distribution(stage: Stage) -> Brought:
    """Steal by inputs of the right kind; see the module's docstring."""
    params = stage.settings(InDistributionParams)
    own = supply(stage).own
    asked = own[stage.rng.permutation(len(own))[: stage.budget]]
    if len(asked) < stage.budget:
        asked = np.concatenate([asked, blends(own, stage.budget - len(asked), stage.rng)])
    purchase = Purchase(stage, params.rows)
    purchase.buy(asked)
    return _copied(stage, purchase, params.hidden, params.steps)


def blends(own: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    """N inputs, each somewhere between two of one's own."""
    first, second = own[rng.integers(len(own), size=n)], own[rng.integers(len(own), size=n)]
    share = rng.uniform(0.2, 0.8, (n, 1))
    return np.asarray(share * first + (1 - share) * second)


def _copied(stage: Stage, purchase: Purchase, hidden: int, steps: int) -> Brought:
    copy = fit(purchase.booty(), Training(hidden=(hidden,), steps=steps), stage.rng)
    return judged(stage, copy, purchase, supply(stage))
