"""How long events stay: whole days go, at once for whoever reads."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from threatmatrix.model.errors import InputError
from threatmatrix.telemetry.lake.layout import days_in
from threatmatrix.telemetry.lake.staging import Staging, sweep_dead, sync_folder
from threatmatrix.telemetry.lake.status import statuses

__all__ = ["ExpireReport", "expire"]


@dataclass(frozen=True, slots=True)
class ExpireReport:
    """What left the lake: days, and what they held."""

    days: tuple[str, ...]
    parts: int
    events: int
    bytes: int


def expire(root: Path, older_than_day: str) -> ExpireReport:
    """Remove every day before ``older_than_day`` (YYYY-MM-DD). Needs the lake's lock. Raises InputError for no date."""
    try:
        date.fromisoformat(older_than_day)
    except ValueError:
        raise InputError(root, "cannot tell which days are too old", hint="Give a day as YYYY-MM-DD") from None
    sweep_dead(root)
    going = [status for status in statuses(root) if status.day < older_than_day]
    with Staging(root) as staging:
        for day, folder in list(days_in(root)):
            if day < older_than_day:
                aside = staging.path()
                os.rename(folder, aside)  # noqa: PTH104 - one name for every rename of the lake
                sync_folder(root)
                shutil.rmtree(aside)
    return ExpireReport(
        tuple(status.day for status in going),
        sum(status.parts for status in going),
        sum(status.events for status in going),
        sum(status.bytes for status in going),
    )
