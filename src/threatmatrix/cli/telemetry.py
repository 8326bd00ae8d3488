"""``telemetry``: which logs can be read, what each field comes from, and what a log of yours would show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from threatmatrix.cli.options import CalibrationFile, Format, Mapping, Source, SystemsFile, TableOrJson
from threatmatrix.cli.settings import settings_of
from threatmatrix.model.errors import UnknownNameError

if TYPE_CHECKING:
    from threatmatrix.telemetry.readers import Reader

__all__ = ["telemetry_app"]

telemetry_app = typer.Typer(no_args_is_help=True)


@telemetry_app.command("sources")
def sources(output_format: Format = TableOrJson.table) -> None:
    """List the sources, the categories of event that each gives, and how many fields it fills."""
    from threatmatrix.cli.telemetry_tables import show_sources
    from threatmatrix.telemetry.readers import SOURCES

    show_sources(list(SOURCES.values()), as_json=output_format is TableOrJson.json)


@telemetry_app.command("fields")
def fields(
    source: Annotated[str, typer.Argument(help="A source; without it, the fields of an event.")] = "",
    output_format: Format = TableOrJson.table,
) -> None:
    """Show what a source fills each field of an event from; without a source, which sources fill which field."""
    from threatmatrix.cli.telemetry_tables import show_fields, show_source_fields

    if source:
        show_source_fields(_reader(source), as_json=output_format is TableOrJson.json)
    else:
        show_fields(as_json=output_format is TableOrJson.json)


@telemetry_app.command("try")
def try_file(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(help="A log, plain, gzip or zstd; - reads standard input.")],
    source: Source = "auto",
    mapping: Mapping = None,
    systems: SystemsFile = None,
    calibration: CalibrationFile = None,
    output_format: Format = TableOrJson.table,
) -> None:
    """Read the start of a log and show what was recognised, what each field became, and which detectors would see.

    Nothing is kept and nothing is judged. Leaves with 2 where not one line could be read.
    """
    from threatmatrix.cli.telemetry_tables import show_try
    from threatmatrix.workflows.calibrate import load_calibrations
    from threatmatrix.workflows.telemetry import try_log

    settings = settings_of(ctx)
    home = settings.open_home()
    report = try_log(
        "-" if file == "-" else Path(file),
        library=settings.load_library(),
        calibrations=load_calibrations(calibration or home.calibration, must_exist=calibration is not None),
        systems=(described := settings.load_systems(systems)),
        source=source,
        options=settings.reader_options(described, mapping=mapping, keep=False),
    )
    show_try(report, as_json=output_format is TableOrJson.json)
    if report.unreadable is not None:
        raise report.unreadable
    if not report.events:
        raise typer.Exit(2)


def _reader(name: str) -> Reader:
    from threatmatrix.telemetry.readers import SOURCES

    if name not in SOURCES:
        raise UnknownNameError("source", name, SOURCES)
    return SOURCES[name]
