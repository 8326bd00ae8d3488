"""``init``, ``calibrate`` and ``detect``: the user's own systems and logs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from threatmatrix.cli.options import (
    CalibrationFile,
    Format,
    KeepRaw,
    Mapping,
    Source,
    SuppressionFiles,
    SystemsFile,
    TableOrJson,
)
from threatmatrix.cli.progress import progress
from threatmatrix.cli.settings import settings_of
from threatmatrix.model.detection import Finding, Severity
from threatmatrix.model.errors import StoreError, ThreatmatrixError

if TYPE_CHECKING:
    from threatmatrix.model.response import Incident
    from threatmatrix.workflows.home import Home

__all__ = ["FindingFormat", "Level", "keep_findings", "leave", "register"]


class FindingFormat(StrEnum):
    """How findings are printed."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    ocsf = "ocsf"
    syslog = "syslog"
    cef = "cef"


class Level(StrEnum):
    """Severities, the least first."""

    informational = "informational"
    low = "low"
    medium = "medium"
    high = "high"
    critical = "critical"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("init")(init)
    app.command("calibrate")(calibrate)
    app.command("detect")(detect)


def init(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to write systems.yaml and scope.yaml.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write a commented systems.yaml (what you defend) and scope.yaml (what may be attacked on purpose)."""
    from threatmatrix.workflows.init import write_templates

    del ctx
    for path in write_templates(folder, force=force):
        typer.echo(f"wrote {path}")


def calibrate(
    ctx: typer.Context,
    reference: Annotated[
        list[Path], typer.Option("--reference", help="Log of ordinary traffic; may be given several times.")
    ],
    source: Source = "auto",
    mapping: Mapping = None,
    model: Annotated[str | None, typer.Option("--model", help="Only this model.")] = None,
    systems: SystemsFile = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Calibration file (default: in the home folder).")
    ] = None,
    output_format: Format = TableOrJson.table,
) -> None:
    """Learn the monitors' thresholds from reference traffic, and say from how many inputs."""
    from threatmatrix.cli.finding_tables import show_calibrations
    from threatmatrix.workflows import calibrate as workflow

    settings = settings_of(ctx)
    path = output or settings.open_home().ensure().calibration
    described = settings.load_systems(systems)
    with progress(quiet=settings.quiet) as shown:
        shown.stage("reading the reference traffic")
        found = workflow.calibrate(
            list(reference),
            library=settings.load_library(),
            source=source,
            systems=described,
            options=settings.reader_options(described, mapping=mapping, keep=False),
            model=model,
            now=_now(),
            on_progress=shown.step,
        )
    workflow.save_calibrations(path, found)
    show_calibrations(found, path, as_json=output_format is TableOrJson.json)


def detect(
    ctx: typer.Context,
    files: Annotated[list[str], typer.Argument(help="Log files, plain, gzip or zstd; - reads standard input.")],
    source: Source = "auto",
    mapping: Mapping = None,
    output_format: Annotated[FindingFormat, typer.Option("--format", help="How to print.")] = FindingFormat.table,
    fail_on: Annotated[
        Level, typer.Option("--fail-on", help="Leave with 1 if a finding is at least this severe.")
    ] = Level.low,
    systems: SystemsFile = None,
    calibration: CalibrationFile = None,
    dead_letters: Annotated[
        Path | None,
        typer.Option("--dead-letters", help="Where malformed lines go (default: in the home folder)."),
    ] = None,
    keep_raw: KeepRaw = False,
    suppressions: SuppressionFiles = None,
    save: Annotated[
        bool, typer.Option("--save", help="Keep the findings and join them into incidents in the store.")
    ] = False,
) -> None:
    """Read logs and print findings: technique, events, confidence, and a sentence of explanation.

    A monitor without calibration, and a rule whose fields the log does not have, is reported as no visibility:
    that is never the same as clean.
    """
    from threatmatrix.cli.finding_tables import next_step, show_findings
    from threatmatrix.telemetry.dead_letters import DeadLetterFile
    from threatmatrix.workflows import detect as workflow
    from threatmatrix.workflows.calibrate import load_calibrations
    from threatmatrix.workflows.rule_files import read_suppressions

    settings = settings_of(ctx)
    home = settings.open_home()
    library = settings.load_library()
    known = load_calibrations(calibration or home.calibration, must_exist=calibration is not None)
    described = settings.load_systems(systems)
    letters = DeadLetterFile(dead_letters or home.dead_letters, keep_raw=keep_raw)
    with letters, progress(quiet=settings.quiet) as shown:
        shown.stage("judging events")
        report = workflow.detect(
            ["-" if name == "-" else Path(name) for name in files],
            library=library,
            calibrations=known,
            systems=described,
            source=source,
            dead_letters=letters,
            options=settings.reader_options(described, mapping=mapping, keep=keep_raw),
            suppressions=read_suppressions(suppressions or ()),
            on_progress=shown.step,
        )
    incidents, failure = keep_findings(home, report.findings) if save else (None, None)
    show_findings(report, library, letters, style=output_format.value)
    if failure := failure or report.unreadable:
        raise failure
    next_step(report, incidents)
    leave(report.findings, fail_on)


def leave(findings: Sequence[Finding], fail_on: Level) -> None:
    """Leave with 1 if a finding is at least so severe."""
    if any(finding.severity >= Severity[fail_on.value] for finding in findings):
        raise typer.Exit(1)


def keep_findings(home: Home, findings: Sequence[Finding]) -> tuple[list[Incident] | None, ThreatmatrixError | None]:
    """The incidents that changed, or what failed: findings are printed even where they cannot be kept."""
    from threatmatrix.workflows.respond import keep

    try:
        with home.open_store() as store:
            return keep(store, findings, _now()), None
    except StoreError as failed:
        return None, failed


def _now() -> int:
    return time.time_ns() // 1000
