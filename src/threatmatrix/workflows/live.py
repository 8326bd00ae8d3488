"""Detect → respond → enforce on a log that is being written: one tick at a time, in one process.

The heart of `watch` without its journal: for a log that is there afterwards, and a run that is repeated if it breaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from threatmatrix.detect.session import Session
from threatmatrix.model.detection import Finding
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.following.file import FileFollower
from threatmatrix.telemetry.following.parsing import EventFollower
from threatmatrix.telemetry.lake import Lake
from threatmatrix.workflows.respond import Responder
from threatmatrix.workflows.watch.gathering import Gathered
from threatmatrix.workflows.watch.judging import Judge

__all__ = ["LiveLoop"]

_LAKE_BATCH = 20_000


class LiveLoop:
    """Follows one log. Close it: that judges what is left and writes the lake.

    ``source`` names the log's reader. ``responder`` None only watches: findings, but no incidents and no policy.
    """

    def __init__(
        self,
        log: Path,
        source: str,
        *,
        session: Session,
        lake: Lake,
        letters: DeadLetterFile,
        responder: Responder | None = None,
    ) -> None:
        self._log = EventFollower(FileFollower(log, source), letters)
        self._judge = Judge(session)
        self._gathered = Gathered(lake, most=_LAKE_BATCH)
        self._responder = responder
        self.findings: dict[str, Finding] = {}

    def tick(self) -> Sequence[Finding]:
        """Judge what was written since the last tick and respond to it. Returns new and grown findings."""
        events = self._log.read_new()
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
        self._log.close()
