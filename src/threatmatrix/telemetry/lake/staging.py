"""Files on their way into a lake: written aside, synced, renamed; what a dead writer left is swept away."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import duckdb

from threatmatrix.model.errors import InputError
from threatmatrix.telemetry.lake.layout import ulid

__all__ = ["Staging", "failures", "place", "rewriting", "sweep_dead"]

_OURS = re.compile(r"\.([0-9A-Z]{26})(\.writer|-[0-9A-Za-z]{1,40}(\.tmp|\.spill))")
_PARQUET = re.compile(r"[\w.-]{1,120}\.parquet")
_LOCK = ".lock"
_FULL = ("no space left", "disk quota", "file too large", "max_temp_directory_size")


class Staging:
    """The temporary files of one writer.

    ``.<ulid>.writer`` is locked as long as the writer lives: where nobody holds the lock, its files are left over.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = ulid()
        self._count = 0
        root.mkdir(parents=True, exist_ok=True)
        self._fd = _held(root / f".{self.name}.writer")
        self._pid = os.getpid()

    def path(self, suffix: str = ".tmp") -> Path:
        """A path that nobody else uses, in the lake's own file system, and that no reader looks at."""
        self._count += 1
        return self.root / f".{self.name}-{self._count}{suffix}"

    def close(self) -> None:
        """Remove what is left, then the sign of life. A forked child leaves its parent's alone."""
        if self._fd >= 0 and self._pid == os.getpid():
            _remove(self.root, self.name)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _held(path: Path) -> int:
    """The file, made and locked. A sweeper may take it away between the two: then again."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if path.exists() and path.stat().st_ino == os.fstat(fd).st_ino:
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _remove(root: Path, name: str) -> int:
    """Everything of one writer, its sign of life last; returns how many files there were."""
    found = [path for path in root.glob(f".{name}-*") if _OURS.fullmatch(path.name)]
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    (root / f".{name}.writer").unlink(missing_ok=True)
    return len(found)


def sweep_dead(root: Path) -> int:
    """Remove what writers left that were killed; returns how many files that were."""
    names = {found[1] for entry in os.scandir(root) if (found := _OURS.fullmatch(entry.name))}
    return sum(_remove(root, name) for name in sorted(names) if _dead(root / f".{name}.writer"))


def _dead(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def place(temporary: Path, target: Path) -> None:
    """Sync the file, rename it, sync its new folder: it is there whole and for good, or it is not there."""
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    while True:
        made = not target.parent.exists()
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(temporary, target)  # noqa: PTH105 - one name for every rename of the lake
        except FileNotFoundError:
            if not temporary.exists():
                raise
            continue  # the day expired in between: its folder is made again
        break
    sync_folder(target.parent)
    if made:
        sync_folder(target.parent.parent)


def place_text(staging: Staging, target: Path, text: str) -> None:
    temporary = staging.path()
    try:
        temporary.write_text(text, encoding="ascii")
        place(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """A name, too, must outlive a power cut."""
    try:
        fd = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return  # expired meanwhile
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def rewriting(root: Path) -> Iterator[None]:
    """Of those who rewrite a lake only one is at work. Raises InputError where another one is."""
    root.mkdir(parents=True, exist_ok=True)
    fd = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            raise InputError(
                root,
                f"is being compacted, expired or erased by process {owner or 'unknown'}",
                hint="Try again when that is over; reading and appending go on meanwhile",
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


@contextmanager
def failures(root: Path) -> Iterator[None]:
    """Turns what the disk and DuckDB raise into an InputError that names the lake, and no value of its events."""
    try:
        yield
    except (OSError, duckdb.Error) as error:
        raise failed(root, error) from error


def failed(root: Path, error: OSError | duckdb.Error) -> InputError:
    cause = str(error).splitlines()[0] if str(error) else type(error).__name__
    if any(sign in cause.lower() for sign in _FULL):
        return InputError(root, "the disk is full; the lake is as it was", hint="Free some space, then try again")
    if isinstance(error, duckdb.ConversionException):  # quotes the value that it could not convert
        named = _PARQUET.search(cause)
        cause = f"a column has another type{f' in {named[0]}' if named else ''}"
    hint = "Check its disk and permissions; `lake status` names damaged parts, and a compaction sets them aside"
    return InputError(root, f"the lake failed: {cause}", hint=hint)


def unlink_all(paths: list[Path]) -> None:
    for path in paths:
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - one name for every removal of the lake
