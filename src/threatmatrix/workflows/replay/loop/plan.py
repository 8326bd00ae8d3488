"""What a replay will send, stage by stage, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from threatmatrix.emulate import scope as scopes
from threatmatrix.emulate.plan import plan_queries
from threatmatrix.knowledge import Library
from threatmatrix.model.errors import ScopeError, UnknownNameError
from threatmatrix.model.matrix import CaseStudy
from threatmatrix.model.procedure import ReplaySpec
from threatmatrix.model.system import Scope
from threatmatrix.workflows.replay.stages import PlannedStage

__all__ = ["ADAPTIVE", "ATTACKS", "BASELINE", "CONTROLLED", "LIVE", "ReplayPlan", "Run", "plan"]

ATTACKS = ("transfer", "hop-skip-jump", "square")
"""The procedures of microsoft-edge-ai that have a success at a norm, in the order of the case."""

Run = tuple[str, str]
"""(procedure, variant)."""

BASELINE: tuple[Run, ...] = tuple((name, variant) for name in ATTACKS for variant in ("plain", "random-control"))
"""Nobody acts: the attack unhindered, beside random draws at equal queries and norm."""

CONTROLLED: dict[str, tuple[Run, ...]] = {
    "input_noise": (
        ("transfer", "plain"),
        ("hop-skip-jump", "plain"),
        ("hop-skip-jump", "adaptive-averaged"),
        ("hop-skip-jump", "adaptive-oars"),
        ("square", "adaptive-averaged"),
    ),
    "query_budget": (("hop-skip-jump", "plain"),),
}
"""Policy kind → what is run against the library's control of that kind alone. Each sample has its own account, save
for the budget: that bounds one account, and has no effect on who has one for each sample."""

LIVE: tuple[Run, ...] = (
    ("read-metadata", "plain"),
    ("transfer", "plain"),
    ("hop-skip-jump", "plain"),
    *((name, "blocked-account") for name in ATTACKS),
    *((name, "fresh-accounts") for name in ATTACKS),
)
"""While the loop runs: the attack as the case tells it, again as the blocked account, again from fresh accounts."""

ADAPTIVE: tuple[Run, ...] = (
    ("hop-skip-jump", "adaptive-rotation"),
    ("hop-skip-jump", "adaptive-rotation+averaged"),
    ("hop-skip-jump", "adaptive-oars"),
    ("square", "adaptive-rotation+averaged"),
)
"""Attackers who know of the response, each in a scene of its own that begins with the response in force: accounts in
turn, queries averaged through the noise, proposals spread out so that they do not look alike."""


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

    def share(self, scene: str, runs: Iterable[Run] | None = None) -> int:
        """The upper bound of one scene, or of some runs of it."""
        chosen = None if runs is None else set(runs)
        return sum(
            stage.max_queries
            for stage in self.stages
            if stage.scene == scene and (chosen is None or (stage.procedure, stage.variant) in chosen)
        )

    def check(self, scope: Scope, library: Library, now: int) -> None:
        """Raise ScopeError unless the scope covers every stage on this machine, and all their queries."""
        for technique in dict.fromkeys(library.procedure(stage.procedure).technique for stage in self.stages):
            scopes.check(scope, "127.0.0.1", self.spec.target, technique, now)
        if scope.max_queries < self.max_queries:
            raise ScopeError(
                f"{scope.file}: max_queries: {scope.max_queries} do not reach for this replay's {self.max_queries}",
                hint="Raise max_queries, or attack fewer samples with --samples",
            )


def plan(library: Library, case: str, *, samples: int | None = None) -> ReplayPlan:
    """The plan of one case. Raises UnknownNameError for a case that is unknown or has no replay yet."""
    study = library.case(case)
    if study.replay is None:
        raise UnknownNameError("replay", case, [slug for slug, each in library.cases.items() if each.replay])
    n = samples or study.replay.samples
    runs = [("baseline", *run) for run in BASELINE]
    for control in library.technique("online-evasion").controls:
        runs += [(control.id, *run) for run in CONTROLLED.get(control.policy["kind"], ())]
    runs += [("live", *run) for run in LIVE]
    runs += [("adaptive", *run) for run in ADAPTIVE]
    stages = tuple(
        PlannedStage(scene, name, variant, plan_queries([library.procedure(name)], n, [variant]).total)
        for scene, name, variant in runs
    )
    return ReplayPlan(case=study, spec=study.replay, samples=n, stages=stages)
