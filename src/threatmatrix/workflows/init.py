"""The first step of a user: commented ``systems.yaml`` and ``scope.yaml``."""

from __future__ import annotations

from pathlib import Path

from threatmatrix.knowledge import scope_template, systems_template
from threatmatrix.model.errors import InputError

__all__ = ["write_templates"]


def write_templates(folder: Path, *, force: bool) -> list[Path]:
    """Write both files into ``folder``. The scope holds nothing until its owner has filled in name and date.

    Raises InputError where a file is there already (unless ``force``) or the folder cannot be written:
    then neither file is touched.
    """
    contents = {
        folder / "systems.yaml": systems_template(),
        folder / "scope.yaml": scope_template(),
    }
    if not force:
        for path in contents:
            if path.exists():
                raise InputError(path, "is there already", hint="Overwrite it with --force, or name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in contents.items():
            path.write_text(text)
    except OSError as error:
        raise InputError(folder, f"cannot be written ({error.strerror})", hint="Name another folder") from error
    return list(contents)
