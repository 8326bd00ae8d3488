"""Checks that need more than one file: does everything that is named exist, and only once?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from threatmatrix.knowledge.yamlfile import Document
from threatmatrix.model.errors import FormatError
from threatmatrix.model.matrix import CaseStudy, Tactic, Technique

__all__ = ["Unit", "check_cases", "check_techniques"]


@dataclass(frozen=True, slots=True)
class Unit:
    """A technique beside the file that an error about it names."""

    slug: str
    document: Document
    technique: Technique
    procedure_files: Mapping[str, str]  # id → path


def check_techniques(units: Sequence[Unit], tactics: Sequence[Tactic], *, disabled: Collection[str] = ()) -> list[Unit]:
    """Tactics, parents, cells, ``enables`` and procedure ids. Raises FormatError.

    Returns the units with what leads to a disabled technique left out of ``enables``.
    """
    columns = [tactic.slug for tactic in tactics]
    by_slug = {unit.slug: unit for unit in units}
    cells: dict[tuple[str, str, str | None], str] = {}
    procedures: dict[str, str] = {}
    checked = []
    for unit in units:
        _check_tactics(unit, columns, cells)
        _check_parent(unit, by_slug)
        checked.append(_without(unit, by_slug, disabled))
        for procedure, file in unit.procedure_files.items():
            other = procedures.setdefault(procedure, file)
            if other != file:
                raise FormatError(file, f"the procedure {procedure} stands in {other} as well: ids are unique")
    return checked


def _check_tactics(unit: Unit, columns: Sequence[str], cells: dict[tuple[str, str, str | None], str]) -> None:
    technique = unit.technique
    for position, tactic in enumerate(technique.tactics):
        where = ("tactics", position)
        if tactic not in columns:
            raise unit.document.error(where, f"no tactic is called {tactic!r}", choices=columns)
        cell = (tactic, technique.name, technique.parent)
        if cell in cells:
            raise unit.document.error(where, f"the cell {tactic}/{technique.name} is already taken by {cells[cell]}")
        cells[cell] = technique.slug


def _check_parent(unit: Unit, by_slug: dict[str, Unit]) -> None:
    parent = unit.technique.parent
    if parent is None:
        return
    if parent not in by_slug:
        raise unit.document.error(("parent",), _unknown("technique", parent, by_slug))
    upper = by_slug[parent].technique
    if upper.parent is not None:
        raise unit.document.error(("parent",), f"{parent} is itself a sub-technique")
    for position, tactic in enumerate(unit.technique.tactics):
        if tactic not in upper.tactics:
            raise unit.document.error(
                ("tactics", position), f"its parent {parent} does not stand in {tactic}", choices=upper.tactics
            )


def _without(unit: Unit, by_slug: dict[str, Unit], disabled: Collection[str]) -> Unit:
    """The unit, with ``enables`` checked and freed of disabled techniques."""
    kept = []
    for position, slug in enumerate(unit.technique.enables):
        where = ("enables", position)
        if slug == unit.slug:
            raise unit.document.error(where, "a technique cannot lead to itself")
        if slug in by_slug:
            kept.append(slug)
        elif slug not in disabled:
            raise unit.document.error(where, _unknown("technique", slug, by_slug))
    return replace(unit, technique=replace(unit.technique, enables=tuple(kept)))


def check_cases(
    cases: Sequence[tuple[Document, CaseStudy]],
    units: Sequence[Unit],
    tactics: Sequence[Tactic],
    *,
    disabled: Collection[str] = (),
) -> None:
    """Every step stands in a cell of the matrix, and its procedures exist. Raises FormatError."""
    by_slug = {unit.slug: unit.technique for unit in units}
    procedures = {procedure.id for unit in units for procedure in unit.technique.procedures}
    columns = [tactic.slug for tactic in tactics]
    for document, case in cases:
        for position, step in enumerate(case.steps):
            where = ("steps", position)
            if step.technique in disabled:
                problem = f"the technique {step.technique} is disabled: disable the case {case.slug} as well"
                raise document.error((*where, "technique"), problem)
            if step.technique not in by_slug:
                raise document.error((*where, "technique"), _unknown("technique", step.technique, by_slug))
            if step.tactic not in columns:
                raise document.error((*where, "tactic"), f"no tactic is called {step.tactic!r}", choices=columns)
            stands = by_slug[step.technique].tactics
            if step.tactic not in stands:
                problem = f"{step.technique} does not stand in {step.tactic}"
                raise document.error((*where, "tactic"), problem, choices=stands)
            for index, procedure in enumerate(step.procedures):
                if procedure not in procedures:
                    problem = _unknown("procedure", procedure, procedures)
                    raise document.error((*where, "procedures", index), problem)


def _unknown(kind: str, name: str, choices: Collection[str]) -> str:
    near = get_close_matches(name, choices, n=3)
    return f"no {kind} is called {name!r}" + (f"; near it: {', '.join(near)}" if near else "")
