"""A case's steps, one after the other, as its attacker would go: each with what the ones before brought back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from threatmatrix.emulate.attacks import attack_kind
from threatmatrix.emulate.run import Hands, run_procedure
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import IntArray
from threatmatrix.knowledge import Library
from threatmatrix.model.errors import TargetRefused, UsageError
from threatmatrix.model.evidence import AttackResult, SampleOutcome
from threatmatrix.model.matrix import CaseStep
from threatmatrix.model.procedure import Procedure
from threatmatrix.workflows.replay.chain.lab import ChainLab
from threatmatrix.workflows.replay.chain.scene import Scene

__all__ = ["StepRun", "Walk", "attacked_samples", "random_control", "walk"]


@dataclass(frozen=True, slots=True)
class StepRun:
    """One procedure of one step: its result, or None where the defender refused it; event time (µs)."""

    step: CaseStep
    procedure: str
    result: AttackResult | None
    start: int
    end: int


@dataclass(slots=True)
class Walk:
    """The whole chain, once. ``judged``: the result that the case is told by."""

    steps: list[StepRun] = field(default_factory=list)
    held: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    judged: AttackResult | None = None

    @property
    def queries(self) -> int:
        """Rows that the attacker sent, confirmation not counted."""
        return sum(run.result.queries for run in self.steps if run.result is not None)


def attacked_samples(lab: ChainLab, procedure: Procedure) -> Samples:
    """What is attacked: an attack on one input at a time starts from inputs that the model gets right."""
    if attack_kind(procedure.use).attack is None:
        return lab.samples
    everything = lab.reference.attacker
    right = np.flatnonzero(lab.reference.model.answer(everything.x).labels == everything.y)
    if len(right) < len(lab.samples):
        raise UsageError(f"only {len(right)} samples are classified correctly, {len(lab.samples)} are needed")
    return everything.at(right[: len(lab.samples)].astype(np.int64))


def walk(
    lab: ChainLab,
    library: Library,
    scene: Scene,
    accounts: Sequence[str],
    *,
    variant: str = "plain",
    defended: bool = False,
    report: Callable[[str], None],
) -> Walk:
    """Every procedure of every step, in order; honest time passes between two steps.

    A refusal ends the procedure, and the attacker goes on with the next. ``defended``: what that one needs may then be
    missing, and it ends as well; while nobody acts, a missing piece is an error of the case (UsageError).
    """
    found = Walk(held=scene.known)
    for step in lab.case.steps:
        for name in step.procedures:
            procedure = library.procedure(name)
            report(procedure.name)
            start = scene.now
            result = _carry_out(lab, scene, procedure, accounts, found, variant=variant, defended=defended)
            found.steps.append(StepRun(step, name, result, start, scene.now))
            if result is not None:
                found.figures |= result.figures
            if name == lab.spec.judged:
                found.judged = result or _nothing(lab, procedure, variant)
        if step.visible and step.procedures:
            scene.pass_time(lab.number("step_gap"))
    return found


def random_control(lab: ChainLab, library: Library, scene: Scene, accounts: Sequence[str], plain: Walk) -> AttackResult:
    """The judged procedure by chance: on what the attacker held, at equal cost."""
    procedure = library.procedure(lab.spec.judged)
    again = Walk(held=dict(plain.held))
    budgets = _budgets(procedure, plain.judged)
    result = _carry_out(lab, scene, procedure, accounts, again, variant="random-control", budgets=budgets)
    return result or _nothing(lab, procedure, "random-control")


def _budgets(procedure: Procedure, plain: AttackResult | None) -> list[int] | None:
    if plain is None or attack_kind(procedure.use).attack is None:
        return None
    return [max(1, outcome.queries) for outcome in plain.outcomes]


def _carry_out(
    lab: ChainLab,
    scene: Scene,
    procedure: Procedure,
    accounts: Sequence[str],
    found: Walk,
    *,
    variant: str,
    budgets: Sequence[int] | None = None,
    defended: bool = False,
) -> AttackResult | None:
    pool = lab.accounts.pool(list(accounts), round_robin=len(accounts) > 1)
    client = scene.attacker(procedure, pool)
    samples = attacked_samples(lab, procedure)
    hands = Hands(
        held=found.held,
        teacher=client if lab.learns else None,
        store=scene.store(procedure),
    )
    try:
        return run_procedure(
            procedure,
            client,
            samples.x,
            samples.y,
            seed=lab.seed,
            variant=variant,
            confirm_target=scene.auditor(procedure),
            budgets=budgets,
            hands=hands,
        )
    except TargetRefused:
        return None
    except UsageError:
        if not defended:
            raise
        return None  # what it needs was refused before


def _nothing(lab: ChainLab, procedure: Procedure, variant: str) -> AttackResult:
    """The result of a procedure that the defender refused from its first query on."""
    none: IntArray = np.arange(len(lab.samples), dtype=np.int64)
    outcomes = tuple(
        SampleOutcome(index=int(i), claimed=False, confirmed=False, queries=0, distance=float("inf"), refused=True)
        for i in none
    )
    return AttackResult(
        procedure=procedure.id, technique=procedure.technique, variant=variant, norm=procedure.norm,
        threshold=procedure.threshold, outcomes=outcomes, queries=0, confirm_queries=0, seed=lab.seed,
        correlation=lab.accounts.correlation(),
    )  # fmt: skip
