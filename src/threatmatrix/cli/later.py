"""Groups of commands that are built when one of them is run: the program's own help needs only their names."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_group

__all__ = ["Group", "Program", "add_later"]


class Group(NamedTuple):
    """A group: its name, what it is for, and the module of ``cli`` that has its commands as ``<name>_app``."""

    name: str
    help: str
    module: str


class Program(TyperGroup):
    """The program: a group that was added by :func:`add_later` is replaced by the real one when it is run."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, built."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, _Later) else command, rest


class _Later(TyperGroup):
    """Stands in for a group: knows its name and help."""

    group: Group

    def load(self) -> TyperGroup:
        """The real group."""
        module = import_module(f"threatmatrix.cli.{self.group.module}")
        made = get_group(getattr(module, f"{self.group.name}_app"))
        made.name, made.help = self.group.name, self.group.help
        return made


def add_later(app: typer.Typer, group: Group) -> None:
    """Add a group to the program without importing it."""
    stand_in = type("Later", (_Later,), {"group": group})
    app.add_typer(typer.Typer(), name=group.name, help=group.help, cls=stand_in)
