"""Calibrations and findings, on a terminal or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from threatmatrix.cli.printing import counted, out, plain_json, safe, severity, table, warn, when, who, write
from threatmatrix.model.detection import Calibration, Finding

if TYPE_CHECKING:
    from threatmatrix.knowledge import Library
    from threatmatrix.model.response import Incident
    from threatmatrix.telemetry.dead_letters import DeadLetterFile
    from threatmatrix.workflows.detect import DetectReport
    from threatmatrix.workflows.hunt import HuntReport
    from threatmatrix.workflows.sending import Style

    Found = DetectReport | HuntReport

__all__ = [
    "finding_json",
    "findings_table",
    "next_step",
    "show_blind",
    "show_calibrations",
    "show_finding",
    "show_findings",
    "show_suppressed",
    "suppressed_json",
]

_REASONS = 3  # of dead letters, on one line
_TITLES = 5  # of detectors without visibility, in one sentence or one after the other


def show_calibrations(found: Sequence[Calibration], path: Path, *, as_json: bool) -> None:
    """What was learnt, and from how many inputs."""
    from threatmatrix.detect.calibrate import describe

    if as_json:
        plain_json([asdict(each) | {"note": describe(each)} for each in found])
    else:
        made = table("Calibration", "model", "!monitor", ">threshold", ">inputs", ">distinct")
        for each in found:
            learnt = f"{each.threshold:.4f}", f"{each.inputs:,}", f"{each.distinct:,}"
            made.add_row(safe(each.model), each.monitor, *learnt)
        out().print(made)
        for each in found:
            out().print(safe(describe(each)), style="dim", soft_wrap=True)
    warn(f"wrote {path}")


def show_findings(report: DetectReport, library: Library, letters: DeadLetterFile, *, style: str) -> None:
    """Findings on standard output; blind spots, refused rules and dead letters on standard error as well."""
    if style == "json":
        plain_json(_whole(report, library, letters))
    elif style != "table":
        for finding in report.findings:
            show_finding(finding, library, style=style)
    elif report.events or not report.unreadable:
        findings_table(report, library)
    for error in report.refused:
        warn(f"rule refused: {error}")
    show_suppressed(report)
    show_blind(report)
    if report.dead_letters:
        common = "; ".join(f"{reason} ({n:,})" for reason, n in letters.reasons.most_common(_REASONS))
        more = len(letters.reasons) - _REASONS
        also = f"; and {counted(more, 'more reason')}" if more > 0 else ""
        warn(f"{counted(report.dead_letters, 'malformed line')} went to {letters.path}: {common}{also}")
    warn(f"{counted(report.events, 'event')} judged, {counted(len(report.findings), 'finding')}")


def next_step(report: DetectReport, incidents: Sequence[Incident] | None) -> None:
    """One line on standard error: what an analyst does now. ``incidents`` None: they were not asked for."""
    if not report.findings:
        return
    if incidents is None:
        warn("next: add --save to join the findings into incidents that `threatmatrix respond` can answer")
    elif incidents:
        newest = max(incidents, key=lambda each: (each.severity, each.last_time)).incident_id
        warn(
            f"{counted(len(incidents), 'incident')} new or grown; next: `threatmatrix incidents show {newest}`, "
            f"then `threatmatrix respond run {newest}`"
        )
    else:
        warn("the store holds these findings already; next: `threatmatrix incidents`")


def show_finding(finding: Finding, library: Library, *, style: str) -> None:
    """One finding as one line: ``jsonl``, or as it goes to a receiver: ``ocsf``, ``syslog``, ``cef``."""
    if style == "jsonl":
        plain_json(finding_json(finding, library), indent=None)
        return
    from threatmatrix.workflows.sending import as_messages

    for line in as_messages([finding], cast("Style", style)):
        write(line + "\n")


def _whole(report: DetectReport, library: Library, letters: DeadLetterFile) -> dict[str, Any]:
    return {
        "findings": [finding_json(finding, library) for finding in report.findings],
        "no_visibility": [asdict(blind) for blind in report.no_visibility],
        "refused_rules": [str(error) for error in report.refused],
        "suppressed": suppressed_json(report),
        "events": report.events,
        "dead_letters": report.dead_letters,
        "dead_letter_file": str(letters.path) if report.dead_letters else None,
        "dead_letter_reasons": dict(letters.reasons),
        "unreadable": str(report.unreadable) if report.unreadable else None,
    }


def finding_json(finding: Finding, library: Library) -> dict[str, Any]:
    """A finding as an object of JSON, with its technique's name and ids."""
    technique = library.techniques.get(finding.technique)
    return asdict(finding) | {
        "severity": finding.severity.name,
        "technique_name": technique.name if technique else finding.technique,
        "atlas": [external.id for external in technique.atlas] if technique else [],
    }


def findings_table(report: Found, library: Library) -> None:
    """Findings for people, and in one sentence what could not be seen."""
    console = out()
    if not report.findings:
        console.print(_nothing(report), soft_wrap=True)
        return
    made = table("Findings", "severity", "technique", "what was seen", ">events", ">conf.", "principals", "!from")
    for finding in report.findings:
        technique = library.techniques.get(finding.technique)
        made.add_row(
            severity(finding.severity),
            safe(technique.name if technique else finding.technique),
            safe(finding.explanation),
            f"{finding.event_count:,}",
            f"{finding.confidence:.2f}",
            who(finding.principals, report.names),
            when(finding.first_time),
        )
    console.print(made)
    if report.no_visibility:
        console.print(f"[dim]Not the whole picture: {_blind(report)}[/]", soft_wrap=True)


def show_suppressed(report: Found) -> None:
    """How much each suppression in use has set aside, on standard error."""
    for one, events in report.suppressed:
        if not events:
            continue
        by = f"{one.title} ({one.owner}, until {one.day})"
        warn(f"suppressed: {counted(events, 'event')} by {by}, of {counted(len(one.rules), 'rule')}")


def suppressed_json(report: Found) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {"id": one.key, "title": one.title, "owner": one.owner, "expires": one.day, "events": events}
        for one, events in report.suppressed
    ]


def _nothing(report: Found) -> str:
    if report.no_visibility:
        return f"No findings, but that is not clean: {_blind(report)}"
    aside = sum(events for _, events in report.suppressed)
    if aside:
        return f"No findings, but suppressions set aside {counted(aside, 'event')} that rules would have matched."
    return "No findings."


def show_blind(report: Found) -> None:
    """What each detector lacks, on standard error; where many rules lack the same, once for all of them."""
    if not report.events:
        return
    by_reason: dict[str, list[str]] = {}
    for blind in report.no_visibility:
        by_reason.setdefault(blind.reason, []).append(blind.title)
    for reason, titles in by_reason.items():
        if len(titles) > _TITLES:
            warn(f"{counted(len(titles), 'rule')}, such as {titles[0]}: {reason}")
        else:
            for title in titles:
                warn(f"{title}: {reason}")


def _blind(report: Found) -> str:
    """The detectors without visibility, in one sentence; standard error and JSON say what each needs."""
    # monitors first: there are few of them, and hundreds of rules
    every = sorted(report.no_visibility, key=lambda blind: blind.detector.startswith("rule:"))
    titles = list(dict.fromkeys(blind.title for blind in every))
    more = f" and {counted(len(titles) - _TITLES, 'more rule')}" if len(titles) > _TITLES else ""
    return f"no visibility for {', '.join(map(safe, titles[:_TITLES]))}{more}."
