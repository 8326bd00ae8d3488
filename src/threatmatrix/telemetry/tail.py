"""Reading on where the last reading stopped, in a log that somebody is writing."""

from __future__ import annotations

import os
from pathlib import Path

from threatmatrix.model.errors import InputError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.logfile import check_head
from threatmatrix.telemetry.readers import AUTO, NOTHING_ASKED, Options, check_source, detect_reader, get_reader
from threatmatrix.telemetry.reading import first_lines
from threatmatrix.telemetry.records import MAX_LINE, LineParser

__all__ = ["LogTail"]

_MOST = 64 * 1024 * 1024  # bytes per call: what is left waits for the next one
_GZIP = b"\x1f\x8b"


class LogTail:
    """Follows a plain JSON-lines log; only whole lines are taken.

    ``offset`` is where the next reading starts, in bytes, and ``line`` the number of lines before
    it: keep both to go on in another process. A log that does not exist yet has no events. A log
    that was replaced (another inode) or has become shorter is read from its start.
    """

    def __init__(
        self, path: Path, source: str = AUTO, *, offset: int = 0, line: int = 0, options: Options = NOTHING_ASKED
    ) -> None:
        """Raises UnknownNameError where no reader has the name ``source``."""
        check_source(source)
        self.path = path
        self.source = source
        self.offset = offset
        self.line = line
        self._options = options
        self._inode: int | None = None
        self._parser: LineParser | None = None
        self._skipping = False

    def read_new(self, dead_letters: DeadLetterFile | None = None) -> list[Event]:
        """The events of the lines that have been completed since the last call, at most 64 MiB of them.

        Raises InputError where the file cannot be read, is compressed or binary, or (source ``auto``)
        is not recognised.
        """
        try:
            data = self._new_bytes()
        except OSError as error:
            raise InputError(self.path, f"cannot be read: {error.strerror}", hint="Check its permissions") from error
        end = data.rfind(b"\n") + 1
        if not end:
            return self._overlong(data, dead_letters)
        events: list[Event] = []
        parser = self._parser_for(data[:end], dead_letters)
        lines = data[: end - 1].split(b"\n")
        if self._skipping:  # the rest of a line whose start is a dead letter already
            self._skipping = False
            self.line += 1
            lines = lines[1:]
        for raw in lines:
            self.line += 1
            parser.line(raw, self.line, events)
        self.offset += end
        return events

    def _new_bytes(self) -> bytes:
        try:
            log = self.path.open("rb", buffering=0)
        except FileNotFoundError:
            return b""
        with log:
            status = os.fstat(log.fileno())
            if status.st_size < self.offset or self._inode not in (None, status.st_ino):
                self.offset = self.line = 0
                self._skipping = False
                self._parser = None
            self._inode = status.st_ino
            wanted = min(status.st_size - self.offset, _MOST)
            if wanted <= 0:
                return b""
            log.seek(self.offset)
            return log.read(wanted) or b""

    def _parser_for(self, data: bytes, dead_letters: DeadLetterFile | None) -> LineParser:
        if self._parser is None:
            if self.offset == 0:
                if data.startswith(_GZIP):
                    raise InputError(self.path, "is compressed", hint="Follow the log that is being written")
                if data.strip():
                    check_head(self.path, data)
            if self.source == AUTO:
                reader = detect_reader(self.path, first_lines(data[: 4 * MAX_LINE]), self._options)
            else:
                reader = get_reader(self.source, self._options)
            self._parser = LineParser(reader, str(self.path), dead_letters)
        self._parser.dead_letters = dead_letters
        return self._parser

    def _overlong(self, data: bytes, dead_letters: DeadLetterFile | None) -> list[Event]:
        """No whole line: wait for the rest of it, unless it is too long to be kept anyway."""
        if len(data) > MAX_LINE:
            if not self._skipping:
                self._parser_for(data, dead_letters).line(data, self.line + 1, [])
            self._skipping = True
            self.offset += len(data)
        return []
