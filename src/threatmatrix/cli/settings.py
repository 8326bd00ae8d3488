"""What the options before the command say; loads the heavy parts when a command asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from threatmatrix.knowledge import Library
    from threatmatrix.model.system import System
    from threatmatrix.telemetry.readers import Options
    from threatmatrix.workflows.home import Home

__all__ = ["Settings", "settings_of"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The options before the command."""

    home: Path
    store: str
    library: Path | None
    quiet: bool

    def open_home(self) -> Home:
        from threatmatrix.workflows.home import Home

        return Home(self.home, self.store)

    @property
    def overlay(self) -> Path | None:
        """What lies over the built-in library: ``--library``, else the contributions that were imported."""
        if self.library is not None:
            return self.library
        imported = self.home / "library"
        return imported if imported.is_dir() else None

    def load_library(self) -> Library:
        from threatmatrix.knowledge import load_library

        return load_library(self.overlay)

    def load_systems(self, path: Path | None) -> Sequence[System]:
        """The systems of ``path``, or of ``systems.yaml`` in this folder where there is one."""
        from threatmatrix.knowledge import load_systems

        if path is None:
            path = Path("systems.yaml")
            if not path.exists():
                return ()
        return load_systems(path)

    def reader_options(self, systems: Sequence[System], *, mapping: Path | None, keep: bool) -> Options:
        """What is asked of the readers: fingerprints under the home's keys, or none where there is no home yet."""
        from threatmatrix.workflows.feeding import reader_options

        return reader_options(self.open_home(), systems, mapping=mapping, keep_raw=keep)

    def principal_names(self) -> Mapping[str, str]:
        """Identity → readable name, as systems.yaml in this folder has it."""
        from threatmatrix.telemetry.systems import Resolver

        return Resolver(self.load_systems(None)).names


def settings_of(ctx: typer.Context) -> Settings:
    """The settings that the callback before the command left in the context."""
    settings = ctx.find_object(Settings)
    assert settings is not None
    return settings
