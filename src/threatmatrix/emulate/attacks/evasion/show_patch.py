"""Wear a printed patch before the camera, and see whom the service names.

Source: Kurakin, Goodfellow, Bengio, "Adversarial examples in the physical world", 2017 (section 3: printed, then seen
by a camera); MITRE ATLAS AML.CS0012. Access: label. Cost: one query for each photograph.

``print_patch`` turns ``patches`` into ``prints``: a printer has so many tones and lets the ink run a little into its
neighbours. Nothing is sent.

``show_patch`` photographs each sample's wearer with the print on, twice, with its own place, scale, turn, light and
noise of the camera each time (wearing.py): one photograph goes to the service, the other to the auditor. A unit is a
photograph: claimed where the service named the chosen person, confirmed where it named that person in the auditor's
photograph; ``before`` is the photograph without a patch. Control: patches of the same size with values by lot, printed
and worn alike. Figures: ``impersonated`` (share of the attacker's photographs) and ``misnamed`` (share of the auditor's
in which the wearer was not recognised).

Result of one photograph, e.g. ``SampleOutcome(index=4, claimed=True, confirmed=True, queries=1, distance=0.0)``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from threatmatrix.emulate.attacks.asking import ask_all
from threatmatrix.emulate.attacks.evasion.patch import Patch, random_patch
from threatmatrix.emulate.attacks.evasion.wearing import Fit, Wear, printed, side_of, worn
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import FloatArray, IntArray
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["PrintPatchParams", "ShowPatchParams", "print_patch", "show_patch"]


@dataclass(frozen=True, slots=True)
class PrintPatchParams:
    """``bleed``: the share of a value that comes from its four neighbours on paper."""

    bleed: float = 0.1


@dataclass(frozen=True, slots=True)
class ShowPatchParams:
    """There is nothing to choose."""


def print_patch(stage: Stage) -> Brought:
    """Print what was computed; holds the ``prints``."""
    how = stage.settings(PrintPatchParams)
    patches = stage.take("patches", dict)
    return Brought(
        holds={
            "prints": {
                wearer: replace(patch, values=_bled(printed(patch.values), how.bleed))
                for wearer, patch in patches.items()
            }
        }
    )


def show_patch(stage: Stage) -> Brought:
    """Wear the prints and be photographed; see the module's docstring."""
    stage.settings(ShowPatchParams)
    prints: dict[int, Patch] = stage.take("prints", dict)
    if stage.control:
        prints = {
            wearer: replace(patch, values=random_patch(patch.values.shape, stage.rng))
            for wearer, patch in prints.items()
        }
    index = np.flatnonzero(np.isin(stage.samples.y, list(prints)))
    samples = stage.samples.at(index)
    chosen = np.array([prints[int(y)].chosen for y in samples.y], dtype=np.int64)
    before = stage.judge.labels(samples.x) == chosen
    sent, audited = (_photographs(samples.x, samples.y, prints, stage.rng) for _ in range(2))
    heard = ask_all(stage, sent, 1)
    named = np.full(len(index), -1, dtype=np.int64)
    named[: len(heard.labels)] = heard.labels
    truly = np.full(len(index), -1, dtype=np.int64)
    truly[: len(heard.labels)] = stage.judge.labels(audited[: len(heard.labels)]) if len(heard.labels) else 0
    outcomes = tuple(
        SampleOutcome(
            index=int(i), claimed=bool(named[n] == chosen[n]), confirmed=bool(truly[n] == chosen[n]),
            queries=int(n < len(heard.labels)), distance=0.0,
            refused=heard.refused and n >= len(heard.labels), before=bool(before[n]),
        )
        for n, i in enumerate(index)
    )  # fmt: skip
    reached = slice(0, max(1, len(heard.labels)))
    figures = {
        "impersonated": float(np.mean(named[reached] == chosen[reached])),
        "misnamed": float(np.mean((truly != samples.y)[reached])),
    }
    return Brought(outcomes=outcomes, figures=figures)


def _photographs(x: FloatArray, y: IntArray, prints: dict[int, Patch], rng: np.random.Generator) -> FloatArray:
    """Each picture with its wearer's print on, as a camera delivers it."""
    out = np.empty_like(x, dtype=np.float64)
    for wearer in np.unique(y).tolist():
        who, patch = y == wearer, prints[wearer]
        fit = Fit(side_of(x.shape[1]), patch.values.shape, patch.spot)
        ways = worn(int(who.sum()), fit, Wear(), rng)
        out[who] = np.round(ways.seen(x[who], patch.values), 3)
    return out


def _bled(values: FloatArray, share: float) -> FloatArray:
    wide = np.pad(values, 1, mode="edge")
    around = (wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]) / 4
    return np.asarray((1.0 - share) * values + share * around)
