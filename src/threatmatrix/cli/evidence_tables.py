"""Evidence records and the check of their chain, on a terminal or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from threatmatrix.cli.printing import counted, out, plain_json, safe, table, when
from threatmatrix.model.evidence import Evidence

if TYPE_CHECKING:
    from threatmatrix.store.evidence import ChainReport

__all__ = ["show_chain", "show_evidence"]

_MARKS = ("emulated", "detected", "responded", "remediated")


def show_evidence(found: Sequence[Evidence], *, as_json: bool) -> None:
    """One record a row."""
    if as_json:
        plain_json([asdict(each) for each in found])
        return
    if not found:
        out().print("No evidence yet: `threatmatrix replay microsoft-edge-ai` makes some.")
        return
    made = table("Evidence", "!at", "technique", "system", "run", *_MARKS)
    for each in found:
        marks = ("yes" if getattr(each, mark) else "no" for mark in _MARKS)
        made.add_row(when(each.created), safe(each.technique), safe(each.system), safe(each.run_id), *marks)
    out().print(made)


def show_chain(report: ChainReport, *, as_json: bool) -> None:
    """Whether the chain holds, and its head."""
    if as_json:
        plain_json(asdict(report) | {"intact": report.intact})
        return
    for problem in report.problems:
        out().print(safe(problem))
    state = "the chain holds" if report.intact else counted(len(report.problems), "problem")
    out().print(f"{counted(report.records, 'record')}, {state}; head {report.head or 'none'}", soft_wrap=True)
