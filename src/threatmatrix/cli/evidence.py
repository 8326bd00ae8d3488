"""``evidence``: what was proved, and whether the record of it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from threatmatrix.cli.options import Format, TableOrJson
from threatmatrix.cli.settings import settings_of

__all__ = ["evidence_app"]

evidence_app = typer.Typer(no_args_is_help=True)


@evidence_app.command("list")
def list_evidence(ctx: typer.Context, output_format: Format = TableOrJson.table) -> None:
    """List the records, the oldest first."""
    from threatmatrix.cli.evidence_tables import show_evidence

    with settings_of(ctx).open_home().open_store() as store:
        found = store.evidence.list()
    show_evidence(found, as_json=output_format is TableOrJson.json)


@evidence_app.command("verify")
def verify(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="An evidence file (evidence.jsonl of an emulation); without it, your store's records."),
    ] = None,
    output_format: Format = TableOrJson.table,
) -> None:
    """Recompute every digest and link; leave with 1 where a record was changed, removed or put in between.

    Keep the head somewhere else: records cut off at the end show only by comparing it.
    """
    from threatmatrix.cli.evidence_tables import show_chain
    from threatmatrix.workflows.evidence import verify_evidence

    report = verify_evidence(settings_of(ctx).open_home(), file)
    show_chain(report, as_json=output_format is TableOrJson.json)
    if not report.intact:
        raise typer.Exit(1)
