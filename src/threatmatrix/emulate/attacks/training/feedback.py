"""Feedback poisoning: a crowd of sybils teaches a model that learns from its users what is not so.

Source: Microsoft, "Learning from Tay's introduction", 2016; for the size of the effect Barreno et al., "The security
of machine learning", 2010 (section 4.2: causative availability attacks). Access: feedback. Cost: one query for each
report, and one for each held-out input, by which the attacker sees what he has done.

The attacker reports inputs of one class as another one, over and over: those of which the model is surest (``caught``,
from a survey; else his own ``reports`` of the class). He goes in stages: until his reports are so many shares of all
that the model has learnt from, as far as he knows (``taught``, the number of reports of which the service boasts).
Accounts report in turn. As control, the same number of reports of inputs drawn from all ``reports`` with labels by
chance. How it differs from the case: feedback is a label here, not a sentence.

Result: one outcome for each held-out input of the class, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True,
queries=4, distance=0.0, refused=False, before=False)``; confirmed where the auditor is told that it is the other
class. Holds ``passed_before`` (one truth value for each). Figures: ``fnr_before``, ``fnr_after_10`` … for each share
that was reached, ``fnr_after``, ``reports``, ``accounts``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.asking import ask_all
from threatmatrix.emulate.attacks.training.base import outcomes_of, room, taught_by
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.model.errors import UsageError

__all__ = ["FeedbackPoisoningParams", "feedback_poisoning"]


@dataclass(frozen=True, slots=True)
class FeedbackPoisoningParams:
    """``shares`` of what the model learnt from, in rising order. ``surest``: the part of ``caught`` that is reported.
    ``each``: reports in one request.
    """

    source: int = 1
    label: int = 0
    shares: tuple[float, ...] = (0.1, 0.2, 0.4)
    surest: float = 0.5
    each: int = 3


def feedback_poisoning(stage: Stage) -> Brought:
    """Teach, in stages, and measure after each; see the module's docstring."""
    params = stage.settings(FeedbackPoisoningParams)
    wanted = _wanted(params, stage.take("taught", int))
    units, start = stage.samples.x[stage.samples.y == params.source], stage.target.queries
    passed = before = stage.judge.labels(units) == params.label
    figures = {"fnr_before": float(np.mean(before))}
    lies, told, refused = _lies(stage, params, wanted[-1]), 0, False
    for share, until in zip(params.shares, wanted, strict=True):
        done, refused = taught_by(stage, lies.at(np.arange(told, until)), params.each, room(stage, start))
        told += done
        passed = stage.judge.labels(units) == params.label if done else passed
        if told < until:
            break
        figures[f"fnr_after_{round(100 * share)}"] = float(np.mean(passed))
    figures |= {"fnr_after": float(np.mean(passed)), "reports": told, "accounts": len(stage.target.accounts.keys)}
    claimed = np.zeros(len(units), dtype=np.bool_)
    if not refused:
        said = ask_all(stage, units, 5 * params.each, since=start).labels
        claimed[: len(said)] = said == params.label
    spent = stage.target.queries - start
    return Brought(
        outcomes=outcomes_of(passed, before, claimed, queries=spent, refused=refused),
        holds={"passed_before": before},
        figures=figures,
    )


def _wanted(params: FeedbackPoisoningParams, taught: int) -> list[int]:
    """How many reports make each share of everything that was learnt; raises UsageError."""
    shares = params.shares
    if not shares or any(not 0.0 < share < 1.0 for share in shares) or list(shares) != sorted(shares):
        raise UsageError(f"shares must rise and lie between 0 and 1, not {list(shares)}")
    return [round(taught * share / (1.0 - share)) for share in shares]


def _lies(stage: Stage, params: FeedbackPoisoningParams, n: int) -> Samples:
    """What is reported, n rows: what the model is surest of, in turn; for the control anything, with any label."""
    reports = stage.take("reports", Samples)
    if stage.control:
        chosen = reports.at(stage.rng.integers(0, len(reports), n))
        return Samples(chosen.x, stage.rng.integers(0, stage.target.classes, n))
    caught = stage.held.get("caught")
    known = caught if isinstance(caught, Samples) and len(caught) else reports.at(
        np.flatnonzero(reports.y == params.source)
    )  # fmt: skip
    used = max(1, round(params.surest * len(known)))
    order = np.resize(np.arange(used), n)
    return Samples(known.x[order], np.full(n, params.label, dtype=np.int64))
