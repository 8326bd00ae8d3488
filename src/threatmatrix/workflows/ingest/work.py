"""One log that is being read: what those who read it need."""

from __future__ import annotations

from dataclasses import dataclass

from threatmatrix.telemetry.logfile import LogFile
from threatmatrix.workflows.ingest.manifest import Manifest
from threatmatrix.workflows.ingest.pool import Setting
from threatmatrix.workflows.ingest.tally import FileTally

__all__ = ["Work"]


@dataclass(frozen=True, slots=True)
class Work:
    """``workers``: how many may be at it."""

    log: LogFile
    setting: Setting
    manifest: Manifest
    counts: FileTally
    workers: int

    def report(self, read: int) -> None:
        """Tell of the progress: ``read`` bytes of the file as it lies on disk."""
        self.counts.run.report(self.log.name, read, self.log.size)
