"""The replay's plan and its evidence, on a terminal or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape

from threatmatrix.cli.printing import out, plain_json, rate, short, table

if TYPE_CHECKING:
    from threatmatrix.knowledge import Library
    from threatmatrix.workflows.replay import Plan
    from threatmatrix.workflows.replay.loop import ReplayReport
    from threatmatrix.workflows.replay.loop.report import Taken

__all__ = ["show_plan", "show_replay"]


def show_plan(plans: Sequence[Plan], *, as_json: bool) -> None:
    """The upper bound of queries, stage by stage; nothing was sent."""
    if as_json:
        content = [
            {
                "case": plan.case.slug,
                "samples": plan.samples,
                "max_queries": plan.max_queries,
                "stages": [asdict(stage) for stage in plan.stages],
            }
            for plan in plans
        ]
        plain_json(content[0] if len(content) == 1 else content)
        return
    for plan in plans:
        title = f"Dry run of {plan.case.slug}: nothing is sent"
        made = table(title, "stage", "procedure", "variant", ">at most, queries")
        for stage in plan.stages:
            made.add_row(stage.scene, stage.procedure, stage.variant, f"{stage.max_queries:,}")
        made.add_row("", "", "[bold]in all[/]", f"[bold]{plan.max_queries:,}[/]")
        out().print(made)


def show_replay(report: ReplayReport, library: Library, *, as_json: bool) -> None:
    """Everything that a replay measured; rates with their 95 % Wilson intervals."""
    if as_json:
        plain_json(asdict(report) | {"case": report.case.slug})
        return
    console = out()
    console.print(
        f"[bold]{escape(report.case.name)}[/] · seed {report.seed} · {report.samples} samples · {report.system}"
    )
    console.print(
        f"product accuracy {report.model_accuracy:.3f} · monitor threshold {report.threshold:.3f} from "
        f"{report.calibrated_on} reference inputs\n"
    )
    _attacks(report)
    _controls(report)
    _detections(report, library)
    _honest(report)
    names = " → ".join(library.technique(slug).name for slug in report.chain)
    console.print(f"\n[bold]Incident[/] {report.incident_id}: {escape(names)}")
    shown = ", ".join(report.blocked_principals[:4])
    more = f" and {len(report.blocked_principals) - 4} more" if len(report.blocked_principals) > 4 else ""
    states = ", ".join(f"{count} {state}" for state, count in sorted(report.actions.items()))
    console.print(f"blocked: {escape(shown)}{more} · actions: {states}")
    if report.incidents > 1:
        console.print(
            f"{report.incidents - 1} more incidents, of fresh accounts, are in the replay's own store", style="dim"
        )
    _evidence(report, library)


def _attacks(report: ReplayReport) -> None:
    made = table(
        "Confirmed success [95 % Wilson interval]; every sample really attacked",
        ">attack",
        ">before",
        ">random control",
        ">fresh accounts",
        ">best adaptive",
    )
    for row in report.attacks:
        strongest = max(row.adaptive.values(), key=lambda each: each.value, default=None)
        name = f"{row.procedure} {row.norm}≤{row.threshold:g}"
        made.add_row(name, rate(row.before), rate(row.control), rate(row.fresh), rate(strongest))
    out().print(made)
    for row in report.attacks:
        compared = row.before_vs_control
        out().print(
            f"  {row.procedure}: claimed {short(row.claimed.value)}, median {row.median_queries} queries; "
            f"before − random {compared.difference:+.2f} [{compared.low:+.2f} to {compared.high:+.2f}]",
            style="dim",
        )
    for row in report.attacks:
        live = f"{_taken(row.live)} until it was stopped; " if row.live else ""
        out().print(f"  {row.procedure}, one account: {live}once blocked {_taken(row.blocked)}", style="dim")
    out().print()
    tried = [row for row in report.attacks if row.adaptive]
    made = table("Adaptive attackers under the response", "attacker", *(f">{row.procedure}" for row in tried))
    for variant in dict.fromkeys(variant for row in tried for variant in row.adaptive):
        made.add_row(variant, *(rate(row.adaptive.get(variant)) for row in tried))
    out().print(made)
    if report.accounts_lost:
        fewest, most = min(report.accounts_lost.values()), max(report.accounts_lost.values())
        out().print(f"  each had several accounts for every sample, and lost {fewest} to {most} of them", style="dim")
    out().print()


def _taken(taken: Taken) -> str:
    return f"{taken.confirmed} of {taken.attempted} attempted"


def _controls(report: ReplayReport) -> None:
    made = table("Each control alone: nobody detects, nobody is blocked", "control", "attack", "variant", ">success")
    for row in report.controls:
        far = row.one_account
        told = rate(row.success) if far is None else f"one account: {_taken(far)}"
        made.add_row(row.control, row.procedure, row.variant, told)
    out().print(made)
    out().print()


def _detections(report: ReplayReport, library: Library) -> None:
    made = table(
        "Detection, in queries (rows) of that attack",
        ">attack",
        ">first alarm",
        ">first refusal",
        ">runs seen by 60",
        ">median",
        "technique: by",
    )
    for row in report.detections:
        made.add_row(
            row.procedure,
            "none" if row.live_alarm is None else str(row.live_alarm),
            "–" if row.live_enforced is None else str(row.live_enforced),
            rate(row.samples_by_60),
            "–" if row.median_alarm is None else str(row.median_alarm),
            escape(f"{library.technique(row.technique).name}: {', '.join(row.detectors) or 'not detected'}"),
        )
    out().print(made)


def _honest(report: ReplayReport) -> None:
    honest = report.honest
    console = out()
    console.print(
        f"\n[bold]Honest clients[/]: {honest.clients} clients, {honest.events} events, "
        f"{honest.findings} findings on them, {honest.named} swept into an attacker's cluster; "
        f"{honest.refused} of {honest.requests_defended} requests refused under the response; "
        f"accuracy {rate(honest.accuracy_before)} → {rate(honest.accuracy_after)}"
    )
    for case in report.hard_negatives:
        outcome = "no alarm" if case.alarm_at is None else f"alarm at input {case.alarm_at}"
        console.print(f"[bold]Hard negative[/] {case.name}: {case.inputs} inputs, {outcome}")


def _evidence(report: ReplayReport, library: Library) -> None:
    made = table("\nEvidence appended to your store", "technique", "emulated", "detected", "responded", "remediated")
    for each in report.evidence:
        marks = (each.emulated, each.detected, each.responded, each.remediated)
        made.add_row(escape(library.technique(each.technique).name), *("yes" if mark else "no" for mark in marks))
    out().print(made)
