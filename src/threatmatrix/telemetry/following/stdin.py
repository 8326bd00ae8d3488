"""Following standard input: what comes is taken; where it came from, nobody can go back to."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Mapping

from threatmatrix.telemetry.following.base import Piece, Position
from threatmatrix.telemetry.following.formats import reader_of
from threatmatrix.telemetry.logfile import check_head
from threatmatrix.telemetry.readers import AUTO, NOTHING_ASKED, Options, check_source
from threatmatrix.telemetry.records import MAX_LINE

__all__ = ["StdinFollower"]

_CHUNK = 256 * 1024


class StdinFollower:
    """Whole lines of a pipe. Its position is a count for people: what was read and not yet kept is lost with us.

    While nobody reads, the pipe fills and its writer waits.
    """

    name = "-"
    behind = None

    def __init__(self, source: str = AUTO, *, options: Options = NOTHING_ASKED, fd: int | None = None) -> None:
        """``fd``: another descriptor than standard input. Raises UnknownNameError for an unknown source."""
        check_source(source)
        self._source, self._options = source, options
        self._fd = sys.stdin.fileno() if fd is None else fd
        self._rest = b""
        self._line = self._bytes = 0
        self._told = 0
        self._skipping = self._started = False
        self.ended = False
        self.refused: Mapping[str, str] = {}

    def moved(self) -> Position:
        if self._told == self._bytes:
            return {}
        self._told = self._bytes
        return {"bytes": self._bytes, "lines": self._line}

    def resume(self, position: Position) -> None:
        """A pipe begins anew with every process."""

    def finish(self) -> None:
        """A pipe says itself when it ends."""

    def notices(self) -> list[str]:
        return []

    def close(self) -> None:
        """Standard input is not ours to close."""

    def read(self, most: int) -> list[Piece]:
        """Raises InputError where no reader recognises what comes: a pipe cannot be put off until later."""
        data = bytearray()
        while not self.ended and len(data) < most and select.select([self._fd], [], [], 0)[0]:
            chunk = os.read(self._fd, min(_CHUNK, most - len(data)))
            self.ended = not chunk
            data += chunk
        self._bytes += len(data)
        whole = self._rest + bytes(data)
        end = len(whole) if self.ended else whole.rfind(b"\n") + 1
        if not end and len(whole) > MAX_LINE:
            return self._overlong(whole)
        self._rest = whole[end:]
        return [self._lines(whole[:end])] if end else []

    def _lines(self, data: bytes) -> Piece:
        if not self._started and data.strip():
            check_head("-", data)
            self._source = reader_of("-", data, self._source, self._options)
            self._started = True
        lines = data.removesuffix(b"\n").split(b"\n")
        first = self._line + 1
        self._line += len(lines)
        if self._skipping:
            self._skipping = False
            first, lines = first + 1, lines[1:]
        return Piece("-", self._source, first, tuple(lines), len(data))

    def _overlong(self, data: bytes) -> list[Piece]:
        self._rest = b""
        known, self._skipping = self._skipping, True
        return [] if known else [Piece("-", self._source, self._line + 1, (data[: MAX_LINE + 1],), len(data))]
