"""What a watch says while it runs: findings on standard output, everything else on the other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from threatmatrix.cli.finding_tables import show_finding
from threatmatrix.cli.printing import called, counted, one_line, out, safe, severity, warn, when
from threatmatrix.workflows.watch import BatchDone, Recovered, Said, Started, Waiting

if TYPE_CHECKING:
    from threatmatrix.knowledge import Library
    from threatmatrix.model.detection import Finding
    from threatmatrix.workflows.watch import WatchEvent, WatchReport

__all__ = ["WatchLines"]

_EVERY = 10.0  # seconds between two lines about progress
_KNOWN = 100_000  # ids of findings remembered, so that a line says "new" once

_TOLD = 100  # messages remembered, so that the end does not repeat them


class WatchLines:
    """Prints the events of one watch. ``style``: table, jsonl, ocsf, syslog or cef."""

    def __init__(self, library: Library, names: Mapping[str, str], *, style: str, quiet: bool) -> None:
        self._library, self._names, self._style, self._quiet = library, names, style, quiet
        self._known: dict[str, None] = {}
        self._said = time.monotonic()
        self._events = 0
        self._told: tuple[str, ...] = ()

    def event(self, event: WatchEvent) -> None:
        """Print one."""
        match event:
            case BatchDone():
                for finding in event.findings:
                    self._finding(finding, again=event.again)
                self._events += event.events
                self._progress(event)
            case Started():
                self._started(event)
            case Waiting():
                warn(f"waiting, nothing is read and nothing is lost: {event.step}: {event.reason}")
            case Recovered():
                warn(f"goes on after {event.seconds:.0f} s: {event.step}")
            case Said():
                warn(event.text)
                self._told = (*self._told, event.text)[-_TOLD:]

    def end(self, report: WatchReport) -> None:
        """What came of it, on standard error."""
        for file, reason in report.refused.items():
            if reason not in self._told:
                warn(f"{file}: not read: {reason}")
        for error in report.rules_refused:
            warn(f"rule refused: {error}")
        for blind in report.no_visibility:
            warn(f"{blind.title}: {blind.reason}")
        findings = sum(report.findings.values())
        parts = [
            f"{counted(report.events, 'event')} judged in {counted(report.batches, 'batch', 'batches')}",
            counted(findings, "finding"),
            *(
                f"{number:,} {noun}"
                for number, noun in (
                    (report.joined, "joined"),
                    (report.duplicates, "duplicates"),
                    (report.late, "late"),
                    (report.ahead, "ahead of the clock"),
                    (report.dead_letters, "dead letters"),
                )
                if number
            ),
        ]
        warn(", ".join(parts) + f", {report.seconds:.1f} s")
        if report.waiting:
            warn(f"stopped while waiting for {report.waiting}; the journal keeps what was read for the next start")

    def _started(self, event: Started) -> None:
        resumed = "goes on where it stopped" if event.resumed else "begins"
        warn(f"watch {resumed}: {', '.join(event.sources)}")
        if event.again:
            warn(f"judges {counted(event.again, 'batch', 'batches')} of its journal again")
        if event.metrics:
            warn(f"figures at {event.metrics}")

    def _finding(self, finding: Finding, *, again: bool) -> None:
        if self._style != "table":
            show_finding(finding, self._library, style=self._style)
            return
        if finding.finding_id in self._known or again:
            return
        self._known[finding.finding_id] = None
        if len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]
        who = called(finding.principals[0].principal, self._names) if finding.principals else "-"
        out().print(
            f"{when(finding.last_time)} {severity(finding.severity)} [bold]{safe(self._technique(finding))}[/] "
            f"{who}: {safe(one_line(finding.explanation))}",
            soft_wrap=True,
        )

    def _technique(self, finding: Finding) -> str:
        technique = self._library.techniques.get(finding.technique)
        return technique.name if technique else finding.technique

    def _progress(self, event: BatchDone) -> None:
        now = time.monotonic()
        if self._quiet or now - self._said < _EVERY:
            return
        rate = self._events / (now - self._said)
        behind = f", {event.behind:,} bytes behind" if event.behind else ""
        warn(f"{event.total_events:,} events, {rate:,.0f}/s{behind}")
        self._said, self._events = now, 0
