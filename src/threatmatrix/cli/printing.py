"""Everything that is printed: tables for people, JSON for programs; data on standard output, the rest on the other."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from threatmatrix.model.detection import Calibration, Finding, PrincipalShare, Severity
from threatmatrix.model.errors import InputError
from threatmatrix.model.response import ActionRecord, ActionState, Incident, RunRecord

if TYPE_CHECKING:
    from threatmatrix.knowledge import Library
    from threatmatrix.telemetry.dead_letters import DeadLetterFile
    from threatmatrix.workflows.detect import DetectReport
    from threatmatrix.workflows.respond import IncidentStory

__all__ = ["actions", "calibrations", "emit", "findings", "incidents", "out", "plain_json", "runs", "story", "table"]

_MOST = 12  # rows of a long list on a terminal; JSON has them all

_COLOURS = {
    Severity.informational: "dim",
    Severity.low: "cyan",
    Severity.medium: "yellow",
    Severity.high: "red",
    Severity.critical: "bold red",
}


def out() -> Console:
    """The console for data; as wide as the terminal, 120 columns in a pipe, so that piped tables stay whole."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120, highlight=False)


def warn(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(text + "\n")


def emit(text: str, output: Path | None) -> None:
    """Write to a file or, for None, to standard output."""
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text)
    except OSError as error:
        raise InputError(output, f"cannot be written ({error.strerror})", hint="Name another --output") from error
    warn(f"wrote {output}")


