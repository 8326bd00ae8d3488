"""What was named on the command line → the files to read."""

from __future__ import annotations

import glob
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from threatmatrix.model.errors import InputError, UsageError
from threatmatrix.telemetry.door import check_file
from threatmatrix.telemetry.reading import LogPath
from threatmatrix.workflows.feeding import Log

__all__ = ["expand"]

_SIGNS = ("*", "?", "[")


def expand(files: Sequence[LogPath | Log]) -> dict[LogPath, Log | None]:
    """The files to read, each with the log that it is a part of where it is to be read in a way of its own.

    Directories (what lies in them, at any depth, names with a dot aside) and patterns, each in the order of names.

    A file that is named twice is read once. Raises UsageError where nothing is named, InputError where a name stands
    for nothing, and for a file that cannot be read. Empty files of a directory or a pattern are left out.
    """
    found: dict[LogPath, Log | None] = {}
    for file in files:
        log = file if isinstance(file, Log) else None
        for path in _expanded(_path(file)):
            found.setdefault(path, log)
    if not found:
        raise UsageError("no file to read", hint="Name one or more log files, a directory, or - for standard input")
    for path in found:
        check_file(path)
    return found


def _path(file: LogPath | Log) -> LogPath:
    if not isinstance(file, Log):
        return file
    return "-" if file.where == "-" else Path(file.where)


def _expanded(file: LogPath) -> list[LogPath]:
    if isinstance(file, str):
        return [file]
    if file.is_dir():
        inside = list(_within(file))
        if not inside:
            raise InputError(file, "holds no log", hint="Name a directory with log files, or the files themselves")
        return [*inside]
    if not file.exists() and any(sign in str(file) for sign in _SIGNS):
        matching = [path for path in _matching(file) if _is_log(path)]
        if not matching:
            raise InputError(file, "no file matches this pattern", hint="Check the pattern, or name the files")
        return [*matching]
    return [file]


def _matching(pattern: Path) -> list[Path]:
    return [Path(name) for name in sorted(glob.glob(str(pattern), recursive=True))]  # noqa: PTH207 - it may be absolute


def _within(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _within(path)
        elif _is_log(path):
            yield path


def _is_log(path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size > 0
