"""The command tree. Everything heavy is imported inside a command, so that ``--help`` starts at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from threatmatrix import __version__
from threatmatrix.cli import assess, coverage, detection, hunting, ingest, replays, watching
from threatmatrix.cli.later import Group, Program, add_later
from threatmatrix.cli.settings import Settings

__all__ = ["app"]

GROUPS = (
    Group("telemetry", "The logs that can be read: sources, their fields, and a log of yours on trial.", "telemetry"),
    Group("lake", "The events at rest: what there is, compaction, retention, erasure, sending on.", "lake"),
    Group("keys", "The keys that inputs are fingerprinted under: list them, make a new one, end an old one.", "keys"),
    Group("incidents", "Findings that belong together, as an ordered chain of techniques.", "response"),
    Group("respond", "Run playbooks, finish interrupted ones, decide doubtful actions, undo.", "response"),
    Group("emulate", "Attack a target within a signed-off scope, beside chance, and clean up.", "emulation"),
    Group("evidence", "The append-only record of what was proved: list it, check its hash chain.", "evidence"),
    Group("matrix", "Read, search, check, compare and exchange the matrix.", "matrix"),
    Group("rules", "Sigma rules, the library's and yours: list, read, test and check them.", "rules"),
    Group("technique", "Write a technique of your own, and check it.", "technique"),
)

app = typer.Typer(
    cls=Program,
    name="threatmatrix",
    help="An Adversarial ML Threat Matrix that you can run: emulate, detect, respond, remediate, prove.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (replays, ingest, watching, detection, hunting, assess, coverage):
    module.register(app)
for group in GROUPS:
    add_later(app, group)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"threatmatrix {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    home: Annotated[
        Path,
        typer.Option(
            "--home",
            envvar="THREATMATRIX_HOME",
            help="Folder for the store, calibrations, the published policy and replays.",
        ),
    ] = Path(".threatmatrix"),
    store: Annotated[
        str,
        typer.Option(
            "--store", envvar="THREATMATRIX_STORE", help="Database URL in place of the home folder's SQLite file."
        ),
    ] = "",
    library: Annotated[
        Path | None,
        typer.Option(
            "--library",
            envvar="THREATMATRIX_LIBRARY",
            help="Folder laid over the built-in library: adds, overrides or disables techniques and cases.",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options that come before the command and hold for every one."""
    del version
    ctx.obj = Settings(home=home, store=store, library=library, quiet=quiet)
