"""Files that are there whole or not at all, whatever happens while they are written; and one owner for a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from threatmatrix.model.errors import UsageError

__all__ = ["only_one", "sync_folder", "write_whole"]


def write_whole(path: Path, parts: tuple[bytes | memoryview, ...]) -> None:
    """Temporary file, fsync, rename, fsync of the folder. Raises OSError, and then nothing stands at ``path`` anew."""
    draft = path.with_name(f".{path.name}.tmp")
    try:
        with draft.open("wb", buffering=0) as file:
            os.fchmod(file.fileno(), 0o600)
            for part in parts:
                rest = memoryview(part)
                while rest:
                    rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):  # the disk may be full or gone; the next draft has the same name
            draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names outlive a power cut, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def only_one(folder: Path, what: str) -> Iterator[None]:
    """Hold the folder's lock; the kernel gives it back whatever becomes of us. Raises UsageError where it is held."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{what} is running already: {folder} is locked",
                hint="Give this one another name, or stop the other one",
            ) from None
        yield
    finally:
        os.close(lock)
