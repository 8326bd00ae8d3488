"""Present takes to a live check through a virtual camera, each under its victim's name.

Source: MITRE ATLAS AML.CS0004 (the video of an animated photograph in place of the camera's); ISO/IEC 30107-3 (how such
presentations are counted: the share of those that are accepted). Access: label. Cost: one query for each take.

A sample is what the camera would deliver of the bare photograph: frames in a row, and behind them who is claimed. A
unit is a victim: claimed where the answer to the victim's take was ``accepted``, confirmed where the auditor's answer
to the same take is; ``before`` is the photograph as it is. Needs ``takes`` (animate.py), and ``accepted``, the label of
success. Control: under the same claim the take of somebody else, drawn by lot. Figures: ``accepted`` (the share of
presentations), ``still_accepted`` (that of the bare photographs).

Result of one victim, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=1, distance=0.0)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.asking import ask_all
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import FloatArray
from threatmatrix.model.errors import UsageError
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["PresentTakesParams", "present_takes"]


@dataclass(frozen=True, slots=True)
class PresentTakesParams:
    """There is nothing to choose."""


def present_takes(stage: Stage) -> Brought:
    """Send each take once; see the module's docstring."""
    stage.settings(PresentTakesParams)
    accepted = stage.take("accepted", int)
    takes = stage.take("takes", np.ndarray)
    if takes.shape != stage.samples.x.shape:
        raise UsageError("the takes do not belong to these samples", hint="Animate the same photographs first")
    rows = _swapped(takes, stage) if stage.control else takes
    before = stage.judge.labels(stage.samples.x) == accepted
    heard = ask_all(stage, rows, 1)
    reached = len(heard.labels)
    confirmed = np.zeros(len(rows), dtype=bool)
    confirmed[:reached] = stage.judge.labels(rows[:reached]) == accepted if reached else False
    outcomes = tuple(
        SampleOutcome(
            index=i, claimed=i < reached and bool(heard.labels[i] == accepted), confirmed=bool(confirmed[i]),
            queries=int(i < reached), distance=0.0, refused=heard.refused and i >= reached, before=bool(before[i]),
        )
        for i in range(len(rows))
    )  # fmt: skip
    figures = {
        "accepted": float(np.mean(heard.labels == accepted)) if reached else 0.0,
        "still_accepted": float(np.mean(before)),
    }
    return Brought(outcomes=outcomes, figures=figures)


def _swapped(takes: FloatArray, stage: Stage) -> FloatArray:
    """Each claim with the take of another victim."""
    pixels = stage.take("take_frames", int) * stage.take("take_pixels", int)
    order = stage.rng.permutation(len(takes))
    other = np.empty(len(takes), dtype=np.int64)
    other[order] = np.roll(order, 1)
    return np.hstack([takes[other, :pixels], takes[:, pixels:]])
