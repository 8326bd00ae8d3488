"""LiRA: a likelihood ratio for each record, from models that did and did not learn from it.

Source: Carlini et al., "Membership inference attacks from first principles", 2022 (algorithm 1, online; one variance
for all records, as they advise where shadow models are few). Access: score. Cost: 1 query for each record.

The attacker trains ``shadows`` models, each on a random half of the candidates and of his own records (``public``),
takes the logit of each record's true label from all of them, and fits one normal distribution to the models with the
record and one to those without. The target's own logit is likelier under one of the two. Unlike in the paper, scores
are clipped before the logit, as a forest's may be 0 or 1, and no augmented copies are asked.

Needs, figures, result record and control as for ``confidence_threshold`` (membership.py); the verdict is the ratio's
sign.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.privacy.records import BoolArray, asked, candidates, told
from threatmatrix.emulate.attacks.privacy.shadows import comparison
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import FloatArray, IntArray
from threatmatrix.model.errors import UsageError

__all__ = ["LiraParams", "lira"]

CLIP = 1e-3


@dataclass(frozen=True, slots=True)
class LiraParams:
    """Of the records and of the shadow models."""

    each: int = 250
    shadows: int = 16
    shadow: str = "mlp"
    rows: int = 10


def lira(stage: Stage) -> Brought:
    """Tell members by likelihood ratios; see the module's docstring."""
    params = stage.settings(LiraParams)
    if params.shadows < 4:
        raise UsageError("LiRA needs 4 shadow models at least")
    found = candidates(stage, params.each)
    x, y = found.records.x, found.records.y
    inside, shadows = comparison(stage, params.shadow, params.shadows, found.records)
    logits = np.stack([_logit(shadow.scores(x), y) for shadow in shadows])
    sight = asked(stage, found.records.x, params.rows)
    ratio = _ratio(_logit(sight.answers, y), logits, inside)
    return told(stage, found, ratio, 0.0, sight)


def _logit(scores: FloatArray, y: IntArray) -> FloatArray:
    p = np.clip(scores[np.arange(len(y)), y], CLIP, 1 - CLIP)
    return np.asarray(np.log(p) - np.log1p(-p))


def _ratio(seen: FloatArray, logits: FloatArray, inside: BoolArray) -> FloatArray:
    """Logarithm of the likelihood with the record, less that without it: (n,)."""
    density = []
    for part in (inside, ~inside):
        mean = np.sum(logits * part, axis=0) / part.sum(axis=0)
        spread = float(np.sqrt(np.sum(part * (logits - mean) ** 2) / part.sum())) + 1e-6
        density.append(-(((seen - mean) / spread) ** 2) / 2 - np.log(spread))
    return np.asarray(density[0] - density[1])
