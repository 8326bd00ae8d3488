"""What an emulation will send at most, and whether it may, before anything is sent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from threatmatrix.emulate import scope as scopes
from threatmatrix.emulate.attacks import attack_kind
from threatmatrix.emulate.confirm import FRESH_QUERIES
from threatmatrix.emulate.plan import PlanLine, QueryPlan, plan_queries
from threatmatrix.emulate.run import SAME
from threatmatrix.emulate.targets.specs import TargetSpec
from threatmatrix.emulate.variants import parse_variant
from threatmatrix.knowledge import Library
from threatmatrix.model.errors import ScopeError, UsageError
from threatmatrix.model.procedure import Procedure
from threatmatrix.model.system import Scope
from threatmatrix.workflows.storehouse import STORE

__all__ = ["EmulationPlan", "make_plan"]

CONTROL = "random-control"
_METADATA = 3
"""Reads at most: server, model, readiness."""
_JUDGED = 500
"""Rows that measuring one step on everything at once may take, however few the samples are."""
_LOOKS = FRESH_QUERIES + 3
"""Rows for each sample: how it was before, what is confirmed, how it is afterwards."""


@dataclass(frozen=True, slots=True)
class EmulationPlan:
    """Procedures, in order, in the variants in which each is tried."""

    procedures: tuple[Procedure, ...]
    variants: tuple[str, ...]
    samples: int
    queries: QueryPlan

    def ways(self, procedure: Procedure) -> tuple[str, ...]:
        """The variants of one procedure: the attack first, its random control last."""
        return (*self.variants, CONTROL) if procedure.control else self.variants[:1]

    def check(self, scope: Scope, spec: TargetSpec, now: int) -> None:
        """Raise ScopeError unless the scope covers the target, every technique, and all queries."""
        host = _host(spec.url) if spec.url else "127.0.0.1"
        for procedure in self.procedures:
            scopes.check(scope, host, spec.model, procedure.technique, now)
            if "store" in procedure.needs:
                scopes.check(scope, host, STORE, procedure.technique, now)
        if scope.max_queries < self.queries.total:
            raise ScopeError(
                f"{scope.file}: max_queries: {scope.max_queries:,} do not reach for the {self.queries.total:,} that "
                "this may need",
                hint="Raise max_queries, or attack fewer samples with --samples",
            )


def _host(url: str) -> str:
    """Host and port, as the client asks the scope for them."""
    parts = urlsplit(url)
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{name}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def make_plan(
    library: Library,
    names: Sequence[str],
    *,
    variants: Sequence[str],
    samples: int,
    there: int,
    metadata: bool = False,
    held: Collection[str] = (),
) -> EmulationPlan:
    """``samples``: how many of those that are ``there`` are attacked. ``held``: what the attacker has beforehand, by
    name. ``metadata``: the target is asked what it takes.

    Raises UnknownNameError for a procedure or variant, UsageError where a procedure needs what none before it leaves.
    """
    procedures = tuple(library.procedure(name) for name in names)
    for variant in variants:
        if parse_variant(variant).control:
            raise UsageError("the random control runs by itself, beside every attack that has one")
    brought = set(held)
    for procedure in procedures:
        _check_inputs(library, procedure, brought)
        brought |= set(procedure.outputs)
    _check_lessons(procedures)
    lines = [PlanLine(procedures[0].id, procedures[0].technique, "metadata", 1, 0, _METADATA)] if metadata else []
    for procedure in procedures:
        lines += _beside(procedure, there)
        ways = [*variants, CONTROL] if procedure.control else list(variants[:1])
        lines += [_with_judge(procedure, line, samples) for line in plan_queries([procedure], samples, ways).lines]
    return EmulationPlan(procedures, tuple(variants), samples, QueryPlan(tuple(lines)))


def _beside(procedure: Procedure, there: int) -> list[PlanLine]:
    """What is sent beside the attack: its warm-up, and the look at which samples the model gets right.

    Raises UsageError for a warm-up that cannot be one.
    """
    lines: list[PlanLine] = []
    for step in procedure.warm_up:
        if attack_kind(step.use).whole is None:
            raise UsageError(f"{procedure.id}: warm_up: {step.use} works on one sample at a time and prepares nothing")
    if procedure.warm_up:
        cost = len(procedure.warm_up) * procedure.max_queries
        lines.append(PlanLine(procedure.id, procedure.technique, "warm-up", there, cost, there * FRESH_QUERIES))
    if attack_kind(procedure.use).attack is not None:
        lines.append(PlanLine(procedure.id, procedure.technique, "before the attack", there, 0, there))
    return lines


def _with_judge(procedure: Procedure, line: PlanLine, samples: int) -> PlanLine:
    """A step on everything at once is measured on whatever it is about, and not on the samples alone."""
    whole = sum(attack_kind(step.use).whole is not None for step in procedure.steps)
    if line.variant == CONTROL:
        whole = int(attack_kind(procedure.use).whole is not None and procedure.control == SAME)
    if not whole or procedure.access == "none":
        return line
    fresh = line.confirmation if attack_kind(procedure.use).attack is not None else 0
    return replace(line, confirmation=fresh + whole * max(_JUDGED, samples * _LOOKS))


def _check_lessons(procedures: Sequence[Procedure]) -> None:
    """Lessons are taken back all at once: a second procedure's control would take the first one's with it."""
    teaching = [procedure for procedure in procedures if "feedback" in procedure.needs]
    for procedure in teaching[1:]:
        if procedure.control:
            raise UsageError(
                f"{procedure.id} and {teaching[0].id} both teach the model, and its control needs it as it was",
                hint="Run each in an emulation of its own",
            )


def _check_inputs(library: Library, procedure: Procedure, there: Collection[str]) -> None:
    missing = [name for name in procedure.inputs if name not in there]
    if missing:
        makers = sorted(each.id for each in library.procedures() if missing[0] in each.outputs)
        hint = f"Run before it: {' or '.join(makers)}" if makers else "No procedure of the library leaves it"
        raise UsageError(f"{procedure.id} needs {', '.join(missing)}, which is not held", hint=hint)
