"""Replays of chains, one in full or all in one table, on a terminal or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from threatmatrix.cli.printing import counted, out, plain_json, rate, short, table

if TYPE_CHECKING:
    from threatmatrix.knowledge import Library
    from threatmatrix.workflows.replay import CaseRow
    from threatmatrix.workflows.replay.row import Compared, Seen

__all__ = ["show_all", "show_case"]

_NAMED = 2  # detectors that a cell of the table names


def _data(row: CaseRow) -> dict[str, Any]:
    derived = {"passed": row.passed, "mitigated": row.mitigated}
    published = [asdict(each) | {"reached": each.reached} for each in row.published]
    return asdict(row) | derived | {"published": published}


def show_all(rows: Sequence[CaseRow], *, seed: int, profile: str, as_json: bool) -> None:
    """One line for each case; rates with their 95 % Wilson intervals."""
    if as_json:
        plain_json({"seed": seed, "profile": profile, "cases": [_data(row) for row in rows]})
        return
    made = table(
        f"All case studies, seed {seed}: confirmed success [95 % Wilson interval]",
        "case",
        ">before",
        ">random control",
        ">attacked",
        "detected (by what, after how many queries)",
        ">responded",
        ">after",
        ">adaptive",
    )
    for row in rows:
        made.add_row(
            escape(row.case) + ("" if row.passed else "\n[red]does not beat chance[/]"),
            rate(row.before),
            rate(row.control),
            rate(row.attacked),
            _seen(row.detected),
            counted(row.responded, "action") if row.responded else "no",
            rate(row.after) + ("" if row.mitigated else "\nnot mitigated"),
            rate(row.adaptive),
        )
    out().print(made)
    _published(rows)
    seconds = sum(row.seconds for row in rows)
    passed = sum(row.passed for row in rows)
    out().print(f"\n{passed} of {len(rows)} attacks beat their random control; {seconds:.0f} s in all")


def _seen(seen: Sequence[Seen]) -> str:
    if not seen:
        return "not detected"
    first = sorted(seen, key=lambda each: each.after)
    named = "; ".join(f"{escape(each.by)}, {each.after:,}" for each in first[:_NAMED])
    return named + (f"; and {len(first) - _NAMED} more" if len(first) > _NAMED else "")


def _published(rows: Sequence[CaseRow]) -> None:
    if not any(row.published for row in rows):
        return
    made = table("\nPublished figures beside ours", "case", "figure", ">published", ">ours", "reached", "source")
    for row in rows:
        for each in row.published:
            made.add_row(row.case, *_compared(each))
    out().print(made)


def _compared(each: Compared) -> tuple[str, ...]:
    sign = "≥" if each.reach == "at-least" else "≤"
    ours = "not measured" if each.ours is None else f"{each.ours:,.3g}"
    told = f"{sign} {each.published:,.3g}"
    return f"{each.figure} ({escape(each.unit)})", told, ours, "yes" if each.reached else "no", escape(each.source)


def show_case(row: CaseRow, library: Library, *, as_json: bool) -> None:
    """Everything that one replay measured."""
    if as_json:
        plain_json(_data(row))
        return
    console = out()
    console.print(f"[bold]{escape(row.name)}[/] · seed {row.seed} · {row.samples} samples · {row.target}")
    if row.mirror:
        console.print(escape(row.mirror), style="dim")
    made = table(f"\nSuccess: {escape(row.effect)}", "", ">confirmed [95 % Wilson interval]")
    made.add_row("before the attack", rate(row.before))
    made.add_row("random control, at equal cost", rate(row.control))
    made.add_row("attacked", rate(row.attacked))
    made.add_row("after detection and response", rate(row.after))
    if row.adaptive is not None:
        made.add_row(f"an attacker who knows of it ({row.adaptive_variant})", rate(row.adaptive))
    console.print(made)
    gap = row.attacked_vs_control
    console.print(
        f"attacked − random control {gap.difference:+.2f} [{gap.low:+.2f} to {gap.high:+.2f}]: "
        f"{'beyond chance' if row.passed else 'not beyond chance'}; {row.queries:,} queries in all\n"
    )
    _steps(row, library)
    _sight(row, library)
    _published([row])
    if row.figures:
        console.print("[bold]Measures[/]: " + ", ".join(f"{name} {value:.4g}" for name, value in row.figures.items()))
    if row.incident:
        console.print(f"[bold]Incident[/] {row.incident}: {counted(row.responded, 'action')} carried out")
    console.print(f"workspace: {escape(row.workspace)}", style="dim")


def _steps(row: CaseRow, library: Library) -> None:
    made = table("The chain", ">", "technique", "carried out by", ">queries", ">confirmed", "seen by")
    for number, step in enumerate(row.steps, 1):
        seen = ", ".join(step.seen_by) or ("not detected" if step.visible and step.procedures else "–")
        made.add_row(
            str(number),
            escape(library.technique(step.technique).name) + ("" if step.visible else " (out of sight)"),
            ", ".join(step.procedures) or "–",
            f"{step.queries:,}" if step.procedures else "–",
            f"{step.successes} of {step.units}" if step.units else "–",
            escape(seen),
        )
    out().print(made)


def _sight(row: CaseRow, library: Library) -> None:
    console = out()
    if row.detected:
        made = table("\nDetected", "by", "technique", ">after queries")
        for each in sorted(row.detected, key=lambda one: one.after):
            name = library.technique(each.technique).name if each.technique in library.techniques else each.technique
            made.add_row(escape(each.by), escape(name), f"{each.after:,}")
        console.print(made)
    else:
        console.print("\n[bold]Not detected[/]: no rule and no monitor fired on the attacker's events alone")
    if row.ambiguous:
        console.print(f"fired on honest users as well: {escape(_seen(row.ambiguous))}", style="dim")
    console.print(
        f"honest users: {row.honest_events:,} events, {counted(row.honest_findings, 'finding')}, "
        f"{counted(len(row.honest_blocked), 'account')} blocked, {row.honest_refused:,} of {row.honest_requests:,} "
        f"requests refused under the response; the attacker lost "
        f"{counted(len(row.blocked), 'account')}; success fell from {short(row.attacked.value)} to "
        f"{short(row.after.value)}: {'mitigated' if row.mitigated else 'not mitigated'}\n"
    )
