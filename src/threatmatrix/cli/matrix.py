"""``matrix``: read and search ours and imported matrices."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from threatmatrix.cli import exchange
from threatmatrix.cli.options import Edition, Format, Matrix, TableOrJson, edition_of_library
from threatmatrix.cli.settings import settings_of
from threatmatrix.model.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from threatmatrix.model.edition import Edition as AnyEdition
    from threatmatrix.model.edition import EditionCase, EditionTechnique

__all__ = ["matrix_app"]

_MOST = 20


class CrosswalkFormat(StrEnum):
    table = "table"
    json = "json"
    csv = "csv"


def show(
    ctx: typer.Context,
    edition: Edition = "",
    matrix: Matrix = "",
    output_format: Format = TableOrJson.table,
) -> None:
    """Draw the matrix in its columns, as wide as the terminal."""
    from threatmatrix.cli.matrix_tables import draw, drawn_as_json

    opened = _open(ctx, matrix, edition)
    if output_format is TableOrJson.json:
        drawn_as_json(opened)
    else:
        draw(opened)


def search(
    ctx: typer.Context,
    words: Annotated[list[str], typer.Argument(help="Words that must all stand in it, whatever their case.")],
    edition: Edition = "",
    matrix: Matrix = "",
    output_format: Format = TableOrJson.table,
    everything: Annotated[bool, typer.Option("--all", help="Every hit, not only the best.")] = False,
) -> None:
    """Find techniques, case studies, mitigations and vulnerabilities by words in their name, ids or text."""
    from threatmatrix.cli.matrix_tables import show_hits
    from threatmatrix.knowledge.lookup import search as find

    found = find(_open(ctx, matrix, edition), words)
    most = len(found) if everything or output_format is TableOrJson.json else _MOST
    show_hits(found, most, as_json=output_format is TableOrJson.json)
    if not found:
        raise typer.Exit(1)


def technique(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Slug, name, or an id of ATLAS, ATT&CK or the data of v1.0.")],
    edition: Edition = "",
    matrix: Matrix = "",
    output_format: Format = TableOrJson.table,
) -> None:
    """Everything about one technique: what it is, what it leaves, how to detect, respond and remediate."""
    from threatmatrix.cli.technique_page import show_technique, technique_as_json
    from threatmatrix.knowledge import lookup

    opened = _open(ctx, matrix, edition)
    try:
        found = lookup.technique(opened, name)
    except UnknownNameError:
        _came_later(ctx, edition, name)
        raise
    _only_one(name, found)
    if output_format is TableOrJson.json:
        technique_as_json(opened, found[0])
    else:
        show_technique(opened, found[0])


def case(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Slug, name, or an id of ATLAS or the data of v1.0.")],
    edition: Edition = "",
    matrix: Matrix = "",
    output_format: Format = TableOrJson.table,
) -> None:
    """Everything about one case study: who, when, the steps in order, what was learned."""
    from threatmatrix.cli.technique_page import case_as_json, show_case
    from threatmatrix.knowledge import lookup

    opened = _open(ctx, matrix, edition)
    found = lookup.case(opened, name)
    _only_one(name, found)
    if output_format is TableOrJson.json:
        case_as_json(found[0])
    else:
        show_case(opened, found[0])


def crosswalk(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="One of our slugs or one id of ATLAS or ATT&CK; nothing: all.")] = "",
    edition: Edition = "",
    output_format: Annotated[CrosswalkFormat, typer.Option("--format", help="How to print.")] = CrosswalkFormat.table,
) -> None:
    """Our techniques beside those of ATLAS and ATT&CK, with the relation of each pair."""
    from threatmatrix.cli.matrix_tables import show_crosswalk
    from threatmatrix.cli.printing import plain_json, write
    from threatmatrix.knowledge import crosswalk as module
    from threatmatrix.knowledge.editions.from_library import edition_of

    library = edition_of_library(settings_of(ctx).load_library(), edition)
    rows = module.crosswalk(library, name)
    if output_format is CrosswalkFormat.json:
        plain_json(rows)
    elif output_format is CrosswalkFormat.csv:
        write(module.as_csv(rows, edition_of(library).ref))
    else:
        show_crosswalk(rows)


def listing(ctx: typer.Context, output_format: Format = TableOrJson.table) -> None:
    """The matrices that can be named: ours, and those that were imported."""
    from threatmatrix.cli.matrix_tables import show_listing
    from threatmatrix.workflows.editions import listing as listed

    settings = settings_of(ctx)
    show_listing(listed(settings.load_library(), settings.open_home()), as_json=output_format is TableOrJson.json)


def _open(ctx: typer.Context, matrix: str, edition: str) -> AnyEdition:
    """The matrix that the options name."""
    settings = settings_of(ctx)
    if not matrix:
        from threatmatrix.knowledge.editions.from_library import edition_of

        return edition_of(edition_of_library(settings.load_library(), edition))
    if edition:
        raise UsageError("--edition is of our own matrix", hint="Name the version in --matrix, as in atlas@5.6.0")
    from threatmatrix.workflows.editions import open_edition

    return open_edition(matrix, settings.load_library, settings.open_home())


def _came_later(ctx: typer.Context, edition: str, name: str) -> None:
    """Raises UsageError where the edition that was asked for is only too old for the technique."""
    from threatmatrix.knowledge import lookup

    if not edition:
        return
    try:
        found = lookup.technique(_open(ctx, "", ""), name)[0]
    except UnknownNameError:
        return
    year = found.extra["year"]
    raise UsageError(f"{found.id} came later, in {year}", hint=f"Leave --edition out, or ask for --edition {year}")


def _only_one(name: str, found: Sequence[EditionTechnique | EditionCase]) -> None:
    if len(found) > 1:
        hint = f"Name one: {', '.join(item.id for item in found)}"
        raise UsageError(f"{name!r} stands for several of ours", hint=hint)


matrix_app = typer.Typer(no_args_is_help=True)
for command in (show, search, technique, case, crosswalk):
    matrix_app.command(command.__name__)(command)
matrix_app.command("list")(listing)
exchange.register(matrix_app)
