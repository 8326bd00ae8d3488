"""``hunt``: the same rules over the lake, back in time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from threatmatrix.cli.detection import FindingFormat, Level, keep_findings, leave
from threatmatrix.cli.options import SuppressionFiles, SystemsFile
from threatmatrix.cli.progress import Progress, progress
from threatmatrix.cli.settings import settings_of
from threatmatrix.model.errors import InputError

__all__ = ["register"]

_Names = list[str] | None


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("hunt")(hunt)


def hunt(
    ctx: typer.Context,
    since: Annotated[
        str, typer.Option("--since", help="From then on: 2026-01-31, 2026-01-31T09:30Z, or how long ago: 24h, -7d.")
    ] = "",
    until: Annotated[str, typer.Option("--until", help="Up to then: a day is included, a time is not.")] = "",
    system: Annotated[_Names, typer.Option("--system", help="Only this system; may be repeated.")] = None,
    principal: Annotated[
        _Names, typer.Option("--principal", help="Only this principal, by identity or readable name; may be repeated.")
    ] = None,
    model: Annotated[_Names, typer.Option("--model", help="Only this model; may be repeated.")] = None,
    technique: Annotated[
        _Names, typer.Option("--technique", help="Only rules of it: slug or id (AML.T0040); may be repeated.")
    ] = None,
    rule: Annotated[_Names, typer.Option("--rule", help="Only this rule: id, name or title; may be repeated.")] = None,
    rules: Annotated[
        list[Path] | None, typer.Option("--rules", help="File or folder of rules to hunt besides; may be repeated.")
    ] = None,
    output_format: Annotated[FindingFormat, typer.Option("--format", help="How to print.")] = FindingFormat.table,
    fail_on: Annotated[
        Level, typer.Option("--fail-on", help="Leave with 1 if a finding is at least this severe.")
    ] = Level.low,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the findings and join them into incidents in the store.")
    ] = False,
    systems: SystemsFile = None,
    suppressions: SuppressionFiles = None,
) -> None:
    """Search the events at rest with the library's rules and yours, back in time.

    A finding has the id that `detect` and `watch` give it. A rule whose fields the hunted events do not have is
    reported as no visibility: that is never the same as clean.
    """
    from threatmatrix.cli.hunting_tables import next_step, show_hunt
    from threatmatrix.workflows.hunt import Wanted
    from threatmatrix.workflows.hunt import hunt as workflow
    from threatmatrix.workflows.rule_files import read_suppressions

    settings = settings_of(ctx)
    home, library = settings.open_home(), settings.load_library()
    wanted = Wanted(
        since=since,
        until=until,
        systems=system or (),
        principals=principal or (),
        models=model or (),
        techniques=technique or (),
        rules=rule or (),
        rule_paths=rules or (),
    )
    with progress(quiet=settings.quiet) as shown:
        report = workflow(
            home,
            library,
            wanted,
            systems=settings.load_systems(systems),
            suppressions=read_suppressions(suppressions or ()),
            now=time.time_ns() // 1000,
            on_progress=_Stages(shown).step,
        )
    incidents, failure = keep_findings(home, report.findings) if record else (None, None)
    show_hunt(report, library, style=output_format.value)
    if not report.events:
        raise InputError(
            home.lake, "not one event was there to judge", hint="`threatmatrix lake status` lists the days"
        )
    if failure:
        raise failure
    next_step(report, incidents)
    leave(report.findings, fail_on)


class _Stages:
    """A new stage for each day."""

    def __init__(self, shown: Progress) -> None:
        self._shown, self._stage = shown, ""

    def step(self, stage: str, done: int) -> None:
        if stage != self._stage:
            self._stage = stage
            self._shown.stage(stage)
        self._shown.step(done)
