"""What a hunt found, on a terminal or as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from threatmatrix.cli.finding_tables import (
    finding_json,
    findings_table,
    show_blind,
    show_finding,
    show_suppressed,
    suppressed_json,
)
from threatmatrix.cli.printing import counted, plain_json, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from threatmatrix.knowledge import Library
    from threatmatrix.model.response import Incident
    from threatmatrix.workflows.hunt import HuntReport

__all__ = ["next_step", "show_hunt"]


def show_hunt(report: HuntReport, library: Library, *, style: str) -> None:
    """Findings on standard output; on standard error whatever was not seen, not read and not run, and the figures."""
    if style == "json":
        plain_json(_whole(report, library))
    elif style != "table":
        for finding in report.findings:
            show_finding(finding, library, style=style)
    elif report.events:
        findings_table(report, library)
    for error in (*report.refused, *report.unread):
        warn(f"rule refused: {error}")
    show_blind(report)
    show_suppressed(report)
    for title, more in report.left_out.items():
        warn(
            f"{title}: {counted(more, 'more finding')}; narrow the hunt with --since, --until, --system or --principal"
        )
    for name in report.damaged:
        warn(f"{name}: damaged, its events are missing; `threatmatrix lake compact` sets it aside")
    judged = f"{counted(report.events, 'event')} of {counted(len(report.days), 'day')} judged"
    rate = f"{report.seconds:.1f} s ({report.events / max(report.seconds, 1e-3):,.0f} events/s)"
    by, found = counted(report.rules, "rule"), counted(len(report.findings), "finding")
    warn(f"{judged} by {by} in {rate}, {found}")


def next_step(report: HuntReport, incidents: Sequence[Incident] | None) -> None:
    """One line on standard error: what an analyst does now. ``incidents`` None: nothing was to be kept."""
    if not report.findings:
        return
    if incidents is None:
        warn("next: add --record to join the findings into incidents that `threatmatrix respond` can answer")
    elif incidents:
        newest = max(incidents, key=lambda each: (each.severity, each.last_time)).incident_id
        warn(f"{counted(len(incidents), 'incident')} new or grown; next: `threatmatrix incidents show {newest}`")
    else:
        warn("the store holds these findings already; next: `threatmatrix incidents`")


def _whole(report: HuntReport, library: Library) -> dict[str, Any]:
    return {
        "findings": [finding_json(finding, library) for finding in report.findings],
        "no_visibility": [asdict(blind) for blind in report.no_visibility],
        "refused_rules": [str(error) for error in report.refused],
        "unread_rule_files": [str(error) for error in report.unread],
        "suppressed": suppressed_json(report),
        "damaged": list(report.damaged),
        "left_out": dict(report.left_out),
        "days": list(report.days),
        "events": report.events,
        "rules": report.rules,
        "seconds": round(report.seconds, 3),
    }
