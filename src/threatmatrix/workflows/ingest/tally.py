"""Counts of a run, and who is told of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from threatmatrix.model.event import DeadLetter
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.workflows.ingest.report import FileReport, IngestProgress

__all__ = ["FileTally", "Tally"]


@dataclass(slots=True)
class Tally:
    """All files of a run. ``started`` by the monotonic clock; ``days`` since 1970-01-01 that events were written to."""

    on_progress: Callable[[IngestProgress], None] | None
    started: float
    events: int = 0
    dead: int = 0
    days: set[int] = field(default_factory=set)
    doing: str = "reading"

    def report(self, file: str, read: int, total: int | None) -> None:
        """Tell of the progress."""
        if self.on_progress is not None:
            seconds = time.monotonic() - self.started
            rate = self.events / seconds if seconds > 0 else 0.0
            self.on_progress(IngestProgress(file, read, total, self.events, self.dead, rate, self.doing))


@dataclass(slots=True)
class FileTally:
    """One file's counts, on their way into its report."""

    run: Tally
    letters: DeadLetterFile | None
    file: str
    source: str
    events: int = 0
    known: int = 0
    skipped: int = 0
    dead: int = 0
    passed: int = 0
    by_reader: int = 0

    def wrote(self, events: int, written: int, days: tuple[int, ...]) -> None:
        """A part is durable, or was so before."""
        self.events += written
        self.known += events - written
        self.run.events += written
        self.run.days.update(days)  # of known ones as well: a run that was killed has joined nothing

    def letter(self, letter: DeadLetter) -> None:
        """A record that is no event."""
        self.dead += 1
        self.run.dead += 1
        if self.letters is not None:
            self.letters.add(letter)

    def report(self) -> FileReport:
        return FileReport(
            self.file, self.source, self.events, self.known, self.skipped, self.dead, self.passed, self.by_reader
        )
