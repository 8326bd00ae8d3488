"""What an emulation will send at most, and whether it may, before anything is sent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from threatmatrix.emulate import scope as scopes
from threatmatrix.emulate.attacks import attack_kind
from threatmatrix.emulate.plan import PlanLine, QueryPlan, plan_queries
from threatmatrix.emulate.targets.specs import TargetSpec
from threatmatrix.emulate.variants import parse_variant
from threatmatrix.knowledge import Library
from threatmatrix.model.errors import ScopeError, UsageError
from threatmatrix.model.matrix import Procedure
from threatmatrix.model.system import Scope

__all__ = ["EmulationPlan", "make_plan"]

CONTROL = "random-control"


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
        for technique in dict.fromkeys(procedure.technique for procedure in self.procedures):
            scopes.check(scope, host, spec.model, technique, now)
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
    library: Library, names: Sequence[str], *, variants: Sequence[str], samples: int, held: Collection[str] = ()
) -> EmulationPlan:
    """``held``: names of what the attacker has at the beginning.

    Raises UnknownNameError for a procedure or variant, UsageError where a procedure needs what none before it leaves.
    """
    procedures = tuple(library.procedure(name) for name in names)
    for variant in variants:
        if parse_variant(variant).control:
            raise UsageError("the random control runs by itself, beside every attack that has one")
    there = set(held)
    for procedure in procedures:
        _check_inputs(library, procedure, there)
        there |= set(procedure.outputs)
    lines: list[PlanLine] = []
    for procedure in procedures:
        each = attack_kind(procedure.use).attack is not None or procedure.control
        ways = [*variants, CONTROL] if each and procedure.control else list(variants[:1])
        lines += plan_queries([procedure], samples, ways).lines
    return EmulationPlan(procedures, tuple(variants), samples, QueryPlan(tuple(lines)))


def _check_inputs(library: Library, procedure: Procedure, there: Collection[str]) -> None:
    missing = [name for name in procedure.inputs if name not in there]
    if missing:
        makers = sorted(each.id for each in library.procedures() if missing[0] in each.outputs)
        hint = f"Run before it: {' or '.join(makers)}" if makers else "No procedure of the library leaves it"
        raise UsageError(f"{procedure.id} needs {', '.join(missing)}, which is not held", hint=hint)
