"""``assess``: which techniques apply to a system, which can be seen, what to switch on next."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from threatmatrix.cli.options import CalibrationFile, SystemsFile
from threatmatrix.cli.settings import settings_of
from threatmatrix.model.errors import UsageError

__all__ = ["register"]


class AssessFormat(StrEnum):
    table = "table"
    json = "json"
    navigator = "navigator"
    html = "html"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("assess")(assess)


def assess(
    ctx: typer.Context,
    system: Annotated[str, typer.Argument(help="A system of systems.yaml; without it, all of them.")] = "",
    output_format: Annotated[
        AssessFormat,
        typer.Option("--format", help="table, json, ATT&CK Navigator layers, or one self-contained html page."),
    ] = AssessFormat.table,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write json, navigator or html here.")] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=100_000, help="How far back the lake is looked at.")] = 30,
    every: Annotated[bool, typer.Option("--all", help="List every technique, not only what lacks something.")] = False,
    systems: SystemsFile = None,
    calibration: CalibrationFile = None,
) -> None:
    """Which techniques apply to a system, which of them today's telemetry shows, and what to switch on next.

    Where the lake holds events of the system, what arrived is judged; otherwise what its declared sources could give.
    """
    from threatmatrix.cli.assess_tables import show_assessment
    from threatmatrix.cli.printing import emit
    from threatmatrix.workflows import assess as workflow
    from threatmatrix.workflows.calibrate import load_calibrations

    if output is not None and output_format is AssessFormat.table:
        raise UsageError("--output writes json, navigator or html", hint="Add one of them, for example --format html")
    settings = settings_of(ctx)
    home = settings.open_home()
    library = settings.load_library()
    found = workflow.assess(
        settings.load_systems(systems),
        library=library,
        name=system,
        lake=home.open_lake() if home.lake.is_dir() else None,
        since=time.time_ns() // 1000 - days * 86_400_000_000,
        calibrations=load_calibrations(calibration or home.calibration, must_exist=calibration is not None),
    )
    if output_format is AssessFormat.table:
        for each in found:
            show_assessment(each, library, every=every)
    else:
        emit(workflow.render(found, library, output_format.value), output)
