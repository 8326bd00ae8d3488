"""``rules convert``: rules as queries of a SIEM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from threatmatrix.cli.options import Format, TableOrJson
from threatmatrix.cli.progress import progress
from threatmatrix.cli.settings import settings_of

__all__ = ["register"]

To = Annotated[
    str,
    typer.Option("--to", help="The SIEM: elasticsearch, kusto, opensearch or splunk.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the command to the group ``rules``."""
    app.command("convert")(convert)


def convert(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...", help="Rule files and folders; the library's without any.", show_default=False
        ),
    ] = None,
    to: To = "",
    pipeline: Annotated[
        Path | None,
        typer.Option("--pipeline", help="Sigma processing pipeline (YAML) with the SIEM's names of the fields."),
    ] = None,
    capabilities: Annotated[
        bool, typer.Option("--capabilities", help="Show what each SIEM's backend changes, and convert nothing.")
    ] = False,
    output_format: Format = TableOrJson.table,
) -> None:
    """Write rules as queries of a SIEM; refuse, with the reason, what its backend would change.

    Queries go to standard output, refusals to standard error. Leaves with 1 if a rule was refused. Needs the optional
    part [convert].
    """
    from threatmatrix.cli.convert_tables import show_capabilities, show_conversion
    from threatmatrix.model.errors import UsageError

    as_json = output_format is TableOrJson.json
    if capabilities:
        show_capabilities(to, as_json=as_json)
        return
    if not to:
        raise UsageError("no SIEM is named", hint="Name one: --to elasticsearch, kusto, opensearch or splunk")
    from threatmatrix.workflows.convert import convert_rules

    settings = settings_of(ctx)
    with progress(quiet=settings.quiet) as shown:
        shown.stage(f"converting for {to}")
        report = convert_rules(
            settings.load_library(), to, paths=paths or (), pipeline=pipeline, on_progress=shown.step
        )
    show_conversion(report, as_json=as_json)
    if report.refused or report.invalid:
        raise typer.Exit(1)
