"""What a replay will send, stage by stage, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass

from threatmatrix.emulate.plan import plan_queries
from threatmatrix.knowledge import Library
from threatmatrix.model.errors import UnknownNameError
from threatmatrix.model.matrix import CaseStudy, ReplaySpec

__all__ = ["ADAPTIVE", "ATTACKS", "PlannedStage", "ReplayPlan", "plan"]

ATTACKS = ("transfer", "hop-skip-jump", "square")
"""The procedures of microsoft-edge-ai that have a success at a norm, in the order of the case."""

Run = tuple[str, str]
"""(procedure, variant)."""

BASELINE: tuple[Run, ...] = tuple((name, variant) for name in ATTACKS for variant in ("plain", "random-control"))
"""Nobody acts: the attack unhindered, beside random draws at equal queries and norm."""

CONTROLS = ("input_noise", "query_budget")
"""Policy kinds of the playbook that are also measured alone."""

ALONE = " alone"
"""How the scene of a control that is measured alone is named: the control's id, and this."""

CONTROLLED: tuple[Run, ...] = (
    ("transfer", "plain"),
    ("hop-skip-jump", "plain"),
    ("hop-skip-jump", "adaptive-averaged"),
    ("hop-skip-jump", "adaptive-oars"),
    ("square", "plain"),
    ("square", "adaptive-averaged"),
)
"""What is run against each control alone."""

ADAPTIVE = ("adaptive-rotation", "adaptive-rotation+averaged", "adaptive-oars", "adaptive-rotation+oars")
"""Adaptive attackers, each with many accounts: used in turn, or the next one after a refusal; queries averaged through
the noise; proposals spread out so that they do not look alike."""

LIVE: tuple[Run, ...] = (
    ("read-metadata", "plain"),
    ("transfer", "plain"),
    ("hop-skip-jump", "plain"),
    *((name, "blocked-account") for name in ATTACKS),
    *((name, "fresh-accounts") for name in ATTACKS),
    *((name, variant) for name in ("hop-skip-jump", "square") for variant in ADAPTIVE),
)
"""While detect → respond → enforce runs: the attack as the case tells it, then again, and again adaptively."""


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One attack run. ``scene``: baseline (nobody acts), a control alone, or live (detect, respond, enforce)."""

    scene: str
    procedure: str
    variant: str
    max_queries: int  # rows, confirmation included


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """A case study with everything that its replay will send at most."""

    case: CaseStudy
    spec: ReplaySpec
    samples: int
    stages: tuple[PlannedStage, ...]

    @property
    def max_queries(self) -> int:
        return sum(stage.max_queries for stage in self.stages)


def plan(library: Library, case: str, *, samples: int | None = None) -> ReplayPlan:
    """The plan of one case. Raises UnknownNameError for a case that is unknown or has no replay yet."""
    study = library.case(case)
    if study.replay is None:
        raise UnknownNameError("replay", case, [slug for slug, each in library.cases.items() if each.replay])
    n = samples or study.replay.samples
    controls = [c.id for c in library.technique("online-evasion").controls if c.policy["kind"] in CONTROLS]
    runs = [("baseline", *run) for run in BASELINE]
    runs += [(f"{control}{ALONE}", *run) for control in controls for run in CONTROLLED]
    runs += [("live", *run) for run in LIVE]
    stages = tuple(
        PlannedStage(scene, name, variant, plan_queries([library.procedure(name)], n, [variant]).total)
        for scene, name, variant in runs
    )
    return ReplayPlan(case=study, spec=study.replay, samples=n, stages=stages)
