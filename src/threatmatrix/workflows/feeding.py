"""What `ingest`, `watch`, `detect` and `telemetry try` ask of the readers, from the home folder and systems.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from threatmatrix.model.errors import InputError, UsageError
from threatmatrix.model.system import System
from threatmatrix.telemetry.inputs.inputs import Inputs
from threatmatrix.telemetry.readers import AUTO, NOTHING_ASKED, Options
from threatmatrix.telemetry.readers.mapping_file import load_mapping
from threatmatrix.telemetry.systems import input_ranges
from threatmatrix.workflows.home import Home

__all__ = ["Log", "check_there", "declared_logs", "reader_options"]


@dataclass(frozen=True, slots=True)
class Log:
    """A log that is read in a way of its own. ``where``: a file, directory, pattern, - or kafka://host:port/topic."""

    where: str
    source: str = AUTO
    options: Options = NOTHING_ASKED


def reader_options(
    home: Home, systems: Sequence[System] = (), *, mapping: Path | None = None, keep_raw: bool = False
) -> Options:
    """Fingerprints under the home's keys (none where there is no home yet), input ranges and header from the systems.

    Raises UsageError where systems tell their principals by different headers: nobody knows whose log it is then.
    """
    headers = {system.principal.header for system in systems if system.principal.header}
    if len(headers) > 1:
        raise UsageError(
            f"systems.yaml tells principals by several headers: {', '.join(sorted(headers))}",
            hint="Put each log under `telemetry` of its system and name none, or use a file of that system alone",
        )
    return Options(
        inputs=_inputs(home, systems, keep_raw=keep_raw),
        principal_header=next(iter(headers), ""),
        mapping=None if mapping is None else load_mapping(mapping),
    )


def declared_logs(
    home: Home,
    systems: Sequence[System],
    *,
    source: str = AUTO,
    mapping: Path | None = None,
    keep_raw: bool = False,
) -> list[Log]:
    """Every log that systems.yaml names, each once, in its order, as its system says that it is to be read.

    ``source`` and ``mapping``, where they are given, hold for all of them. Raises UsageError where none is named,
    InputError and FormatError for a mapping file.
    """
    inputs = _inputs(home, systems, keep_raw=keep_raw)
    given = None if mapping is None else load_mapping(mapping)
    logs: dict[str, Log] = {}
    for system in systems:
        options = Options(inputs=inputs, principal_header=system.principal.header, mapping=given)
        for entry in system.telemetry:
            if entry.path in logs:
                continue
            own = options
            if given is None and entry.mapping:
                own = replace(options, mapping=load_mapping(Path(entry.mapping)))
            logs[entry.path] = Log(entry.path, entry.source if source == AUTO else source, own)
    if not logs:
        raise UsageError("no log is named", hint="Name files, or put them under `telemetry` in systems.yaml")
    return list(logs.values())


def _inputs(home: Home, systems: Sequence[System], *, keep_raw: bool) -> Inputs | None:
    if not (home.root.exists() or keep_raw):
        return None
    return Inputs(home.keyring(), ranges=input_ranges(systems), keep_raw=keep_raw)


def check_there(sources: Sequence[str]) -> None:
    """That each file or directory exists, for who reads once: nothing will come later. Patterns may fit nothing.

    Raises InputError.
    """
    for name in sources:
        if name != "-" and "://" not in name and not set("*?[") & set(name) and not Path(name).exists():
            raise InputError(name, "no such file", hint="Check the path, or leave out --once to wait for it")
