"""The library as one value: tactics, techniques, case studies, and the questions asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from threatmatrix.model.errors import UnknownNameError
from threatmatrix.model.matrix import CaseStudy, Cell, Mitigation, RuleSource, Tactic, Technique, Vulnerability
from threatmatrix.model.procedure import Procedure

__all__ = ["LIBRARY", "Library"]

LIBRARY = Path(__file__).resolve().parent.parent / "library"
"""The library that ships with the package."""

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """What was loaded, checked as a whole. ``techniques`` stand in the order of the matrix."""

    name: str
    releases: Mapping[str, tuple[str, ...]]  # atlas, attack → those in which its ids are right
    modified: str  # YYYY-MM-DD: the day of the last change to anything in it
    tactics: tuple[Tactic, ...]
    techniques: Mapping[str, Technique]
    cases: Mapping[str, CaseStudy]
    mitigations: Mapping[str, Mitigation]
    vulnerabilities: Mapping[str, Vulnerability]
    pipelines: tuple[RuleSource, ...] = ()  # Sigma processing pipelines, in the order of their files' names
    suppressions: tuple[RuleSource, ...] = ()  # Sigma filters with an owner and an end
    root: Path
    overlay: Path | None = None
    year: int | None = None  # of the edition that this is; None: all of it

    def edition(self, year: int) -> Library:
        """The library as it stood in ``year``: ``edition(2020)`` is the original matrix."""
        kept = {slug: item for slug, item in self.techniques.items() if item.year <= year}
        return replace(
            self,
            year=year,
            techniques={
                slug: replace(item, enables=tuple(other for other in item.enables if other in kept))
                for slug, item in kept.items()
            },
            cases={
                slug: replace(
                    case,
                    vulnerabilities=tuple(
                        name for name in case.vulnerabilities if int(self.vulnerabilities[name].published[:4]) <= year
                    ),
                )
                for slug, case in self.cases.items()
                if case.year <= year
            },
            mitigations={
                slug: replace(item, techniques=mitigated)
                for slug, item in self.mitigations.items()
                if (mitigated := tuple(pair for pair in item.techniques if pair.technique in kept))
            },
            vulnerabilities={
                slug: replace(item, techniques=tuple(other for other in item.techniques if other in kept))
                for slug, item in self.vulnerabilities.items()
                if int(item.published[:4]) <= year
            },
        )

    def mitigations_of(self, slug: str) -> tuple[tuple[Mitigation, str], ...]:
        """The mitigations that are good against a technique, each with how."""
        return tuple(
            (item, pair.how) for item in self.mitigations.values() for pair in item.techniques if pair.technique == slug
        )

    def cases_of(self, slug: str) -> tuple[CaseStudy, ...]:
        """The case studies in which a technique is a step."""
        return tuple(case for case in self.cases.values() if any(step.technique == slug for step in case.steps))

    def technique(self, slug: str) -> Technique:
        """Raises UnknownNameError with the nearest names."""
        return _named("technique", slug, self.techniques)

    def case(self, slug: str) -> CaseStudy:
        """Raises UnknownNameError with the nearest names."""
        return _named("case study", slug, self.cases)

    def tactic(self, slug: str) -> Tactic:
        """Raises UnknownNameError with the nearest names."""
        return _named("tactic", slug, {tactic.slug: tactic for tactic in self.tactics})

    def procedure(self, procedure_id: str) -> Procedure:
        """Raises UnknownNameError with the nearest names."""
        return _named("procedure", procedure_id, {item.id: item for item in self.procedures()})

    def children(self, slug: str) -> tuple[Technique, ...]:
        """The sub-techniques of a technique, in their order."""
        return tuple(in_order(item for item in self.techniques.values() if item.parent == slug))

    def column(self, tactic: str) -> tuple[Technique, ...]:
        """Everything in a tactic's column from the top, each technique followed by its sub-techniques."""
        here = [item for item in self.techniques.values() if tactic in item.tactics]
        column: list[Technique] = []
        for top in in_order(item for item in here if item.parent is None):
            column.append(top)
            column.extend(in_order(item for item in here if item.parent == top.slug))
        return tuple(column)

    def cells(self) -> tuple[Cell, ...]:
        """Every box of the matrix, column by column."""
        return tuple(Cell(tactic.slug, item.slug) for tactic in self.tactics for item in self.column(tactic.slug))

    def rules(self) -> tuple[RuleSource, ...]:
        """Every rule of every technique."""
        return tuple(rule for item in self.techniques.values() for rule in item.rules)

    def procedures(self) -> tuple[Procedure, ...]:
        """Every procedure of every technique; ids are unique."""
        return tuple(procedure for item in self.techniques.values() for procedure in item.procedures)


def in_order(techniques: Iterable[Technique]) -> list[Technique]:
    """By ``order``, then by name, so that two with the same number never swap places."""
    return sorted(techniques, key=lambda item: (item.order, item.name, item.slug))


def _named(kind: str, name: str, things: Mapping[str, Thing]) -> Thing:
    try:
        return things[name]
    except KeyError:
        raise UnknownNameError(kind, name, tuple(things)) from None
