"""The matrix joined with the evidence in the store."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from threatmatrix import __version__
from threatmatrix.knowledge import Library
from threatmatrix.knowledge.html import matrix_page
from threatmatrix.knowledge.navigator import navigator_layers
from threatmatrix.knowledge.view import MARKS, CellView, columns_of
from threatmatrix.model.evidence import Evidence
from threatmatrix.store import Store

__all__ = ["CoverageReport", "coverage", "render"]


@dataclass(frozen=True, slots=True)
class CoverageReport:
    """Every cell in the order of the picture, with what the library has for it and what was proved."""

    library: Library
    cells: tuple[CellView, ...]
    system: str | None
    systems: tuple[str, ...] = ()  # those that any evidence is about


def coverage(library: Library, store: Store, *, system: str | None = None) -> CoverageReport:
    """Join the library's cells with the store's evidence (of one ``system``, or of all)."""
    proved: dict[tuple[str, str], list[Evidence]] = defaultdict(list)
    everything = store.evidence.list()
    for evidence in everything:
        if system is None or evidence.system == system:
            proved[evidence.tactic, evidence.technique].append(evidence)
    cells = tuple(
        CellView.of(cell, library.technique(cell.technique), proved.get((cell.tactic, cell.technique), ()))
        for cell in library.cells()
    )
    systems = tuple(sorted({evidence.system for evidence in everything}))
    return CoverageReport(library=library, cells=cells, system=system, systems=systems)


def render(report: CoverageReport, style: str) -> str:
    """The report as ``json``, ``navigator`` (layer format 4.5) or ``html`` (one self-contained page)."""
    if style == "html":
        proved = sum(bool(view.evidence) for view in report.cells)
        return matrix_page(
            columns_of(report.library.tactics, report.cells),
            subtitle=f"{proved} of {len(report.cells)} cells have evidence",
            generated=f"threatmatrix {__version__}" + (f", system {report.system}" if report.system else ""),
        )
    content = list(navigator_layers(report.cells).values()) if style == "navigator" else _as_json(report)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _as_json(report: CoverageReport) -> dict[str, Any]:
    return {
        "system": report.system,
        "tactics": [asdict(tactic) for tactic in report.library.tactics],
        "cells": [
            {
                "tactic": view.cell.tactic,
                "technique": view.cell.technique,
                "name": view.technique.name,
                "kind": view.technique.kind,
                "parent": view.technique.parent,
                "library": {
                    "rules": view.rules,
                    "monitors": view.monitors,
                    "procedures": view.procedures,
                    "controls": view.controls,
                    "playbook": view.playbook,
                },
                "marks": {name: getattr(view.marks, name) for name in MARKS},
                "evidence": [asdict(evidence) for evidence in view.evidence],
            }
            for view in report.cells
        ],
    }
