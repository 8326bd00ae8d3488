"""Options that several commands share."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from threatmatrix.model.errors import UnknownNameError

if TYPE_CHECKING:
    from threatmatrix.knowledge import Library

__all__ = [
    "CalibrationFile",
    "Edition",
    "Format",
    "KeepRaw",
    "Mapping",
    "Matrix",
    "Source",
    "SuppressionFiles",
    "SystemsFile",
    "TableOrJson",
    "edition_of_library",
]


class TableOrJson(StrEnum):
    """For people or for programs."""

    table = "table"
    json = "json"


Format = Annotated[TableOrJson, typer.Option("--format", help="How to print.")]
Edition = Annotated[str, typer.Option("--edition", help="2020: the original matrix. living (the default): all of it.")]
Matrix = Annotated[
    str, typer.Option("--matrix", help="Another matrix than ours: atlas, atlas@5.6.0, attack, or a file.")
]

Source = Annotated[
    str,
    typer.Option(
        "--source", help="What wrote the files: auto, or a name that `telemetry sources` lists.", metavar="SOURCE"
    ),
]
Mapping = Annotated[
    Path | None, typer.Option("--mapping", help="Mapping file for the source `mapping`: which field is what.")
]
KeepRaw = Annotated[
    bool, typer.Option("--keep-raw", help="Keep inputs and unreadable lines as they are; by default neither is kept.")
]
SystemsFile = Annotated[
    Path | None, typer.Option("--systems", help="Your systems (default: systems.yaml here, if there is one).")
]
CalibrationFile = Annotated[
    Path | None, typer.Option("--calibration", help="Calibration file (default: in the home folder).")
]

SuppressionFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--suppressions",
        help="Sigma filters besides those of the library: a file or folder; may be given several times.",
        show_default=False,
    ),
]


def edition_of_library(library: Library, edition: str) -> Library:
    """The library as it stood in a year. Raises UnknownNameError for what is no edition."""
    if edition in ("", "living"):
        return library
    if re.fullmatch(r"20[2-9]\d", edition):  # 2020 is the first
        return library.edition(int(edition))
    raise UnknownNameError("edition", edition, ("2020", "living"))
