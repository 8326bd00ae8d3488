"""Detect → respond → enforce on a log that is being written: one tick at a time."""

from __future__ import annotations

from pathlib import Path

from threatmatrix.detect.session import Session
from threatmatrix.model.detection import Finding
from threatmatrix.model.event import Event
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.lake import Lake
from threatmatrix.telemetry.tail import LogTail
from threatmatrix.workflows.respond import Responder

__all__ = ["LiveLoop"]

_LAKE_BATCH = 20_000  # a Parquet file per tick would be thousands of tiny ones; the log itself is the safe copy


class LiveLoop:
    """Follows one log. A context manager: leaving it judges what is left and closes the lake.

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
        self._tail = LogTail(log, source)
        self._session = session
        self._lake = lake
        self._letters = letters
        self._responder = responder
        self._pending: list[Event] = []
        self.findings: dict[str, Finding] = {}

    def tick(self) -> list[Finding]:
        """Judge what was written since the last tick and respond to it. Returns new and grown findings."""
        events = self._tail.read_new(self._letters)
        if not events:
            return []
        self._pending.extend(events)
        if len(self._pending) >= _LAKE_BATCH:
            self._flush()
        found = self._session.feed(events)
        self.findings.update((finding.finding_id, finding) for finding in found)
        if self._responder is not None and found:
            self._responder.handle(found)
        return found

    def close(self) -> None:
        """Judge the rest and write the lake."""
        self.tick()
        self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._lake.append(self._pending)
            self._pending = []
