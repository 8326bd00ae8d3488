"""Following every log of a directory: those that are there, and those that come."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from threatmatrix.model.errors import FormatError
from threatmatrix.telemetry.following.base import Piece, Position
from threatmatrix.telemetry.following.file import GRACE, LOOK_EVERY, FileFollower
from threatmatrix.telemetry.following.siblings import base_of, looks_rotated
from threatmatrix.telemetry.readers import AUTO, NOTHING_ASKED, Options, check_source

__all__ = ["DirectoryFollower"]

MOST_FILES = 4096


class DirectoryFollower:
    """Follows all files that match a pattern below a directory; hidden ones are passed over.

    What is named like a generation of one of them (``log.1``, ``log-20260101.gz``) belongs to that log, so nothing is
    read twice however it is renamed. What lies there at the first look is read, generations too where the pattern
    matches them. At most 4096 logs; a notice says where there are more.
    """

    ended = False

    def __init__(
        self,
        root: Path,
        pattern: str = "*",
        source: str = AUTO,
        *,
        options: Options = NOTHING_ASKED,
        grace: float = GRACE,
        look_every: float = LOOK_EVERY,
    ) -> None:
        """Raises UnknownNameError where no reader has the name ``source``."""
        check_source(source)
        self.root = root
        self.pattern = pattern
        self.name = str(root) if pattern == "*" else str(root / pattern)
        self._source, self._options = source, options
        self._grace, self._look_every = grace, look_every
        self._logs: dict[str, FileFollower] = {}
        self._looked = float("-inf")
        self._turn = 0
        self._notices: list[str] = []
        self._first = True
        self._finishing = False

    @property
    def behind(self) -> int:
        return sum(log.behind for log in self._logs.values())

    @property
    def refused(self) -> Mapping[str, str]:
        return {file: why for log in self._logs.values() for file, why in log.refused.items()}

    def moved(self) -> Position:
        changed = {name: log.moved() for name, log in self._logs.items()}
        return {name: position for name, position in changed.items() if position}

    def resume(self, position: Position) -> None:
        if not isinstance(position, Mapping):
            raise FormatError(self.name, "is not where a directory stands", key="position")
        self._first = not position
        for name, where in position.items():
            log = self._log(name, history=False)
            log.resume(where)
            self._logs[name] = log

    def finish(self) -> None:
        self._finishing = True
        for log in self._logs.values():
            log.finish()

    def notices(self) -> list[str]:
        said, self._notices = self._notices, []
        return said + [notice for log in self._logs.values() for notice in log.notices()]

    def close(self) -> None:
        for log in self._logs.values():
            log.close()

    def read(self, most: int) -> list[Piece]:
        """The logs take turns, so that a busy one starves nobody."""
        self._look()
        logs = list(self._logs.values())
        pieces: list[Piece] = []
        for number in range(len(logs)):
            if most <= 0:
                break
            found = logs[(self._turn + number) % len(logs)].read(most)
            pieces += found
            most -= sum(piece.size for piece in found)
        self._turn += 1
        return pieces

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < self._look_every:
            return
        self._looked = now
        names = self._names()
        bases = {name for name in {*names, *self._logs} if not looks_rotated(name)} | set(self._logs)
        for name in names:
            if name in self._logs or base_of(name, bases - {name}) is not None:
                continue  # a generation is for its log to see to
            if len(self._logs) >= MOST_FILES:
                self._notices.append(f"{self.name}: more than {MOST_FILES:,} logs; {name} is not followed")
                break
            history = self._first and any(base_of(other, {name}) for other in names)
            self._logs[name] = self._log(name, history=history)
        self._first = False

    def _names(self) -> list[str]:
        """Paths relative to the root, as text."""
        try:
            found = (path for path in self.root.glob(self.pattern) if not path.name.startswith(".") and path.is_file())
            return sorted(str(path.relative_to(self.root)) for path in islice(found, 4 * MOST_FILES))
        except OSError:
            return []

    def _log(self, name: str, *, history: bool) -> FileFollower:
        log = FileFollower(
            self.root / name,
            self._source,
            options=self._options,
            history=history,
            still=looks_rotated(name),
            grace=self._grace,
            look_every=self._look_every,
        )
        if self._finishing:
            log.finish()
        return log
