"""Events at rest: Parquet files, one folder per day, written by anybody at once, read by DuckDB in memory."""

from __future__ import annotations

from threatmatrix.telemetry.lake.compaction import CompactReport
from threatmatrix.telemetry.lake.erasure import EraseReport
from threatmatrix.telemetry.lake.lake import Lake
from threatmatrix.telemetry.lake.retention import ExpireReport
from threatmatrix.telemetry.lake.status import DayStatus

__all__ = ["CompactReport", "DayStatus", "EraseReport", "ExpireReport", "Lake"]
