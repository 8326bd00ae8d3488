"""What every membership attack shares: the records in question, what the target says of them, the verdicts.

Candidates are records of which the attacker does not know whether the target learned from them. They are held in two
parts, ``members`` and ``non_members`` (``Samples``), which is how the truth gets here; the attacks see them as one
shuffled list with their labels, and the parts are looked at again only to judge.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from threatmatrix.emulate.attacks.asking import ask_all
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import FloatArray, Rows
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["PUBLIC", "BoolArray", "Candidates", "Sight", "area_under_curve", "asked", "candidates", "told"]

PUBLIC = "public"
"""Held by who has records of the same kind that the target surely did not learn from: ``Samples``."""

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Records in an order drawn by lot; ``truth`` (n,): which of them are members, for the judgement alone."""

    records: Samples
    truth: BoolArray = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sight:
    """What the target said of n rows: (n, k) shares of the classes, and how many rows were answered."""

    answers: FloatArray
    reached: int
    refused: bool


def candidates(stage: Stage, each: int) -> Candidates:
    """At most ``each`` members and as many non-members."""
    members, others = stage.take("members", Samples), stage.take("non_members", Samples)
    n = min(each, len(members), len(others))
    parts = [part.at(stage.rng.permutation(len(part))[:n]) for part in (members, others)]
    x, y = np.concatenate([p.x for p in parts]), np.concatenate([p.y for p in parts])
    order = stage.rng.permutation(2 * n)
    return Candidates(Samples(x[order], y[order]), order < n)


def asked(stage: Stage, x: Rows, rows: int, *, want_scores: bool = True) -> Sight:
    """Ask for n rows within the budget; rows that were not reached have equal shares for all classes."""
    answers = np.full((len(x), stage.target.classes), 1.0 / stage.target.classes)
    heard = ask_all(stage, x, rows, want_scores=want_scores)
    answers[: len(heard.labels)] = heard.scores
    return Sight(answers, len(heard.labels), heard.refused)


def area_under_curve(scores: FloatArray, truth: BoolArray) -> float:
    """The chance that a member has the higher score; equal scores count half."""
    values, rank = np.unique(scores, return_inverse=True)
    ins = np.bincount(rank[truth], minlength=len(values))
    outs = np.bincount(rank[~truth], minlength=len(values))
    below = np.cumsum(outs) - outs
    return float(np.sum(ins * (below + 0.5 * outs)) / max(1, ins.sum() * outs.sum()))


def told(stage: Stage, found: Candidates, evidence: FloatArray, threshold: float, sight: Sight) -> Brought:
    """One outcome for each record: whether it was told right. ``evidence`` (n,) above the threshold says member.

    For the control the evidence is handed out by lot. Whether a record is a member is in no answer of the target:
    the held parts are the judge.
    """
    if stage.control:
        evidence = evidence[stage.rng.permutation(len(evidence))]
    guess = evidence > threshold
    each = len(sight.answers) // len(guess)
    outcomes = tuple(
        SampleOutcome(
            index=i, claimed=True, confirmed=bool(g == t) and (i + 1) * each <= sight.reached,
            queries=min(each, max(0, sight.reached - i * each)), distance=0.0,
            refused=sight.refused and (i + 1) * each > sight.reached,
        )
        for i, (g, t) in enumerate(zip(guess, found.truth, strict=True))
    )  # fmt: skip
    strict = np.quantile(evidence[~found.truth], 0.99, method="higher")
    figures = {
        "auc": area_under_curve(evidence, found.truth),
        "tpr_at_1pct_fpr": float(np.mean(evidence[found.truth] > strict)),
        "accuracy": float(np.mean(guess == found.truth)),
    }
    return Brought(outcomes=outcomes, figures=figures)
