"""The dead letters of a watch: each once, whatever kills us between writing them and the journal."""

from __future__ import annotations

import os
from pathlib import Path

from threatmatrix.model.event import DeadLetter
from threatmatrix.telemetry.dead_letters import DeadLetterFile

__all__ = ["Letters"]


class Letters(DeadLetterFile):
    """Gathers the letters of a batch; ``write`` appends them to the watch's own file.

    The journal keeps the file's size after each batch; what lies behind the last one was written by a process that
    did not come to journal its batch, whose lines are read again.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(None)
        self._file = DeadLetterFile(path)
        self._place = path
        self.waiting: list[DeadLetter] = []

    def add(self, letter: DeadLetter) -> None:
        super().add(letter)
        self.waiting.append(letter)

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        try:
            return self._place.stat().st_size
        except FileNotFoundError:
            return 0

    def cut(self, size: int) -> None:
        """Take back what lies behind ``size``. Raises OSError."""
        if self.size > size:
            os.truncate(self._place, size)

    def write(self, before: int) -> int:
        """Append what was gathered to a file of ``before`` bytes; its size then. Durable when it returns.

        Raises OSError, InputError; may then be called again.
        """
        if self.waiting:
            self.cut(before)
            for letter in self.waiting:
                self._file.add(letter)
            with self._place.open("rb") as written:
                os.fsync(written.fileno())
            self.waiting = []
        return self.size

    def close(self) -> None:
        self._file.close()
