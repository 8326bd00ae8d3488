"""`threatmatrix ingest`: logs at rest → the lake, each event once, however often it is asked for."""

from __future__ import annotations

from threatmatrix.workflows.ingest.report import FileReport, IngestProgress, IngestReport
from threatmatrix.workflows.ingest.run import ingest

__all__ = ["FileReport", "IngestProgress", "IngestReport", "ingest"]
