"""The matrix with its evidence, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threatmatrix.cli.printing import out, safe, table

if TYPE_CHECKING:
    from threatmatrix.workflows.coverage import CoverageReport

__all__ = ["show_coverage"]

_MARKS = ("emulated", "detected", "responded", "remediated")


def show_coverage(report: CoverageReport) -> None:
    """Every cell, a row each, by tactic: what the library has for it, and what was proved."""
    names = {tactic.slug: tactic.name for tactic in report.library.tactics}
    made = table("Coverage", "tactic", "technique", "kind", "library", *_MARKS, ">evidence")
    shown = ""
    for view in report.cells:
        have = [
            f"{count} {noun}{'s' if count != 1 else ''}"
            for noun, count in (("rule", view.rules), ("monitor", view.monitors), ("procedure", view.procedures))
            if count
        ]
        made.add_row(
            "" if view.cell.tactic == shown else safe(names[view.cell.tactic]),
            ("  " if view.technique.parent else "") + safe(view.technique.name),
            "[orange3]ml[/]" if view.technique.kind == "ml" else "[dim]enterprise[/]",
            ", ".join(have),
            *(
                "[green]yes[/]" if getattr(view.marks, mark) else ("[red]no[/]" if view.evidence else "")
                for mark in _MARKS
            ),
            str(len(view.evidence)) if view.evidence else "",
        )
        shown = view.cell.tactic
    out().print(made)
    proved = sum(bool(view.evidence) for view in report.cells)
    out().print(
        f"\n{proved} of {len(report.cells)} cells have evidence; a blank cell was never tried, which is not clean."
    )
