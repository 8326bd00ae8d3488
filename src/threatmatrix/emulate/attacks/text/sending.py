"""What the attacks on texts share: sending what was crafted, and what a score says for a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from threatmatrix.emulate.attacks.asking import ask_all
from threatmatrix.emulate.attacks.base import distance
from threatmatrix.emulate.confirm import confirmed
from threatmatrix.emulate.stage import Stage
from threatmatrix.emulate.target import FloatArray, IntArray, texts
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["benign_score", "send_crafted"]


def send_crafted(stage: Stage, crafted: Mapping[int, str], order: Sequence[int]) -> tuple[SampleOutcome, ...]:
    """Send each crafted text once, one a request, and have the judge confirm by fresh queries.

    ``crafted``: by index of the stage's samples. What was not reached, as every account was refused or the budget was
    spent, is no success.
    """
    was = dict(zip(order, stage.judge.labels(stage.samples.x[list(order)]).tolist(), strict=True)) if order else {}
    outcomes, refused, since = [], False, stage.target.queries
    for index in order:
        x, y, final = stage.samples.x[index], int(stage.samples.y[index]), crafted[index]
        before = stage.target.queries
        heard = None if refused else ask_all(stage, texts([final]), 1, since=since)
        refused = refused or (heard is not None and heard.refused)
        reached = heard is not None and len(heard.labels) == 1
        good, away = False, distance(x, final, stage.norm)
        if reached:
            good, away = confirmed(stage.judge, x, y, final, norm=stage.norm, threshold=stage.threshold)
        outcomes.append(
            SampleOutcome(
                index=index, claimed=reached and heard is not None and bool(heard.labels[0] != y), confirmed=good,
                queries=stage.target.queries - before, distance=away, refused=refused, before=was[index] != y,
            )
        )  # fmt: skip
    return tuple(outcomes)


def benign_score(scores: FloatArray, y: IntArray) -> FloatArray:
    """What the target gives to all classes but the true one: (n, k) and (n,) → (n,)."""
    return np.asarray(1.0 - scores[np.arange(len(y)), y])
