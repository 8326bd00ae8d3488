"""An assessment in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threatmatrix.cli.printing import counted, out, safe, table
from threatmatrix.knowledge.page.assessment import MEANING
from threatmatrix.model.assessment import SIGHTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from threatmatrix.knowledge import Library
    from threatmatrix.model.assessment import Assessment, Lack, Sight

__all__ = ["show_assessment"]

_COLOURS = {"detected": "green", "visible": "cyan", "partial": "yellow", "blind": "red", "outside": "dim"}
_SHOWN = 3  # names of detectors and sources in a cell


def show_assessment(item: Assessment, library: Library, *, every: bool) -> None:
    """What applies, what is seen, what lacks something, and what to switch on next."""
    system = item.system
    basis = "what arrived in the lake" if item.basis == "lake" else "what its declared sources could give"
    out().print(
        f"[bold]{safe(system.name)}[/]  criticality {system.criticality}, {', '.join(system.traits) or 'no traits'}"
    )
    out().print(
        f"{counted(len(item.sights), 'technique')} apply, {len(item.not_applicable)} do not; judged by {basis}\n"
    )
    for status in SIGHTS:
        out().print(f"{item.count(status):4} [{_COLOURS[status]}]{status:<9}[/] {MEANING[status]}")
    for note in item.notes:
        out().print(f"[yellow]note[/] {safe(note)}")
    out().print()
    out().print(_techniques(item, library, every=every))
    out().print()
    _gains(item)


def _techniques(item: Assessment, library: Library, *, every: bool) -> Table:
    names = {tactic.slug: tactic.name for tactic in library.tactics}
    title = "Every technique that applies" if every else "What lacks something"
    made = table(title, "tactic", "technique", "!status", "seen by", "lacks")
    shown = ""
    for sight in item.sights:
        if not every and sight.status in ("detected", "outside"):
            continue
        tactic = sight.technique.tactics[0]
        made.add_row(
            "" if tactic == shown else safe(names[tactic]),
            safe(sight.technique.name),
            f"[{_COLOURS[sight.status]}]{sight.status}[/]",
            safe(_few((*sight.detectors, *sight.traces))),
            safe(_lacks(sight)),
        )
        shown = tactic
    return made


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _lacks(sight: Sight) -> str:
    """What is nearest to being seen; of a technique that is visible, nothing: what lacks is a detector."""
    if sight.status == "outside":
        return f"look elsewhere: {', '.join(sight.elsewhere)}"
    if sight.status == "visible":
        return "a detector"
    nearest = sorted(sight.lacks, key=lambda lack: len(lack.missing))
    return "; or ".join(map(_lack, nearest[:2])) if sight.status != "detected" else ""


def _lack(lack: Lack) -> str:
    return f"{lack.category or lack.what}: {', '.join(lack.missing)}" if lack.missing else f"{lack.category} events"


def _gains(item: Assessment) -> None:
    if not item.gains:
        out().print("No further source would show more of these techniques.")
        return
    made = table(
        "What to switch on next, the most gain first", ">", "source", ">detected", ">visible", ">in part", "such as"
    )
    for place, gain in enumerate(item.gains, 1):
        made.add_row(
            str(place),
            safe(" or ".join(gain.sources)),
            *(f"+{len(slugs)}" if slugs else "" for slugs in (gain.detected, gain.visible, gain.partial)),
            safe(", ".join((*gain.detected, *gain.visible, *gain.partial)[:4])),
        )
    out().print(made)
    out().print("Each counts on top of those above it; docs/sources says how to switch each one on.", style="dim")
