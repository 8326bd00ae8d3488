"""`threatmatrix watch`: logs that are being written → events, findings and incidents, each once, whatever happens."""

from __future__ import annotations

from threatmatrix.workflows.watch.config import (
    BatchDone,
    Recovered,
    Said,
    Started,
    Waiting,
    WatchConfig,
    WatchEvent,
    WatchReport,
)
from threatmatrix.workflows.watch.run import run

__all__ = [
    "BatchDone",
    "Recovered",
    "Said",
    "Started",
    "Waiting",
    "WatchConfig",
    "WatchEvent",
    "WatchReport",
    "run",
]
