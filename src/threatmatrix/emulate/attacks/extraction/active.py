"""Active: choose from a large pool what the copy knows least about, ask, train, choose again.

Source: Pal et al., "ActiveThief: model extraction using active learning and unannotated public data", 2020 (section 4:
uncertainty, k-center and their chain); Scheffer et al., "Active hidden Markov models", 2001 (margin). Access: label.
Cost: the procedure's budget: ``seeds`` inputs at random, the rest in ``rounds`` equal parts. The pool is the attacker's
own inputs and blends of two of them, as own data are seldom as many as a budget; the paper takes a foreign data set.

``choose``: ``uncertainty`` (entropy of the copy's answer), ``margin`` (the gap of its best two), ``k-center`` (greedy,
in the space of its answers), ``both`` (k-center among the most uncertain, the paper's chain).

Holds, figures, result record and control as for ``in_distribution`` (sources.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.extraction.sources import blends
from threatmatrix.emulate.attacks.extraction.stealing import Purchase, fit, judged, supply
from threatmatrix.emulate.attacks.extraction.trainer import Training
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import FloatArray, IntArray
from threatmatrix.model.errors import UnknownNameError

__all__ = ["STRATEGIES", "ActiveParams", "active"]

STRATEGIES = ("uncertainty", "margin", "k-center", "both")
WIDER = 3
"""``both``: k-center chooses from so many times the number that it takes, the most uncertain ones."""


@dataclass(frozen=True, slots=True)
class ActiveParams:
    """Of the choice and of the copy."""

    choose: str = "both"
    seeds: int = 60
    rounds: int = 5
    pool: int = 3000
    rows: int = 50
    hidden: int = 128
    round_steps: int = 400
    steps: int = 2000


def active(stage: Stage) -> Brought:
    """Steal by inputs that the copy is unsure of; see the module's docstring."""
    params = stage.settings(ActiveParams)
    if params.choose not in STRATEGIES:
        raise UnknownNameError("choice of queries", params.choose, STRATEGIES)
    data = supply(stage)
    own = data.own
    pool = np.concatenate([own, blends(own, max(0, params.pool - len(own)), stage.rng)])
    pool = pool[np.concatenate([stage.rng.permutation(len(own)), np.arange(len(own), len(pool))])]
    purchase = Purchase(stage, params.rows)
    purchase.buy(pool[: params.seeds])
    pool = pool[params.seeds :]
    each = max(1, -(-purchase.left // params.rounds))
    while purchase.left and not purchase.refused and len(pool):
        booty = purchase.booty()
        copy = fit(booty, Training(hidden=(params.hidden,), steps=params.round_steps), stage.rng)
        chosen = _choose(params.choose, copy, pool, booty.x, min(each, purchase.left, len(pool)))
        purchase.buy(pool[chosen])
        pool = np.delete(pool, chosen, axis=0)
    copy = fit(purchase.booty(), Training(hidden=(params.hidden,), steps=params.steps), stage.rng)
    return judged(stage, copy, purchase, data)


def _choose(strategy: str, copy: MLP, pool: FloatArray, asked: FloatArray, n: int) -> IntArray:
    """Indices (n,) into the pool."""
    answers = copy.scores(pool)
    if strategy == "margin":
        best = np.sort(answers, axis=1)
        return np.argsort(best[:, -1] - best[:, -2], kind="stable")[:n]
    entropy = -np.sum(answers * np.log(answers + 1e-12), axis=1)
    unsure = np.argsort(-entropy, kind="stable")
    if strategy == "uncertainty":
        return unsure[:n]
    among = unsure[: WIDER * n] if strategy == "both" else np.arange(len(pool))
    return np.asarray(among[_k_center(answers[among], copy.scores(asked), n)])


def _k_center(points: FloatArray, centres: FloatArray, n: int) -> IntArray:
    """Greedy: n times the point that is farthest from every centre so far."""
    gaps = np.sum(points**2, axis=1)[:, None] + np.sum(centres**2, axis=1) - 2 * points @ centres.T
    away = gaps.min(axis=1)
    chosen = np.zeros(n, dtype=np.int64)
    for i in range(n):
        chosen[i] = np.argmax(away)
        away = np.minimum(away, np.sum((points - points[chosen[i]]) ** 2, axis=1))
        away[chosen[i]] = -1.0
    return chosen
