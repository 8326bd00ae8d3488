"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

__all__ = ["Format", "TableOrJson"]


class TableOrJson(StrEnum):
    """For people or for programs."""

    table = "table"
    json = "json"


Format = Annotated[TableOrJson, typer.Option("--format", help="How to print.")]
