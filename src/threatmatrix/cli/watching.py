"""``watch``: logs that are being written, judged as they come."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from threatmatrix.cli.options import CalibrationFile, KeepRaw, Mapping, Source, SystemsFile
from threatmatrix.cli.settings import settings_of
from threatmatrix.model.errors import UsageError

if TYPE_CHECKING:
    from threatmatrix.workflows.feeding import Log

__all__ = ["register"]


class WatchFormat(StrEnum):
    table = "table"
    jsonl = "jsonl"
    ocsf = "ocsf"
    syslog = "syslog"
    cef = "cef"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("watch")(watch)


def watch(
    ctx: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, directories, patterns, - for standard input, kafka://HOST:PORT/TOPIC; "
            "without any, the logs that systems.yaml names.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Of its journal: two watches of one home have two.")] = "default",
    source: Source = "auto",
    mapping: Mapping = None,
    interval: Annotated[
        float, typer.Option("--interval", min=0.1, max=60, help="Seconds from one batch to the next.")
    ] = 1.0,
    lateness: Annotated[
        float,
        typer.Option(
            "--lateness", min=0, max=86_400, help="Seconds that a record may come later than others of its time."
        ),
    ] = 10.0,
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="Leave when nothing more is there: with 1 if there are findings, 2 if a file could not be read.",
        ),
    ] = (False),
    respond: Annotated[bool, typer.Option("--respond", help="Run the playbooks of what is found.")] = False,
    metrics: Annotated[
        str, typer.Option("--metrics", help="Serve Prometheus figures and /healthz there, such as 127.0.0.1:9464.")
    ] = "",
    lake_days: Annotated[
        int | None, typer.Option("--lake-days", min=1, help="Remove events from the lake after so many days.")
    ] = None,
    keep_raw: KeepRaw = False,
    kafka: Annotated[
        list[str] | None,
        typer.Option(
            "--kafka", help="A librdkafka setting, KEY=VALUE; may be given several times.", show_default=False
        ),
    ] = None,
    output_format: Annotated[
        WatchFormat, typer.Option("--format", help="table: a line for each new finding; the others: growing ones too.")
    ] = WatchFormat.table,
    systems: SystemsFile = None,
    calibration: CalibrationFile = None,
) -> None:
    """Follow logs, judge every event once, and keep findings and incidents in the store, whatever kills it meanwhile.

    Rotation, truncation and gzip on rotation are survived. End it with Ctrl-C or SIGTERM: it finishes its batch, saves
    its state and leaves with 0; started again, it goes on where it stopped.
    """
    from threatmatrix.cli.printing import warn
    from threatmatrix.cli.watch_lines import WatchLines
    from threatmatrix.telemetry.readers import NOTHING_ASKED
    from threatmatrix.workflows import watch as workflow
    from threatmatrix.workflows.calibrate import load_calibrations
    from threatmatrix.workflows.feeding import check_there, declared_logs

    settings = settings_of(ctx)
    home = settings.open_home().ensure()
    described = settings.load_systems(systems)
    named: Sequence[str | Log]
    if sources:
        named, options = sources, settings.reader_options(described, mapping=mapping, keep=keep_raw)
    else:
        named = declared_logs(home, described, source=source, mapping=mapping, keep_raw=keep_raw)
        options = NOTHING_ASKED  # each says what it asks for
    if once and sources:
        check_there(sources)
    library = settings.load_library()
    if library.suppressions and not settings.quiet:
        files = ", ".join(Path(source.file).name for source in library.suppressions)
        warn(f"suppressions: {files}; `threatmatrix rules list` says what they set aside, and until when")
    config = workflow.WatchConfig(
        name=name,
        sources=named,
        home=home,
        library=library,
        systems=described,
        calibrations=load_calibrations(calibration or home.calibration, must_exist=calibration is not None),
        source=source,
        options=options,
        batch_seconds=interval,
        lateness_seconds=lateness,
        metrics=_address(metrics) if metrics else None,
        lake_days=lake_days,
        once=once,
        respond=respond,
        kafka=dict(map(_setting, kafka or ())),
    )
    lines = WatchLines(library, settings.principal_names(), style=output_format.value, quiet=settings.quiet)
    report = workflow.run(config, on_event=lines.event)
    lines.end(report)
    if once and report.refused:
        raise typer.Exit(2)
    if once and report.findings:
        raise typer.Exit(1)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f"--metrics: {text!r} is no address", hint="Write it as HOST:PORT, such as 127.0.0.1:9464")
    return host.strip("[]") or "127.0.0.1", int(port)


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError("--kafka: a setting is KEY=VALUE", hint="For instance --kafka security.protocol=SSL")
    return key, value
