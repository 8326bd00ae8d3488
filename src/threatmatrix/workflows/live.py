"""Detect → respond → enforce on logs that are being written: one tick at a time, in one process.

The heart of `watch` without its journal: for logs that are there afterwards, and a run that is repeated if it breaks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from threatmatrix.detect.session import Session
from threatmatrix.model.detection import Finding
from threatmatrix.model.event import Event
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.following.file import FileFollower
from threatmatrix.telemetry.following.parsing import EventFollower
from threatmatrix.telemetry.lake import Lake
from threatmatrix.workflows.respond import Responder
from threatmatrix.workflows.watch.gathering import Gathered
from threatmatrix.workflows.watch.judging import Judge

__all__ = ["LiveLoop"]

_LAKE_BATCH = 20_000


def _everything(event: Event) -> bool:
    del event
    return True


class LiveLoop:
    """Follows logs. Close it: that judges what is left and writes the lake.

    ``logs``: each with the name of its reader; what they say is judged in order of time. ``responder`` None only
    watches: findings, but no incidents and no policy. ``judged``: which events are judged and kept at all.
    """

    def __init__(
        self,
        logs: Sequence[tuple[Path, str]],
        *,
        session: Session,
        lake: Lake,
        letters: DeadLetterFile,
        responder: Responder | None = None,
        judged: Callable[[Event], bool] = _everything,
    ) -> None:
        self._logs = [EventFollower(FileFollower(log, source), letters) for log, source in logs]
        self._judge = Judge(session)
        self._gathered = Gathered(lake, most=_LAKE_BATCH)
        self._responder = responder
        self._judged = judged
        self.findings: dict[str, Finding] = {}

    def tick(self) -> Sequence[Finding]:
        """Judge what was written since the last tick and respond to it. Returns new and grown findings."""
        new = (event for log in self._logs for event in log.read_new() if self._judged(event))
        events = sorted(new, key=lambda event: event.time)
        if not events:
            return []
        judged = self._judge.judge(events, arrived=events[-1].time, elapsed=0)
        self._gathered.add(judged)
        if self._gathered.due:
            self._gathered.flush()
        self.findings.update((finding.finding_id, finding) for finding in judged.findings)
        if self._responder is not None and judged.findings:
            self._responder.handle(judged.findings)
        return judged.findings

    def close(self) -> None:
        """Judge the rest and write the lake."""
        self.tick()
        self._gathered.flush()
        for log in self._logs:
            log.close()
