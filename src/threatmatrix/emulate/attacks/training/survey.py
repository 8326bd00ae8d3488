"""Ask a model what anybody may ask it: about inputs of the attacker's own, and, later, what the public gets to hear.

Source: Adversarial ML Threat Matrix, case study "Tay poisoning" (execution via the API; defacement). Access: label,
and scores where there are any. Cost: one query for each row.

``survey_answers`` asks about the attacker's own ``reports`` and holds ``caught``: Samples of the class ``source`` that
the model recognises, those of which it is surest first. Result: one outcome, e.g. ``SampleOutcome(index=0,
claimed=True, confirmed=True, queries=150, distance=0.0)``; confirmed where there was an answer. Figure:
``caught_share``.

``public_mistakes`` asks about every held-out input of the class ``source`` as any user would. Result: one outcome for
each, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=1, distance=0.0, before=False)``; claimed
where the attacker, confirmed where the auditor gets the answer ``label``. Whether it was so before the poisoning is
taken from ``passed_before``, which feedback poisoning holds. Figure: ``mistakes``, their share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.asking import ask_all
from threatmatrix.emulate.attacks.training.base import outcomes_of
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["PublicMistakesParams", "SurveyAnswersParams", "public_mistakes", "survey_answers"]


@dataclass(frozen=True, slots=True)
class SurveyAnswersParams:
    """``each``: rows in one request."""

    source: int = 1
    each: int = 5


@dataclass(frozen=True, slots=True)
class PublicMistakesParams:
    """``label``: the answer that embarrasses; ``each``: rows in one request."""

    source: int = 1
    label: int = 0
    each: int = 5


def survey_answers(stage: Stage) -> Brought:
    """Ask about what is at hand; see the module's docstring."""
    params = stage.settings(SurveyAnswersParams)
    reports, start = stage.take("reports", Samples), stage.target.queries
    heard = ask_all(stage, reports.x, params.each)
    own = reports.y[: len(heard.labels)] == params.source
    caught = np.flatnonzero(own & (heard.labels == params.source))
    if heard.graded:
        caught = caught[np.argsort(-heard.scores[caught, params.source], kind="stable")]
    answered = len(heard.labels) > 0
    outcome = SampleOutcome(
        index=0, claimed=answered, confirmed=answered, queries=stage.target.queries - start,
        distance=0.0, refused=heard.refused,
    )  # fmt: skip
    return Brought(
        outcomes=(outcome,),
        holds={"caught": reports.at(caught)},
        figures={"caught_share": len(caught) / max(1, int(own.sum()))},
    )


def public_mistakes(stage: Stage) -> Brought:
    """Ask what everybody hears now; see the module's docstring."""
    params = stage.settings(PublicMistakesParams)
    rows, start = stage.samples.x[stage.samples.y == params.source], stage.target.queries
    heard = ask_all(stage, rows, params.each)
    claimed = np.zeros(len(rows), dtype=np.bool_)
    claimed[: len(heard.labels)] = heard.labels == params.label
    before = stage.held.get("passed_before")
    if not isinstance(before, np.ndarray) or len(before) != len(rows):
        before = np.zeros(len(rows), dtype=np.bool_)
    confirmed = stage.judge.labels(rows) == params.label
    return Brought(
        outcomes=outcomes_of(confirmed, before, claimed, queries=stage.target.queries - start, refused=heard.refused),
        figures={"mistakes": float(np.mean(confirmed))},
    )
