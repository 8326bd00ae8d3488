"""``keys``: the keys that inputs are fingerprinted under; a secret is never printed."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from threatmatrix.cli.options import Format, TableOrJson
from threatmatrix.cli.settings import settings_of

__all__ = ["keys_app"]

_DAY = 86_400_000_000  # µs

keys_app = typer.Typer(no_args_is_help=True)


@keys_app.command("status")
def status(ctx: typer.Context, output_format: Format = TableOrJson.table) -> None:
    """List the keys by id and age; the secrets themselves are never shown."""
    from threatmatrix.cli.key_tables import show_keys
    from threatmatrix.workflows import keys as workflow

    found = workflow.status(settings_of(ctx).open_home(), now=time.time_ns() // 1000)
    show_keys(found, as_json=output_format is TableOrJson.json)


@keys_app.command("rotate")
def rotate(
    ctx: typer.Context,
    overlap: Annotated[
        float,
        typer.Option("--overlap", min=0, max=3650, help="Days in which inputs are fingerprinted under both keys."),
    ] = 7,
    output_format: Format = TableOrJson.table,
) -> None:
    """Make a new key; for the overlap the old one counts too, so that no attack is cut in two.

    Calibrate again before the overlap ends: the monitors' thresholds belong to a key.
    """
    from threatmatrix.cli.key_tables import show_keys
    from threatmatrix.workflows import keys as workflow

    home = settings_of(ctx).open_home()
    found = workflow.rotate(home, now=time.time_ns() // 1000, overlap=round(overlap * _DAY))
    show_keys(found, as_json=output_format is TableOrJson.json)


@keys_app.command("prune")
def prune(
    ctx: typer.Context,
    end: Annotated[bool, typer.Option("--end", help="Remove the old key although the overlap still lasts.")] = False,
    output_format: Format = TableOrJson.table,
) -> None:
    """Remove the keys whose overlap has ended: what was fingerprinted under them can no longer be linked, by nobody."""
    from threatmatrix.cli.key_tables import show_keys
    from threatmatrix.workflows import keys as workflow

    found = workflow.prune(settings_of(ctx).open_home(), now=time.time_ns() // 1000, end=end)
    show_keys(found, as_json=output_format is TableOrJson.json)
