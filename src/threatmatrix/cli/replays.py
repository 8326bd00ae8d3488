"""``replay``: a case study's whole chain, run end to end on a reference target."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from threatmatrix.cli.options import Format, TableOrJson
from threatmatrix.cli.progress import progress
from threatmatrix.cli.settings import settings_of

__all__ = ["register"]


class Profile(StrEnum):
    """How much of a replay runs."""

    full = "full"
    small = "small"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("replay")(replay)


def replay(
    ctx: typer.Context,
    case: Annotated[
        str | None, typer.Argument(help="The case study, for example microsoft-edge-ai.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every case study that has a replay, and one table.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same table.")] = 1,
    scope: Annotated[
        Path | None,
        typer.Option("--scope", help="Your scope.yaml (default: one for the reference target, on loopback only)."),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples", min=2, help="Attacked samples (default: what the case's replay.yaml says)."),
    ] = None,
    profile: Annotated[
        Profile, typer.Option("--profile", help="small: few samples, seconds for each case; proves nothing.")
    ] = Profile.full,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the upper bound of queries; attack nothing.")
    ] = False,
    output_format: Format = TableOrJson.table,
) -> None:
    """Attack a real model over real HTTP, see it in its telemetry, stop it, and attack again to prove it.

    Each replay works in a folder of its own and appends its evidence to the store. With --all the command leaves with
    1 where an attack does not beat its random control.
    """
    from threatmatrix.cli.case_tables import show_all, show_case
    from threatmatrix.cli.printing import warn
    from threatmatrix.cli.replay_tables import show_plan, show_replay
    from threatmatrix.knowledge import load_scope
    from threatmatrix.model.errors import UsageError
    from threatmatrix.workflows import replay as workflow

    settings = settings_of(ctx)
    library = settings.load_library()
    if every == (case is not None):
        raise UsageError("name one case study, or give --all", hint=f"Valid: {', '.join(workflow.replayable(library))}")
    as_json = output_format is TableOrJson.json
    small = profile is Profile.small
    names = workflow.replayable(library) if every else (str(case),)
    plans = [workflow.plan(library, name, samples=samples, small=small) for name in names]
    if scope is not None:  # refused before anything is made, for a dry run as well
        allowed = load_scope(scope, time.time_ns() // 1000, techniques=library.techniques).max_queries
        needed = max(plan.max_queries for plan in plans)
        if allowed < needed:
            warn(f"{scope}: allows {allowed:,} queries in all; this replay may need up to {needed:,}")
    if dry_run:
        show_plan(plans, as_json=as_json)
        return
    done = []
    with progress(quiet=settings.quiet) as shown:
        for plan in plans:
            if every:
                shown.stage(f"── {plan.case.name}")
            done.append(
                workflow.replay(
                    plan,
                    settings.open_home(),
                    library,
                    seed=seed,
                    scope_file=scope,
                    progress=shown,
                    now=time.time_ns() // 1000,
                )
            )
    if every:
        show_all([each.row for each in done], seed=seed, profile=profile.value, as_json=as_json)
        if not all(each.row.passed for each in done) and not small:
            raise typer.Exit(1)
    elif done[0].loop is not None:
        show_replay(done[0].loop, library, as_json=as_json)
    else:
        show_case(done[0].row, library, as_json=as_json)
