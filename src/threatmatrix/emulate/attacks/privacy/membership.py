"""Membership: was this record in the training data? By one threshold on confidence, or by labels alone.

Source: Yeom et al., "Privacy risk in machine learning: analyzing the connection to overfitting", 2018 (a threshold on
the loss); Choquette-Choo et al., "Label-only membership inference attacks", 2021 (how long the label stays as the
record is disturbed). Access: score for ``confidence_threshold``, label for ``label_only``. Cost: 1 query for each
record; for ``label_only`` as many as there are ``copies`` at each strength.

The papers take the threshold from the training loss or from known members. Here the attacker only expects that a
``share`` of the candidates are members, and calls so many of them members. A disturbed record has a part of its
values replaced by random ones, which is the paper's noise for tables; gaussian noise told less on both reference
models. Some records keep their label under any noise, so that the target is compared with ``shadows`` models of one's
own, each trained on a random half of the candidates and of ``public`` records (Watson et al., "On the importance of
difficulty calibration in membership inference attacks", 2022).

Needs ``members`` and ``non_members`` (records.py). Figures: ``auc``, ``tpr_at_1pct_fpr`` (share of the members that are
named while 1 % of the others are), ``accuracy``. Result of one record, e.g. ``SampleOutcome(index=3, claimed=True,
confirmed=True, queries=1, distance=0.0)``: confirmed where it was told right, which one guess in two is by chance.
Control: the same answers, handed out by lot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.privacy.records import asked, candidates, told
from threatmatrix.emulate.attacks.privacy.shadows import comparison
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import FloatArray, IntArray

__all__ = ["ConfidenceParams", "LabelOnlyParams", "confidence_threshold", "label_only"]


@dataclass(frozen=True, slots=True)
class ConfidenceParams:
    """Of the records."""

    each: int = 250  # members, and as many non-members
    share: float = 0.5  # of the candidates that are expected to be members
    rows: int = 10  # in one request


@dataclass(frozen=True, slots=True)
class LabelOnlyParams:
    """Of the records, of the model to compare with, and of the noise."""

    each: int = 250
    share: float = 0.5
    shadow: str = "mlp"  # mlp or forest, what the target is taken for
    shadows: int = 8  # 0: compare with none
    rows: int = 32
    replaced: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5)  # strengths: shares of the values
    copies: int = 8  # of each strength


def confidence_threshold(stage: Stage) -> Brought:
    """Tell members by the score of their true label; see the module's docstring."""
    params = stage.settings(ConfidenceParams)
    found = candidates(stage, params.each)
    sight = asked(stage, found.records.x, params.rows)
    evidence = sight.answers[np.arange(len(found.records)), found.records.y]
    return told(stage, found, evidence, float(np.quantile(evidence, 1 - params.share)), sight)


def label_only(stage: Stage) -> Brought:
    """Tell members by how much noise their label bears; see the module's docstring."""
    params = stage.settings(LabelOnlyParams)
    found = candidates(stage, params.each)
    x, y = found.records.x, found.records.y
    disturbed = _disturbed(stage, x, np.repeat(np.asarray(params.replaced, dtype=np.float64), params.copies))
    sight = asked(stage, disturbed, params.rows, want_scores=False)
    evidence = _endurance(np.argmax(sight.answers, axis=1), y)
    if params.shadows:
        _, shadows = comparison(stage, params.shadow, params.shadows, found.records)
        others = [_endurance(np.argmax(shadow.scores(disturbed), axis=1), y) for shadow in shadows]
        evidence = evidence - np.mean(others, axis=0)
    return told(stage, found, evidence, float(np.quantile(evidence, 1 - params.share)), sight)


def _disturbed(stage: Stage, x: FloatArray, strengths: FloatArray) -> FloatArray:
    """Every record once for each strength, with so many of its values drawn anew between the bounds."""
    rows = np.repeat(x, len(strengths), axis=0)
    drawn = stage.rng.uniform(*stage.target.bounds, rows.shape)
    return np.where(stage.rng.random(rows.shape) < np.tile(strengths, len(x))[:, None], drawn, rows)


def _endurance(labels: IntArray, y: IntArray) -> FloatArray:
    """The share of a record's copies that still has its label."""
    return np.asarray(np.mean(labels.reshape(len(y), -1) == y[:, None], axis=1))
