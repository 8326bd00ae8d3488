"""What the attacks on texts share: asking in batches until somebody says no, and sending what was crafted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import distance
from threatmatrix.emulate.confirm import confirmed
from threatmatrix.emulate.stage import Stage
from threatmatrix.emulate.target import FloatArray, IntArray, Rows, texts
from threatmatrix.model.errors import TargetRefused
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["Heard", "ask_all", "benign_score", "send_crafted"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back: of the first m rows the labels (m,) and scores (m, k); ``refused``: the rest was not answered.

    Where the target gives labels only, scores are 1 at the label and 0 elsewhere.
    """

    labels: IntArray
    scores: FloatArray
    graded: bool  # real scores, not just labels
    refused: bool


def ask_all(stage: Stage, rows: Rows, batch: int, *, since: int | None = None) -> Heard:
    """Ask all rows, ``batch`` in one request, each at most once; another account goes on where one is refused.

    Sends no more than the stage's budget, refused rows included, and stops when every account was refused. ``since``:
    what the target's count was when the step began, where it has asked before.
    """
    labels, scores = [np.zeros(0, dtype=np.int64)], [np.zeros((0, stage.target.classes))]
    start, refused, graded = 0, False, True
    first = stage.target.queries if since is None else since
    while start < len(rows) and not refused:
        part = rows[start : start + min(batch, stage.budget - (stage.target.queries - first))]
        if not len(part):
            break
        try:
            answer = stage.target.ask(part, want_scores=True)
        except TargetRefused:
            refused = not stage.target.accounts.refused()
            continue
        graded = graded and answer.scores is not None
        labels.append(answer.labels)
        scores.append(np.eye(stage.target.classes)[answer.labels] if answer.scores is None else answer.scores)
        start += len(part)
    return Heard(np.concatenate(labels), np.concatenate(scores), graded, refused)


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
