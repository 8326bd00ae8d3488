"""Where emulations keep what they did: a folder each, until somebody removes it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from threatmatrix.emulate.durable import replace_file
from threatmatrix.emulate.journal import Journal
from threatmatrix.emulate.lifecycle import Lifecycle, State
from threatmatrix.model.errors import FormatError, InputError, StoreError, UnknownNameError
from threatmatrix.workflows.home import Home

__all__ = ["Emulation", "EmulationState", "emulations", "find", "new_folder", "read_emulation", "write_emulation"]

_FILE = "emulation.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulation:
    """What a later clean-up has to know. No secret: keys are named by the environment variables that hold them."""

    procedures: tuple[str, ...]
    target: str
    model: str
    scope: str  # path of the scope.yaml
    seed: int
    correlation: str
    keys: tuple[str, ...] = ()  # names of environment variables
    account_header: str = ""
    input_shape: tuple[int, ...] = ()
    classes: int = 2
    technique: str = ""
    served: bool = False  # a reference target that lived as long as the run: nothing is left of it


_NOTHING_KNOWN = Emulation(procedures=(), target="", model="", scope="", seed=0, correlation="")


@dataclass(frozen=True, slots=True)
class EmulationState:
    """One folder: what ran there, and what is still to be taken back."""

    name: str
    folder: Path
    about: Emulation
    state: State | Literal["running", "damaged"]  # running: another process has it open
    pending: int  # changes of the target that stand


def new_folder(home: Home, procedure: str) -> Path:
    """A fresh folder ``emulations/<procedure>-<n>``. Raises StoreError."""
    root = home.ensure().emulations
    try:
        root.mkdir(exist_ok=True)
        for n in range(1, 1_000_000):
            path = root / f"{procedure}-{n}"
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            return path
    except OSError as error:
        raise StoreError(f"{root}: cannot be written ({error.strerror})", hint="Name another --home") from error
    raise StoreError(f"{root}: is full", hint="Remove old emulations")


def write_emulation(folder: Path, about: Emulation) -> None:
    """Keep it, durably, before anything is changed."""
    replace_file(folder / _FILE, json.dumps(asdict(about), indent=1).encode() + b"\n")


def read_emulation(folder: Path) -> Emulation:
    """Raises FormatError where the file is not what a run wrote."""
    path = folder / _FILE
    try:
        content = json.loads(path.read_bytes())
        for name in ("procedures", "keys", "input_shape"):
            content[name] = tuple(content[name])
        return Emulation(**content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FormatError(path, f"is not what an emulation wrote ({error})", hint="Remove the folder") from error


def emulations(home: Home) -> list[EmulationState]:
    """All of them, by name: those that run now too, and those whose files are damaged."""
    found = []
    for folder in _folders(home):
        try:
            found.append(_state(folder))
        except (FormatError, InputError):  # it must not hide the others; ``find`` says what is wrong with it
            found.append(EmulationState(folder.name, folder, _NOTHING_KNOWN, "damaged", 0))
    return found


def _folders(home: Home) -> list[Path]:
    if not home.emulations.is_dir():
        return []
    return sorted(path for path in home.emulations.iterdir() if (path / _FILE).exists())


def find(home: Home, name: str) -> EmulationState:
    """Raises UnknownNameError."""
    folders = {folder.name: folder for folder in _folders(home)}
    if name not in folders:
        raise UnknownNameError("emulation", name, folders)
    return _state(folders[name])


def _state(folder: Path) -> EmulationState:
    about = read_emulation(folder)
    state = Lifecycle.look(folder)
    return EmulationState(folder.name, folder, about, state, len(Journal(folder).pending()))
