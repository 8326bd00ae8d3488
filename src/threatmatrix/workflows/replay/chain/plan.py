"""What the replay of a chain will send at most, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass

from threatmatrix.emulate import scope as scopes
from threatmatrix.emulate.plan import plan_queries
from threatmatrix.knowledge import Library
from threatmatrix.model.errors import ScopeError
from threatmatrix.model.matrix import CaseStudy
from threatmatrix.model.procedure import ReplaySpec
from threatmatrix.model.system import Scope
from threatmatrix.workflows.replay.chain.lab import settings_of
from threatmatrix.workflows.replay.stages import PlannedStage
from threatmatrix.workflows.storehouse import STORE

__all__ = ["ChainPlan", "plan"]


@dataclass(frozen=True, slots=True)
class ChainPlan:
    """A case study with everything that its replay will send at most."""

    case: CaseStudy
    spec: ReplaySpec
    samples: int
    small: bool
    stages: tuple[PlannedStage, ...]

    @property
    def max_queries(self) -> int:
        return sum(stage.max_queries for stage in self.stages)

    @property
    def models(self) -> tuple[str, ...]:
        """What the scope has to list: the target, and the artefact store beside it."""
        return (self.spec.target, STORE) if self.spec.store else (self.spec.target,)

    def techniques(self, library: Library) -> tuple[str, ...]:
        """What the scope has to allow."""
        return tuple(dict.fromkeys(library.procedure(stage.procedure).technique for stage in self.stages))

    def check(self, scope: Scope, library: Library, now: int) -> None:
        """Raise ScopeError unless the scope covers every stage on this machine, and all their queries."""
        for technique in self.techniques(library):
            for model in self.models:
                scopes.check(scope, "127.0.0.1", model, technique, now)
        if scope.max_queries < self.max_queries:
            raise ScopeError(
                f"{scope.file}: max_queries: {scope.max_queries} do not reach for this replay's {self.max_queries}",
                hint="Raise max_queries, or attack fewer samples with --samples",
            )


def plan(library: Library, case: CaseStudy, *, samples: int | None = None, small: bool = False) -> ChainPlan:
    """Every procedure of every step, in each scene that the replay has; FormatError for an unknown parameter."""
    spec = case.replay
    assert spec is not None
    settings = settings_of(spec, small=small)
    n = samples or int(settings.get("samples", spec.samples))
    procedures = [library.procedure(name) for step in case.steps for name in step.procedures]
    runs = [("unhindered", procedure, "plain") for procedure in procedures]
    runs.append(("control", library.procedure(spec.judged), "random-control"))
    runs += [("live", procedure, "plain") for procedure in procedures]
    if spec.adaptive and not small:
        runs += [("adaptive", procedure, spec.adaptive) for procedure in procedures]
    stages = [
        PlannedStage(scene, procedure.id, variant, plan_queries([procedure], n, [variant]).total)
        for scene, procedure, variant in runs
    ]
    return ChainPlan(case, spec, n, small, tuple(stages))
