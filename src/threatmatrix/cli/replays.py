"""``replay``: a case study's whole chain, run end to end on a reference target."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from threatmatrix.cli.options import Format, TableOrJson
from threatmatrix.cli.progress import progress
from threatmatrix.cli.settings import settings_of

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("replay")(replay)


def replay(
    ctx: typer.Context,
    case: Annotated[str, typer.Argument(help="The case study, for example microsoft-edge-ai.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same table.")] = 1,
    scope: Annotated[
        Path | None,
        typer.Option("--scope", help="Your scope.yaml (default: one for the reference target, on loopback only)."),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples", min=2, help="Attacked samples (default: what the case's replay.yaml says)."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the upper bound of queries; attack nothing.")
    ] = False,
    output_format: Format = TableOrJson.table,
) -> None:
    """Attack a real model over real HTTP, see it in its telemetry, stop it, and attack again to prove it.

    Each replay works in a folder of its own and appends its evidence to the store.
    """
    from threatmatrix.cli.printing import warn
    from threatmatrix.cli.replay_tables import show_plan, show_replay
    from threatmatrix.knowledge import load_scope
    from threatmatrix.workflows import replay as workflow

    settings = settings_of(ctx)
    library = settings.load_library()
    plan = workflow.plan(library, case, samples=samples)
    as_json = output_format is TableOrJson.json
    now = time.time_ns() // 1000
    if scope is not None:  # refused before anything is made, for a dry run as well
        allowed = load_scope(scope, now, techniques=library.techniques).max_queries
        if allowed < plan.max_queries:
            warn(f"{scope}: allows {allowed:,} queries in all; this replay may need up to {plan.max_queries:,}")
    if dry_run:
        show_plan(plan, as_json=as_json)
        return
    with progress(quiet=settings.quiet) as shown:
        report = workflow.replay(
            plan, settings.open_home(), library, seed=seed, scope_file=scope, progress=shown, now=now
        )
    show_replay(report, library, as_json=as_json)
