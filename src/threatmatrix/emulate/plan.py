"""The dry run: how many queries an emulation can cost at most, before it sends one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from threatmatrix.emulate.attacks import RECON
from threatmatrix.emulate.confirm import FRESH_QUERIES
from threatmatrix.emulate.variants import parse_variant
from threatmatrix.model.matrix import Procedure

__all__ = ["PlanLine", "QueryPlan", "plan_queries"]


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One procedure in one variant. ``attack`` and ``confirmation`` are upper bounds in rows."""

    procedure: str
    technique: str
    variant: str
    samples: int
    attack: int
    confirmation: int


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """All lines of a dry run."""

    lines: tuple[PlanLine, ...]

    @property
    def attack(self) -> int:
        return sum(line.attack for line in self.lines)

    @property
    def confirmation(self) -> int:
        return sum(line.confirmation for line in self.lines)

    @property
    def total(self) -> int:
        return self.attack + self.confirmation


def plan_queries(
    procedures: Sequence[Procedure], samples: int, variants: Sequence[str] = ("plain", "random-control")
) -> QueryPlan:
    """Procedures × variants × samples, each at its full budget, confirmation included.

    A procedure that only reads (norm ``none``) runs once, whatever the variants, and a variant without a
    named control is left out. Raises UnknownNameError for an unknown variant.
    """
    lines: list[PlanLine] = []
    for procedure in procedures:
        if procedure.use in RECON:
            lines.append(PlanLine(procedure.id, procedure.technique, "plain", 1, procedure.max_queries, 0))
            continue
        for name in variants:
            if parse_variant(name).control and not procedure.control:
                continue
            cost = samples * procedure.max_queries
            line = PlanLine(procedure.id, procedure.technique, name, samples, cost, samples * FRESH_QUERIES)
            lines.append(line)
    return QueryPlan(tuple(lines))
