"""The dry run: how many queries an emulation can cost at most, before it sends one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from threatmatrix.emulate.attacks import attack_kind
from threatmatrix.emulate.confirm import FRESH_QUERIES
from threatmatrix.emulate.variants import parse_variant
from threatmatrix.model.procedure import Procedure

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

    A procedure without a control that only reads runs once, whatever the variants. An attack on everything at once
    has its budget once for each of its steps. Raises UnknownNameError for an unknown variant.
    """
    lines: list[PlanLine] = []
    for procedure in procedures:
        for name in variants:
            control = parse_variant(name).control
            if control and not procedure.control:
                continue
            kinds = [attack_kind(step.use) for step in procedure.steps]
            if procedure.norm == "none" and not procedure.control and name != "plain":
                continue
            if kinds[-1].attack is not None:
                before = 0 if control else (len(kinds) - 1) * procedure.max_queries
                cost, units = samples * procedure.max_queries + before, samples
            else:
                cost = procedure.max_queries * (1 if control else len(kinds))
                units = samples if procedure.control else 1
            fresh = samples * FRESH_QUERIES if procedure.control else 0
            lines.append(PlanLine(procedure.id, procedure.technique, name, units, cost, fresh))
    return QueryPlan(tuple(lines))
