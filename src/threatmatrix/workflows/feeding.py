"""What `ingest`, `watch`, `detect` and `telemetry try` ask of the readers, from the home folder and systems.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from threatmatrix.model.errors import InputError, UsageError
from threatmatrix.model.system import System
from threatmatrix.telemetry.inputs.inputs import Inputs
from threatmatrix.telemetry.readers import Options
from threatmatrix.telemetry.readers.mapping_file import load_mapping
from threatmatrix.workflows.home import Home

__all__ = ["check_there", "declared_logs", "reader_options"]


def reader_options(
    home: Home, systems: Sequence[System] = (), *, mapping: Path | None = None, keep_raw: bool = False
) -> Options:
    """Fingerprints under the home's keys (none where there is no home yet), input ranges and header from the systems.

    Raises UsageError where systems tell their principals by different headers: name one file for each then.
    """
    ranges = {model.name: model.input_range for system in systems for model in system.models if model.input_range}
    headers = {system.principal.header for system in systems if system.principal.header}
    if len(headers) > 1:
        raise UsageError(
            f"systems.yaml tells principals by several headers: {', '.join(sorted(headers))}",
            hint="Read the logs of each system by itself, with a systems file that has only that system",
        )
    inputs = Inputs(home.keyring(), ranges=ranges, keep_raw=keep_raw) if home.root.exists() or keep_raw else None
    return Options(
        inputs=inputs,
        principal_header=next(iter(headers), ""),
        mapping=None if mapping is None else load_mapping(mapping),
    )


def declared_logs(systems: Sequence[System]) -> list[str]:
    """The paths of every log that systems.yaml names, each once, in its order.

    Raises UsageError where it names none.
    """
    paths = list(dict.fromkeys(entry.path for system in systems for entry in system.telemetry))
    if not paths:
        raise UsageError("no log is named", hint="Name files, or put them under `telemetry` in systems.yaml")
    return paths


def check_there(sources: Sequence[str]) -> None:
    """That each file or directory exists, for who reads once: nothing will come later. Patterns may fit nothing.

    Raises InputError.
    """
    for name in sources:
        if name != "-" and "://" not in name and not set("*?[") & set(name) and not Path(name).exists():
            raise InputError(name, "no such file", hint="Check the path, or leave out --once to wait for it")
