"""Anybody's rule files, from a folder of three or of thousands: read within limits, nothing silently left out."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from threatmatrix.detect.sigma.documents import MAX_BYTES
from threatmatrix.model.errors import InputError, UsageError
from threatmatrix.model.matrix import RuleSource

__all__ = ["MAX_FILES", "MAX_TEXT", "RuleFiles", "read_rule_files", "read_suppressions", "reason"]

MAX_FILES = 50_000
MAX_TEXT = 128 * 1024 * 1024  # bytes of all files together: twenty times SigmaHQ's rules

_LINK = "links in a folder are not followed"
_SUFFIXES = (".yml", ".yaml")
_KIND = re.compile(r"^['\"]?(detection|correlation|filter|action)['\"]?[ \t]*:", re.MULTILINE)
_TAG = re.compile(r"^[ \t]*-[ \t]*['\"]?threatmatrix\.([a-z0-9]+(?:-[a-z0-9]+)*)['\"]?[ \t]*(?:#.*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RuleFiles:
    """What was read, and what was not and why; ``passed`` counts files of a folder that hold no rule."""

    sources: tuple[RuleSource, ...] = ()
    filters: tuple[RuleSource, ...] = ()  # files with nothing but Sigma filters
    unread: tuple[InputError, ...] = ()
    passed: int = 0


def read_rule_files(paths: Sequence[Path]) -> RuleFiles:
    """Read files, and folders with all that lies below them.

    Links inside a folder are not followed, hidden folders left out. A file that cannot be read is listed, the others
    are read; in a folder, a YAML file without a detection, a correlation or a filter is counted and passed over. The
    technique of a rule is that of its folder (``techniques/<slug>/rules``), else of its tag ``threatmatrix.<slug>``,
    else empty. Raises InputError for a path that does not exist.
    """
    sources: dict[Path, RuleSource] = {}
    filters: dict[Path, RuleSource] = {}
    unread: list[InputError] = []
    passed, left = 0, MAX_TEXT
    for number, path in enumerate(_every(paths, unread)):
        if number >= MAX_FILES or left <= 0:
            what = f"more than {MAX_FILES:,} files" if left > 0 else f"more than {MAX_TEXT // 1024**2} MiB of text"
            unread.append(InputError(path, f"{what}: the rest was not read", hint="Name a smaller folder"))
            break
        if path.suffix.lower() not in _SUFFIXES and path not in paths:
            passed += 1
            continue
        try:
            text = _read(path, linked=path in paths)
        except InputError as error:
            unread.append(error)
            continue
        left -= len(text)
        kinds = {match[1] for match in _KIND.finditer(text)}
        if not kinds and path not in paths:
            passed += 1
            continue
        found = filters if kinds == {"filter"} else sources
        found.setdefault(path.resolve(), RuleSource(str(path), text, _technique(path, text)))
    return RuleFiles(tuple(sources.values()), tuple(filters.values()), tuple(unread), passed)


def read_suppressions(paths: Sequence[Path]) -> tuple[RuleSource, ...]:
    """Files of suppressions. Raises InputError for the first that cannot be read: none may be missing unnoticed."""
    files = read_rule_files(paths)
    if files.unread:
        raise files.unread[0]
    found = (*files.filters, *files.sources)  # what is no filter is refused by name where it is compiled
    if paths and not found:
        raise InputError(", ".join(map(str, paths)), "no suppression here", hint="They are YAML files: .yml, .yaml")
    return found


def _every(paths: Iterable[Path], unread: list[InputError]) -> Iterator[Path]:
    for path in paths:
        if not path.exists():
            raise InputError(path, "there is no such file or folder")
        if path.is_dir():
            yield from _below(path, unread)
        else:
            yield path


def _below(folder: Path, unread: list[InputError]) -> Iterator[Path]:
    def note(error: OSError) -> None:
        unread.append(InputError(error.filename or folder, f"cannot be read ({error.strerror})"))

    for here, folders, files in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        linked = [Path(here) / name for name in folders if (Path(here) / name).is_symlink()]
        unread += (InputError(path, _LINK) for path in linked)
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(here) / name


def _read(path: Path, *, linked: bool) -> str:
    """``linked``: a link may be followed, because the user named it."""
    try:
        found = path.stat() if linked else path.lstat()
        if stat.S_ISLNK(found.st_mode):
            raise InputError(path, _LINK)
        if not stat.S_ISREG(found.st_mode):
            raise InputError(path, "no regular file")
        if found.st_size > MAX_BYTES:
            raise InputError(path, f"larger than {MAX_BYTES // 1024} KiB", hint="Split it into files")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(path, "not UTF-8 text") from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from error


def _technique(path: Path, text: str) -> str:
    parts = path.resolve().parts
    if len(parts) > 3 and parts[-2] == "rules" and parts[-4] == "techniques":
        return parts[-3]
    found: list[str] = _TAG.findall(text)
    return found[0] if found else ""


def reason(error: UsageError) -> str:
    """Why a file or rule was refused, without its file, line and names: what refusals are counted by."""
    text = error.message
    file, line, key = getattr(error, "file", ""), getattr(error, "line", None), getattr(error, "key", "")
    text = text.removeprefix(f"{file}:{line}: " if line else f"{file}: ")
    text = text.removeprefix(f"{key}: ") if key else text
    return re.sub(r"'[^']*'|\"[^\"]*\"", "…", text.partition(" (valid: ")[0])
