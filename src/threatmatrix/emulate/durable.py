"""Files that survive a kill and a power cut: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["replace_file", "sync_folder", "temporary_of"]


def replace_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put ``content`` at ``path`` as a whole, or leave what was there. Raises OSError."""
    temporary = temporary_of(path, os.getpid())
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def temporary_of(path: Path, process: int) -> Path:
    """Where that process writes first; a kill can leave it behind."""
    return path.with_name(f".{path.name}.{process}")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
