"""Bytes that DuckDB shall read as a file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable

__all__ = ["Scratch"]


class Scratch:
    """Bytes under a path, for DuckDB to read: in memory where the system can, else in a file that only we may read."""

    def __init__(self) -> None:
        self._name = ""
        if hasattr(os, "memfd_create"):
            self._fd = os.memfd_create("threatmatrix", os.MFD_CLOEXEC)
            self.path = f"/proc/self/fd/{self._fd}"
        else:
            self._fd, self._name = tempfile.mkstemp(prefix="threatmatrix-")  # mode 0600
            self.path = self._name

    def put(self, pieces: Iterable[bytes]) -> None:
        """Replace what is there."""
        at = 0
        for piece in pieces:
            view = memoryview(piece)
            while view:
                written = os.pwrite(self._fd, view, at)
                view, at = view[written:], at + written
        os.ftruncate(self._fd, at)

    def close(self) -> None:
        """Free it."""
        os.close(self._fd)
        if self._name:
            os.unlink(self._name)  # noqa: PTH108 - the path of mkstemp
