"""``ingest``: logs at rest into the lake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from threatmatrix.cli.options import Format, KeepRaw, Mapping, Source, SystemsFile, TableOrJson
from threatmatrix.cli.progress import progress
from threatmatrix.cli.settings import settings_of

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("ingest")(ingest)


def ingest(
    ctx: typer.Context,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, directories or patterns, plain, gzip or zstd; - reads standard input; "
            "without any, the logs that systems.yaml names.",
            show_default=False,
        ),
    ] = None,
    source: Source = "auto",
    mapping: Mapping = None,
    systems: SystemsFile = None,
    dead_letters: Annotated[
        Path | None, typer.Option("--dead-letters", help="Where malformed lines go (default: in the home folder).")
    ] = None,
    keep_raw: KeepRaw = False,
    join: Annotated[
        bool, typer.Option("--join/--no-join", help="Join records of one request from several sources afterwards.")
    ] = True,
    workers: Annotated[int, typer.Option("--workers", min=0, max=64, help="Processes; 0: one a core, at most 2.")] = 0,
    output_format: Format = TableOrJson.table,
) -> None:
    """Read logs into the lake, each event once: run it again and only what is new is added.

    Cut off by a kill or a full disk, the same command goes on where it stopped. Nothing is judged: that is what detect
    and watch are for.
    """
    from threatmatrix.cli.lake_tables import show_ingest
    from threatmatrix.telemetry.dead_letters import DeadLetterFile
    from threatmatrix.telemetry.readers import NOTHING_ASKED
    from threatmatrix.workflows.feeding import Log, declared_logs
    from threatmatrix.workflows.ingest import IngestProgress
    from threatmatrix.workflows.ingest import ingest as workflow

    settings = settings_of(ctx)
    home = settings.open_home().ensure()
    described = settings.load_systems(systems)
    letters = DeadLetterFile(dead_letters or home.dead_letters, keep_raw=keep_raw)
    if files:
        options = settings.reader_options(described, mapping=mapping, keep=keep_raw)
        logs: list[Path | Literal["-"] | Log] = ["-" if name == "-" else Path(name) for name in files]
    else:
        options = NOTHING_ASKED
        logs = [*declared_logs(home, described, source=source, mapping=mapping, keep_raw=keep_raw)]
    with letters, home.open_lake() as lake, progress(quiet=settings.quiet) as shown:
        stage = ""

        def step(done: IngestProgress) -> None:
            nonlocal stage
            if done.doing != stage:
                stage = done.doing
                shown.stage(f"{stage} logs" if stage == "reading" else stage)
            shown.step(done.events)

        report = workflow(
            logs,
            lake=lake,
            home=home.root,
            systems=described,
            source=source,
            options=options,
            dead_letters=letters,
            join=join,
            workers=workers,
            on_progress=step,
        )
    show_ingest(report, letters, as_json=output_format is TableOrJson.json)
    if report.unreadable is not None:
        raise report.unreadable
