"""Load the library: every folder and file of it, checked one by one and together."""

from __future__ import annotations

from pathlib import Path

from threatmatrix.knowledge import schemas
from threatmatrix.knowledge.check import check
from threatmatrix.knowledge.cross import (
    Known,
    Unit,
    check_cases,
    check_mitigations,
    check_techniques,
    check_vulnerabilities,
)
from threatmatrix.knowledge.layers import Layers
from threatmatrix.knowledge.library import LIBRARY, Library, in_order
from threatmatrix.knowledge.load_case import load_case
from threatmatrix.knowledge.load_mitigation import load_mitigation, load_vulnerability
from threatmatrix.knowledge.load_technique import load_technique
from threatmatrix.knowledge.yamlfile import Document
from threatmatrix.model.errors import FormatError
from threatmatrix.model.matrix import Tactic, Technique

__all__ = ["LIBRARY", "load_library"]


def load_library(overlay: Path | None = None, *, root: Path = LIBRARY) -> Library:
    """The library, with a user's directory laid over it.

    Raises InputError (a directory or file is missing), FormatError (file, key, line, choices).
    """
    layers = Layers(root, overlay)
    matrix = layers.mapping("matrix.yaml")
    if matrix is None:
        raise FormatError(overlay, "matrix.yaml cannot be disabled")
    head, tactics = _matrix(matrix)
    units, gone = _units(layers, tactics)
    cases = [case for slug in layers.entries("cases") if (case := load_case(layers, slug))]
    mitigations = [item for slug in layers.slugs("mitigations") if (item := load_mitigation(layers, slug))]
    vulnerabilities = [weak for slug in layers.slugs("vulnerabilities") if (weak := load_vulnerability(layers, slug))]
    known = Known.of(units, tactics, [item for _, item in vulnerabilities], disabled=gone, shipped=overlay and root)
    check_cases(cases, known)
    check_vulnerabilities(vulnerabilities, known)
    return Library(
        name=head.name,
        releases={matrix: tuple(releases) for matrix, releases in head.releases.items()},
        modified=head.modified,
        tactics=tactics,
        techniques=_ordered(tactics, {unit.slug: unit.technique for unit in units}),
        cases={item.slug: item for _, item in cases},
        mitigations={item.slug: item for item in check_mitigations(mitigations, known)},
        vulnerabilities={item.slug: item for _, item in vulnerabilities},
        pipelines=layers.sources("pipelines"),
        suppressions=layers.sources("suppressions"),
        root=root,
        overlay=overlay,
    )


def _units(layers: Layers, tactics: tuple[Tactic, ...]) -> tuple[list[Unit], set[str]]:
    """Every technique that is not disabled, and the slugs of those that are."""
    slugs = list(layers.entries("techniques"))
    units = [unit for slug in slugs if (unit := load_technique(layers, slug))]
    known = {unit.slug for unit in units}
    gone = set(slugs) - known
    units = [unit for unit in units if unit.technique.parent not in gone]
    gone |= known - {unit.slug for unit in units}
    return check_techniques(units, tactics, disabled=gone), gone


def _ordered(tactics: tuple[Tactic, ...], techniques: dict[str, Technique]) -> dict[str, Technique]:
    """In the order of the picture: column by column, sub-techniques after their technique."""
    ordered: dict[str, Technique] = {}
    for tactic in tactics:
        here = [item for item in techniques.values() if tactic.slug in item.tactics]
        for top in in_order(item for item in here if item.parent is None):
            ordered[top.slug] = top
            ordered |= {item.slug: item for item in in_order(item for item in here if item.parent == top.slug)}
    return ordered


def _matrix(document: Document) -> tuple[schemas.MatrixFile, tuple[Tactic, ...]]:
    content = check(document, schemas.MatrixFile)
    seen: set[str] = set()
    for position, entry in enumerate(content.tactics):
        if entry.slug in seen:
            raise document.error(("tactics", position, "slug"), f"the tactic {entry.slug} stands twice")
        seen.add(entry.slug)
    return (
        content,
        tuple(
            Tactic(entry.slug, entry.name, position, entry.atlas, entry.attack, entry.description.strip())
            for position, entry in enumerate(content.tactics)
        ),
    )
