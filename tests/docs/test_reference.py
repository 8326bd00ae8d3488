"""An undocumented command or option fails; so does one without a help text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from threatmatrix.cli.app import app

REFERENCE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


def walk(command: Any, path: str) -> list[tuple[str, Any]]:
    command = command.load() if hasattr(command, "load") else command
    found = [(path, command)]
    for name, child in getattr(command, "commands", {}).items():
        found += walk(child, f"{path} {name}")
    return found


COMMANDS = walk(typer.main.get_command(app), "threatmatrix")


def section(path: str) -> str:
    match = re.search(rf"^## `{re.escape(path)}`$(.*?)(?=^## |\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
    return match.group(1) if match else ""


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_command_is_documented_with_every_option(path: str, command: Any) -> None:
    assert command.help, f"{path} has no help text"
    text = section(path)
    assert text, f"docs/cli.md has no section '## `{path}`'"
    for parameter in command.params:
        help_text = getattr(parameter, "help", None)
        if "--help" in parameter.opts:
            continue
        assert help_text, f"{path} {parameter.opts} has no help text"
        for name in (*parameter.opts, *parameter.secondary_opts) if parameter.param_type_name == "option" else ():
            assert f"`{name}`" in text, f"docs/cli.md does not document {path} {name}"


def test_the_reference_names_no_command_that_is_gone() -> None:
    known = {path for path, _ in COMMANDS}
    assert set(re.findall(r"^## `(threatmatrix[^`]*)`$", REFERENCE, re.MULTILINE)) == known
