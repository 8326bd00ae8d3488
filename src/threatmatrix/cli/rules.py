"""``rules``: Sigma rules, the library's and yours: list, read, test and check them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from threatmatrix.cli import converting
from threatmatrix.cli.options import Format, SuppressionFiles, TableOrJson
from threatmatrix.cli.progress import progress
from threatmatrix.cli.settings import settings_of

__all__ = ["rules_app"]

rules_app = typer.Typer(no_args_is_help=True)

Paths = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[PATH]...", help="Rule files and folders; the library's without any.", show_default=False),
]


class LintFormat(StrEnum):
    table = "table"
    json = "json"
    sarif = "sarif"


@rules_app.command("list")
def list_rules(
    ctx: typer.Context,
    technique: Annotated[
        str, typer.Option("--technique", help="Of this technique and its sub-techniques: a slug or an id.")
    ] = "",
    level: Annotated[str, typer.Option("--level", help="informational, low, medium, high, critical.")] = "",
    tag: Annotated[str, typer.Option("--tag", help="With a tag that contains this.")] = "",
    category: Annotated[str, typer.Option("--category", help="That read events of this category.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="event, correlation, or a type such as temporal_ordered.")] = "",
    search: Annotated[str, typer.Option("--search", help="With all these words in title, text or tags.")] = "",
    suppressions: SuppressionFiles = None,
    output_format: Format = TableOrJson.table,
) -> None:
    """List the rules of the library, with what they read, their tests, and what suppressions take from them."""
    from threatmatrix.cli.rules_tables import show_list
    from threatmatrix.workflows.rule_files import read_suppressions
    from threatmatrix.workflows.rules import Wanted, catalogue

    known = catalogue(settings_of(ctx).load_library(), suppressions=read_suppressions(suppressions or ()))
    wanted = Wanted(technique=technique, level=level, tag=tag, category=category, kind=kind, search=search)
    show_list(known, known.select(wanted), as_json=output_format is TableOrJson.json)


@rules_app.command("show")
def show(
    ctx: typer.Context,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Its id, name or title.")],
    sql: Annotated[bool, typer.Option("--sql", help="Also the SQL that it becomes.")] = False,
    suppressions: SuppressionFiles = None,
    output_format: Format = TableOrJson.table,
) -> None:
    """Show one rule: what it finds and needs, its condition or its steps, tests, suppressions and false positives."""
    from threatmatrix.cli.rule_page import show_rule
    from threatmatrix.workflows.rule_files import read_suppressions
    from threatmatrix.workflows.rules import catalogue

    known = catalogue(settings_of(ctx).load_library(), suppressions=read_suppressions(suppressions or ()))
    show_rule(known, known.entry(rule), sql=sql, as_json=output_format is TableOrJson.json)


@rules_app.command("test")
def run_tests(
    ctx: typer.Context,
    paths: Paths = None,
    with_library: Annotated[
        bool, typer.Option("--with-library", help="Run them among the library's rules, which they may name.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Leave with 2 if anything was refused.")] = False,
    output_format: Format = TableOrJson.table,
) -> None:
    """Run the tests that rules carry; leave with 1 if one fails, with 2 if there was none to run."""
    from threatmatrix.cli.rules_tables import show_tests
    from threatmatrix.workflows.rule_tests import rehearse

    settings = settings_of(ctx)
    with progress(quiet=settings.quiet) as shown:
        report = rehearse(
            paths or (),
            settings.load_library(),
            with_library=with_library,
            on_stage=shown.stage,
            on_progress=shown.step,
        )
    show_tests(report, as_json=output_format is TableOrJson.json)
    if report.failed:
        raise typer.Exit(1)
    if not report.results or (strict and (report.refused or report.unread)):
        raise typer.Exit(2)


@rules_app.command("lint")
def lint(
    ctx: typer.Context,
    paths: Paths = None,
    suppressions: SuppressionFiles = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    output_format: Annotated[LintFormat, typer.Option("--format", help="How to print.")] = LintFormat.table,
) -> None:
    """Check rules: what is refused, unknown fields, missing keys and tests, tags, conditions that make no sense.

    Leaves with 1 if there is an error. Tags are checked against the index that is shipped: no network is used.
    """
    from threatmatrix.cli.lint_tables import lint_as_text, show_lint
    from threatmatrix.cli.printing import write
    from threatmatrix.workflows.rule_files import read_suppressions
    from threatmatrix.workflows.rule_lint import lint_rule_files

    settings = settings_of(ctx)
    with progress(quiet=settings.quiet) as shown:
        report = lint_rule_files(
            paths or (),
            settings.load_library(),
            suppressions=read_suppressions(suppressions or ()),
            on_stage=shown.stage,
            on_progress=shown.step,
        )
    if output_format is LintFormat.table:
        show_lint(report)
    else:
        write(lint_as_text(report, output_format.value))
    if report.count("error") or (strict and report.count("warning")):
        raise typer.Exit(1)


converting.register(rules_app)
