"""``technique``: start a contribution, and hold it to what the shipped library keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from threatmatrix.cli.options import Format, TableOrJson
from threatmatrix.cli.settings import settings_of
from threatmatrix.model.errors import UsageError

__all__ = ["technique_app"]

technique_app = typer.Typer(no_args_is_help=True)

_STYLE = {"pass": "[green]pass[/]", "fail": "[red]fail[/]", "absent": "[dim]not there yet[/]"}


@technique_app.command("new")
def new(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder to create; its name is the slug.")],
    name: Annotated[str, typer.Option("--name", help="As people call it; otherwise made from the slug.")] = "",
    tactic: Annotated[str, typer.Option("--tactic", help="The column in which it stands.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="ml, or enterprise for an ordinary technique.")] = "ml",
) -> None:
    """Start a technique: a folder with every file that one can have, each with comments on what to change."""
    from threatmatrix.cli.printing import out, safe
    from threatmatrix.workflows.technique import start_technique

    if kind not in ("ml", "enterprise"):
        raise UsageError(f"--kind {kind} is not known", hint="Valid: ml, enterprise")
    made = start_technique(folder, settings_of(ctx).load_library(), name=name, tactic=tactic, kind=kind)
    for path in made:
        out().print(f"wrote {safe(str(path))}")
    out().print(f"\nNext: edit them, then threatmatrix technique test {safe(str(folder))}")


@technique_app.command("test")
def check(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The technique's folder.")],
    output_format: Format = TableOrJson.table,
) -> None:
    """Check a technique's folder as the shipped library is checked; exit code 1 if a check fails."""
    from threatmatrix.cli.printing import out, plain_json, safe, table
    from threatmatrix.workflows.technique import check_technique

    checks = check_technique(folder, settings_of(ctx).overlay)
    failed = sum(check.result == "fail" for check in checks)
    if output_format is TableOrJson.json:
        plain_json({"technique": folder.resolve().name, "failed": failed, "checks": checks})
    else:
        made = table("", "!result", "check", "said")
        for check in checks:
            made.add_row(_STYLE[check.result], safe(check.what), safe(check.said))
        out().print(made)
        passed = sum(check.result == "pass" for check in checks)
        out().print(f"\n{passed} passed, {failed} failed, {len(checks) - passed - failed} not there yet")
    if failed:
        raise typer.Exit(1)
