"""A contribution: a folder of library files that somebody sent, checked as a whole and taken in as a whole."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from threatmatrix.knowledge import Library, load_library
from threatmatrix.model.errors import FormatError, InputError, ThreatmatrixError, UsageError

__all__ = ["Contribution", "as_overlay", "import_folder", "is_contribution", "load_with"]

_KINDS = {"technique.yaml": "techniques", "case.yaml": "cases"}
_TOP = ("techniques", "cases", "mitigations", "vulnerabilities", "matrix.yaml")
_SITES_OWN = ("suppressions", "pipelines")  # what is not looked at, and how rules are read, is decided at home
_IGNORED = ("README.md", "LICENSE", "NOTICE")
_LEFT = re.compile(r"(old-)?[0-9a-f]{12}")
_MOST_FILES = 2_000
_MOST_BYTES = 32 * 1024 * 1024
_HERE = -100  # AT_FDCWD: paths are relative to the working folder
_EXCHANGE = 2  # RENAME_EXCHANGE


@dataclass(frozen=True, slots=True)
class Contribution:
    """What was taken in: the files, relative to the overlay that they now lie in."""

    overlay: Path
    files: tuple[str, ...]
    replaced: tuple[str, ...]
    library: Library


def is_contribution(folder: Path) -> bool:
    """Whether a folder has the layout of a library, or is one technique's or one case's folder."""
    return folder.is_dir() and any((folder / name).exists() for name in (*_TOP, *_KINDS))


def as_overlay(folder: Path) -> dict[str, Path]:
    """Path in an overlay → file of the contribution. Nothing outside the folder is ever followed.

    Raises InputError (no contribution, a link, too much of it, suppressions or pipelines in it).
    """
    if not folder.is_dir():
        raise InputError(folder, "no such folder", hint="Name the folder of one technique, or of a library")
    for name in _SITES_OWN:
        if (folder / name).exists():
            hint = "Read it, and copy what you agree with into the folder that you lay over the library"
            raise InputError(folder / name, "a contribution may not bring this along", hint=hint)
    kind = next((kind for name, kind in _KINDS.items() if (folder / name).exists()), "")
    found = _files(folder) if is_contribution(folder) else []
    if not found:
        hint = "A contribution holds technique.yaml, case.yaml, or folders as in the library: docs/library.md"
        raise InputError(folder, "holds no library files", hint=hint)
    prefix = Path(kind) / folder.resolve().name if kind else Path()
    return {str(prefix / path.relative_to(folder)): path for path in found}


def _files(folder: Path) -> list[Path]:
    found, size = [], 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in (*folders, *names):
            if (Path(place) / name).is_symlink():
                raise InputError(Path(place) / name, "is a link", hint="A contribution holds plain files only")
        for name in sorted(names):
            path = Path(place) / name
            if name.startswith(".") or name in _IGNORED:
                continue
            if not path.is_file():
                raise InputError(path, "is no plain file", hint="A contribution holds plain files only")
            size += path.stat().st_size
            found.append(path)
            if len(found) > _MOST_FILES or size > _MOST_BYTES:
                limit = f"more than {_MOST_FILES:,} files or {_MOST_BYTES >> 20} MiB"
                raise InputError(folder, limit, hint="Is this the folder that you meant?")
    return found


@contextmanager
def load_with(folder: Path, overlay: Path | None) -> Iterator[tuple[Library, dict[str, Path]]]:
    """The library with a contribution laid over it (and over ``overlay``), as long as the context lasts.

    An error names the contribution's own file. Raises what :func:`load_library` raises.
    """
    files = as_overlay(folder)
    with TemporaryDirectory(prefix="threatmatrix-") as name:
        draft = Path(name)
        if overlay is not None and overlay.is_dir():
            shutil.copytree(overlay, draft, dirs_exist_ok=True)
        _copy(files, draft)
        try:
            library = load_library(draft)
        except FormatError as error:
            raise _named(error, draft, files, overlay) from error
        yield library, files


def _copy(files: dict[str, Path], target: Path) -> None:
    for relative, path in files.items():
        (target / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / relative)


def _named(error: FormatError, draft: Path, files: dict[str, Path], overlay: Path | None) -> ThreatmatrixError:
    """The error with the path that the person knows in place of the draft's."""
    text, hint = error.message, error.hint
    for relative, path in files.items():
        text = text.replace(str(draft / relative), str(path))
    text = text.replace(str(draft), str(overlay or next(iter(files.values())).parent))
    return UsageError(text, hint=hint)


def import_folder(folder: Path, target: Path, *, replace: bool = False, dry_run: bool = False) -> Contribution:
    """Check a contribution with everything in ``target`` (an overlay, created where need be), then take it in.

    All or nothing: the new overlay is written aside and put in place by a rename. Raises UsageError where a file
    with another content is there already and ``replace`` is not given.
    """
    with nullcontext() if dry_run else _alone(target), load_with(folder, target) as (library, files):
        replaced = tuple(name for name, path in files.items() if _differs(target / name, path))
        if replaced and not replace:
            named = ", ".join(replaced[:3]) + (" …" if len(replaced) > len(replaced[:3]) else "")
            raise UsageError(
                f"{target} already has other content in {named}", hint="Add --replace to put the new files in its place"
            )
        if not dry_run:
            _put(files, target)
        return Contribution(target, tuple(files), replaced, library)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One import at a time, so that none is lost; what a killed one left beside the library is swept up first."""
    target = target.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = (target.parent / f".{target.name}.lock").open("w")
    except OSError as error:
        raise InputError(target, f"cannot be written ({error.strerror})", hint="Nothing was imported") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in target.parent.glob(f".{target.name}-*"):
            if _LEFT.fullmatch(left.name.removeprefix(f".{target.name}-")):
                shutil.rmtree(left, ignore_errors=True)
        yield


def _differs(old: Path, new: Path) -> bool:
    return old.exists() and old.read_bytes() != new.read_bytes()


def _put(files: dict[str, Path], target: Path) -> None:
    """Write the whole overlay anew beside the old one, then swap the two names."""
    target = target.resolve()  # of a link, what it leads to
    draft = target.with_name(f".{target.name}-{secrets.token_hex(6)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            shutil.copytree(target, draft)
        _copy(files, draft)
        if target.is_dir():
            _swap(draft, target)
        else:
            draft.rename(target)
    except OSError as error:
        raise InputError(target, f"cannot be written ({error.strerror})", hint="Nothing was imported") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)  # after a swap: the old one


def _swap(draft: Path, target: Path) -> None:
    """Exchange two folders' names; where that takes two renames, the first is undone if the second fails."""
    if _exchanged(draft, target):
        return
    old = target.with_name(f".{target.name}-old-{secrets.token_hex(6)}")
    target.rename(old)
    try:
        draft.rename(target)
    except OSError:
        with suppress(OSError):
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchanged(draft: Path, target: Path) -> bool:
    """In one step, so that a killed process never leaves the place empty: Linux's renameat2, RENAME_EXCHANGE.

    False where the system, its libc or the file system does not have it.
    """
    call = getattr(ctypes.CDLL(None), "renameat2", None)
    return call is not None and call(_HERE, os.fsencode(draft), _HERE, os.fsencode(target), _EXCHANGE) == 0
