"""What an emulation measured, as data; and its evidence."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from threatmatrix import __version__
from threatmatrix.emulate.attacks import attack_kind
from threatmatrix.knowledge import Library
from threatmatrix.model.evidence import AttackResult, Comparison, Evidence, Rate
from threatmatrix.model.procedure import Procedure
from threatmatrix.remediate.compare import compare, rate

__all__ = ["Emulated", "EmulationReport", "Way", "emulated", "evidence_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way in which a procedure was tried: ``plain``, an adaptive variant, or the random control."""

    variant: str
    confirmed: Rate
    claimed: Rate
    queries: int
    confirm_queries: int
    seconds: float
    refused: int  # units that the defender stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulated:
    """One procedure: how it stood before, by chance, and attacked. Rates are over units, 95 % Wilson intervals."""

    procedure: str
    technique: str
    norm: str
    threshold: float
    baseline: Rate  # so without the attack
    ways: tuple[Way, ...]
    attacked_vs_control: Comparison | None  # None where it has no random control
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def attacked(self) -> Way:
        return self.ways[0]

    @property
    def worked(self) -> bool:
        """Beyond chance; without a control: an outcome was confirmed, or it only prepares.

        A single try (a login) has no interval that could tell: it worked where the control's try did not.
        """
        if not self.attacked.confirmed.n:
            return True
        if self.attacked_vs_control is not None and self.attacked.confirmed.n == 1:
            return self.attacked_vs_control.difference > 0
        if self.attacked_vs_control is not None:
            return self.attacked_vs_control.low > 0
        return self.attacked.confirmed.successes > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulationReport:
    """Everything that one run measured."""

    name: str
    target: str
    model: str
    seed: int
    correlation: str  # the UUID in the user agent of every request
    folder: Path
    procedures: tuple[Emulated, ...]
    queries: int
    seconds: float
    cleaned: bool
    left: tuple[str, ...]  # what clean-up could not take back, a sentence each
    versions: Mapping[str, str]
    logs: tuple[Path, ...] = ()  # of a reference target: what its gateway wrote
    evidence: tuple[Evidence, ...] = ()


def versions() -> dict[str, str]:
    """Of what ran."""
    return {"threatmatrix": __version__, "numpy": np.__version__, "python": platform.python_version()}


def way_of(result: AttackResult) -> Way:
    """A result in short."""
    return Way(
        variant=result.variant,
        confirmed=rate(result.outcomes),
        claimed=rate(result.outcomes, claimed=True),
        queries=result.queries,
        confirm_queries=result.confirm_queries,
        seconds=round(result.seconds, 3),
        refused=sum(outcome.refused for outcome in result.outcomes),
    )


def emulated(procedure: Procedure, baseline: Rate, results: Mapping[str, AttackResult]) -> Emulated:
    """``results``: variant → result, the attack first; ``random-control`` among them where the procedure has one."""
    control = results.get("random-control")
    attack = next(result for variant, result in results.items() if variant != "random-control")
    return Emulated(
        procedure=procedure.id,
        technique=procedure.technique,
        norm=procedure.norm,
        threshold=procedure.threshold,
        baseline=baseline,
        ways=tuple(way_of(result) for result in (attack, *(r for r in results.values() if r is not attack))),
        attacked_vs_control=None
        if control is None or not attack.outcomes
        else compare("attacked − random control", attack, control),
        figures={name: float(value) for name, value in attack.figures.items() if math.isfinite(value)},
    )


def evidence_of(report: EmulationReport, library: Library, system: str, created: int) -> list[Evidence]:
    """One record for each procedure. Nothing was detected, answered or remediated here: that is for others to show."""
    found = []
    for each in report.procedures:
        technique = library.technique(each.technique)
        key = json.dumps([report.folder.name, each.procedure, created])
        found.append(
            Evidence(
                evidence_id="ev-" + hashlib.sha256(key.encode()).hexdigest()[:16],
                created=created,
                technique=each.technique,
                tactic=technique.tactics[0],
                system=system,
                case=None,
                run_id=report.folder.name,
                seed=report.seed,
                emulated=each.worked,
                detected=False,
                responded=False,
                remediated=False,
                record={
                    "technique_name": technique.name,
                    "target": report.target,
                    "attack": attack_kind(library.procedure(each.procedure).use).source,
                    "result": asdict(each),
                    "correlation": report.correlation,
                    "versions": dict(report.versions),
                },
            )
        )
    return found