def table(title: str, *columns: str) -> Table:
    """A table in the house's one style; ``>`` before a column aligns it right, ``!`` keeps it on one line."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for column in columns:
        if column.startswith("!"):
            made.add_column(column[1:], no_wrap=True)
        elif column.startswith(">"):
            made.add_column(column[1:], justify="right", no_wrap=True)
        else:
            made.add_column(column, overflow="fold")
    return made


def plain_json(value: Any) -> None:
    """A value of dataclasses, mappings and sequences as JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def when(time_us: int) -> str:
    """Microseconds as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _who(principals: Sequence[PrincipalShare], most: int = 3) -> str:
    named = ", ".join(f"{escape(p.principal)} {p.share:.0%}" for p in principals[:most])
    return named + (f" +{len(principals) - most}" if len(principals) > most else "")


def _severity(severity: Severity) -> str:
    return f"[{_COLOURS[severity]}]{severity.name}[/]"


def calibrations(found: Sequence[Calibration], path: Path, *, as_json: bool) -> None:
    """What was learnt, and from how many inputs."""
    from threatmatrix.detect.calibrate import describe

    if as_json:
        plain_json([asdict(each) | {"note": describe(each)} for each in found])
    else:
        made = table("Calibration", "model", "monitor", ">threshold", ">inputs", ">distinct", "note")
        for each in found:
            made.add_row(
                escape(each.model),
                each.monitor,
                f"{each.threshold:.4f}",
                str(each.inputs),
                str(each.distinct),
                escape(describe(each)),
            )
        out().print(made)
    warn(f"wrote {path}")


def findings(report: DetectReport, library: Library, letters: DeadLetterFile, *, style: str) -> None:
    """Findings on standard output; blind spots, refused rules and dead letters on standard error as well."""
    if style == "json":
        plain_json(
            {
                "findings": [_finding(finding, library) for finding in report.findings],
                "no_visibility": [asdict(blind) for blind in report.no_visibility],
                "refused_rules": [str(error) for error in report.refused],
                "events": report.events,
                "dead_letters": report.dead_letters,
                "unreadable": str(report.unreadable) if report.unreadable else None,
            }
        )
    elif style in {"jsonl", "ocsf"}:
        from threatmatrix.telemetry.ocsf import finding_to_ocsf

        for finding in report.findings:
            row = finding_to_ocsf(finding) if style == "ocsf" else _finding(finding, library)
            sys.stdout.write(json.dumps(row, ensure_ascii=False, default=_plain) + "\n")
    else:
        _findings_table(report.findings, library)
    for error in report.refused:
        warn(f"rule refused: {error}")
    for blind in report.no_visibility:
        warn(f"{blind.title}: {blind.reason}")
    if report.dead_letters:
        warn(f"{report.dead_letters} malformed lines went to {letters.path}")
    warn(f"{report.events} events judged, {len(report.findings)} findings")


def _finding(finding: Finding, library: Library) -> dict[str, Any]:
    technique = library.techniques.get(finding.technique)
    return asdict(finding) | {
        "severity": finding.severity.name,
        "technique_name": technique.name if technique else finding.technique,
        "atlas": [external.id for external in technique.atlas] if technique else [],
    }


def _findings_table(found: Sequence[Finding], library: Library) -> None:
    if not found:
        out().print("No findings.")
        return
    made = table("Findings", "severity", "technique", "what was seen", ">events", ">conf.", "principals", "from")
    for finding in found:
        technique = library.techniques.get(finding.technique)
        made.add_row(
            _severity(finding.severity),
            escape(technique.name if technique else finding.technique),
            escape(finding.explanation),
            str(finding.event_count),
            f"{finding.confidence:.2f}",
            _who(finding.principals),
            when(finding.first_time),
        )
    out().print(made)


def incidents(found: Sequence[Incident], *, as_json: bool) -> None:
    """The incidents, one a row."""
    if as_json:
        plain_json([asdict(each) | {"severity": each.severity.name} for each in found])
        return
    if not found:
        out().print("No incidents. Findings become incidents with `threatmatrix detect --save`, or in a replay.")
        return
    made = table("Incidents", "!id", "severity", "status", "what", "chain", "principals", "from")
    for each in found:
        made.add_row(
            each.incident_id,
            _severity(each.severity),
            each.status,
            escape(each.title),
            escape(" → ".join(step.technique for step in each.chain)),
            _who(each.principals, most=1),
            when(each.first_time),
        )
    out().print(made)


def story(told: IncidentStory, library: Library, *, as_json: bool) -> None:
    """One incident from its first event to the last action."""
    incident = told.incident
    if as_json:
        plain_json(asdict(told) | {"severity": incident.severity.name})
        return
    console = out()
    console.print(f"[bold]{incident.incident_id}[/]  {_severity(incident.severity)}  {incident.status}")
    console.print(escape(incident.title))
    console.print(
        f"system {escape(incident.system or '–')}, model {escape(incident.model or '–')}, from {incident.origin}"
    )
    console.print(f"{when(incident.first_time)} to {when(incident.last_time)}\n")
    chain = table("Chain of techniques", ">", "technique", "first seen", ">events", "findings")
    by_id = {finding.finding_id: finding for finding in told.findings}
    for n, step in enumerate(incident.chain, 1):
        technique = library.techniques.get(step.technique)
        said = [by_id[each].explanation for each in step.finding_ids if each in by_id]
        more = f" (and {len(said) - 1} more findings of this kind)" if len(said) > 1 else ""
        chain.add_row(
            str(n),
            escape(technique.name if technique else step.technique),
            when(step.first_time),
            str(step.event_count),
            escape(said[0] + more if said else ""),
        )
    console.print(chain)
    console.print("\n[bold]Principals, by their share of non-identical probes[/]")
    people = table("", "principal", ">probes", ">share")
    for principal in incident.principals[:_MOST]:
        people.add_row(escape(principal.principal), str(principal.probes), f"{principal.share:.1%}")
    console.print(people)
    _and_more(len(incident.principals))
    console.print()
    runs(told.runs, told.actions, as_json=False)


def runs(found: Sequence[RunRecord], taken: Sequence[ActionRecord], *, as_json: bool) -> None:
    """Playbook runs with the ledger of their actions."""
    if as_json:
        plain_json({"runs": [asdict(run) for run in found], "actions": [asdict(action) for action in taken]})
        return
    if not found:
        out().print("No playbook runs; nothing to do.")
        return
    made = table("Playbook runs", "!run", "!incident", "state", "started", "plan")
    for run in found[:_MOST]:
        made.add_row(run.run_id, run.incident_id, run.state.value, when(run.started), run.plan_hash[:12])
    out().print(made)
    _and_more(len(found))
    out().print()
    actions(taken, as_json=False)


def _and_more(count: int) -> None:
    if count > _MOST:
        out().print(f"… and {count - _MOST} more; --format json shows all", style="dim")


def _on(action: ActionRecord) -> str:
    """What an action is about, in a few words."""
    params = action.params
    limits = ", ".join(f"{name} {value:g}" for name, value in sorted(params.get("params", {}).items()))
    about = params.get("principal") or params.get("url") or params.get("instruction") or f"model {params.get('model')}"
    return f"{about}, {limits}" if limits else str(about)


def actions(found: Sequence[ActionRecord], *, as_json: bool) -> None:
    """Ledger rows; what waits for a human comes first."""
    if as_json:
        plain_json([asdict(action) for action in found])
        return
    doubtful = any(action.state is ActionState.unknown for action in found)
    made = table("Actions", "!at", "!action", "on", "!state", "key" if doubtful else "outcome")
    first_unknown = sorted(found, key=lambda a: (a.state is not ActionState.unknown, a.intent_at))
    for action in first_unknown[:_MOST]:
        last = action.idempotency_key if doubtful else action.outcome
        made.add_row(when(action.intent_at), action.action, escape(_on(action)), action.state.value, escape(last))
    out().print(made)
    _and_more(len(found))
    if doubtful:
        waiting = sum(action.state is ActionState.unknown for action in found)
        warn(f"{waiting} doubtful: decide with `threatmatrix respond decide KEY --happened|--did-not-happen --by NAME`")
