"""With the stolen model at the desk: search offline, see whether the service answers alike, replay.

``craft_offline`` runs PGD (attacks/evasion/transfer.py) on the stolen weights for every sample; nobody is asked.
Source: Madry et al. 2018; the case study AML.CS0010. Access: file (``stolen_model``). Cost: no query. Control: a random
point at the same distance. Result: one outcome for each sample, e.g. ``SampleOutcome(index=0, claimed=True,
confirmed=True, queries=0, distance=0.999)``, confirmed where the copy itself gets it wrong, ``before`` where it did so
anyway; holds ``crafted`` (n, d); figures ``offline_success``, and ``copy_accuracy`` on the ``training_data``, if held.

``compare_copy`` sends ``inputs`` of the samples, unchanged, to the interface and compares the labels with the copy's.
Access: label. Cost: one query for each. Result: one outcome for each, confirmed where they agree; figures
``agreement``. It has no control: it only reads.

``replay_crafted`` sends each crafted point once. Access: label. Cost: one query for each sample in each of ``rounds``.
Control: random points at the same distance. Result: one outcome for each sample, e.g. ``SampleOutcome(index=0,
claimed=True, confirmed=True, queries=1, distance=0.999)``, confirmed by five fresh answers of the judge, ``before``
where the judge's model was wrong on the sample already; figures ``replay_success`` (of those that worked offline, the
share that works live), ``service_error_rate`` (of all that was sent). Refused: another account, if there is one;
samples that were not reached are ``refused``.

Unlike in the paper, which trains with it, PGD starts at the sample and is run once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.asking import ask_all
from threatmatrix.emulate.attacks.base import EDGE, Setting, distance, unit
from threatmatrix.emulate.attacks.evasion.transfer import TransferParams, pgd
from threatmatrix.emulate.confirm import confirmed
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import FloatArray, IntArray
from threatmatrix.model.evidence import SampleOutcome

__all__ = [
    "CompareCopyParams",
    "CraftOfflineParams",
    "ReplayCraftedParams",
    "compare_copy",
    "craft_offline",
    "replay_crafted",
]


@dataclass(frozen=True, slots=True)
class CraftOfflineParams:
    """Of the gradient descent, as in ``transfer``."""

    steps: int = 100
    step: float = 0.1


@dataclass(frozen=True, slots=True)
class CompareCopyParams:
    """``inputs``: how many, at most."""

    inputs: int = 20


@dataclass(frozen=True, slots=True)
class ReplayCraftedParams:
    """``rounds``: how often each point is sent."""

    rounds: int = 1


def craft_offline(stage: Stage) -> Brought:
    """Search on the copy; see the module's docstring."""
    settings = stage.settings(CraftOfflineParams)
    model = stage.take("stolen_model", MLP)
    x, y = np.asarray(stage.samples.x, dtype=np.float64), stage.samples.y
    if stage.control:
        crafted = _random(stage, x)
    else:
        setting = Setting(stage.norm, stage.threshold, stage.target.bounds, x, y)
        params = TransferParams(settings.steps, settings.step)
        crafted = np.stack([pgd(model, row, int(label), setting, params) for row, label in zip(x, y, strict=True)])
    was, now = model.labels(x), model.labels(crafted)
    outcomes = tuple(
        SampleOutcome(
            index=i, claimed=bool(now[i] != y[i]), confirmed=bool(now[i] != y[i]), queries=0,
            distance=distance(x[i], crafted[i], stage.norm), before=bool(was[i] != y[i]),
        )
        for i in range(len(x))
    )  # fmt: skip
    figures = {"offline_success": float(np.mean(now != y))}
    data = stage.held.get("training_data")
    if isinstance(data, Samples):
        figures["copy_accuracy"] = float(np.mean(model.labels(data.x) == data.y))
    return Brought(outcomes=outcomes, holds={} if stage.control else {"crafted": crafted}, figures=figures)


def compare_copy(stage: Stage) -> Brought:
    """Ask what the copy can answer itself; see the module's docstring."""
    settings = stage.settings(CompareCopyParams)
    model = stage.take("stolen_model", MLP)
    x = stage.samples.x[: min(settings.inputs, stage.budget)]
    expected = model.labels(x)
    heard = ask_all(stage, x, 1, want_scores=False)
    answers, refused = heard.labels, heard.refused
    agree = [bool(answer == label) for answer, label in zip(answers, expected, strict=False)]
    outcomes = tuple(
        SampleOutcome(
            index=i, claimed=i < len(agree), confirmed=i < len(agree) and agree[i], queries=int(i < len(agree)),
            distance=0.0, refused=refused and i >= len(agree),
        )
        for i in range(len(x))
    )  # fmt: skip
    return Brought(outcomes=outcomes, figures={"agreement": float(np.mean(agree)) if agree else 0.0})


def replay_crafted(stage: Stage) -> Brought:
    """Send what was prepared; see the module's docstring."""
    settings = stage.settings(ReplayCraftedParams)
    x, y = np.asarray(stage.samples.x, dtype=np.float64), stage.samples.y
    crafted = _random(stage, x) if stage.control else stage.take("crafted", np.ndarray)
    was = stage.judge.labels(x)
    heard = ask_all(stage, np.concatenate([crafted] * settings.rounds), 1, want_scores=False)
    answers, refused = heard.labels, heard.refused
    outcomes = []
    for i in range(len(x)):
        reached = i < len(answers)
        success, away = (
            confirmed(stage.judge, x[i], int(y[i]), crafted[i], norm=stage.norm, threshold=stage.threshold)
            if reached
            else (False, float("inf"))
        )
        sent = len(range(i, len(answers), len(x)))
        outcomes.append(
            SampleOutcome(
                index=i, claimed=reached and bool(answers[i] != y[i]), confirmed=success, queries=sent, distance=away,
                refused=refused and not reached, before=bool(was[i] != y[i]),
            )
        )  # fmt: skip
    return Brought(outcomes=tuple(outcomes), figures=_figures(stage, crafted, answers))


def _figures(stage: Stage, crafted: FloatArray, answers: IntArray) -> dict[str, float]:
    y = np.resize(stage.samples.y, len(answers))
    wrong = answers != y
    figures = {"service_error_rate": float(np.mean(wrong)) if len(wrong) else 0.0}
    model = stage.held.get("stolen_model")
    if isinstance(model, MLP) and not stage.control:
        offline = np.resize(model.labels(crafted), len(answers)) != y
        figures["replay_success"] = float(np.mean(wrong[offline])) if np.any(offline) else 0.0
    return figures


def _random(stage: Stage, x: FloatArray) -> FloatArray:
    """Points at the full threshold in a random direction, clipped to the bounds."""
    limit = stage.threshold * EDGE
    drawn = stage.rng.normal(size=x.shape)
    delta = np.sign(drawn) * limit if stage.norm == "linf" else unit(drawn) * limit
    return np.asarray(np.clip(x + delta, *stage.target.bounds))
