"""Files → events, in batches: the one way in for logs at rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from threatmatrix.model.errors import InputError, UsageError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.documents import MAX_DOCUMENT, is_document, parse_document
from threatmatrix.telemetry.logfile import LogFile, check_file
from threatmatrix.telemetry.readers import AUTO, NOTHING_ASKED, Options, check_source, detect_reader, get_reader
from threatmatrix.telemetry.records import LineParser

__all__ = ["LogPath", "Progress", "first_lines", "read_events"]

LogPath = Path | Literal["-"]

_FIRST_LINES = 64


@dataclass(frozen=True, slots=True)
class Progress:
    """How far reading has come: in this file, and with all files together."""

    file: str
    bytes_read: int  # of this file, as it lies on disk
    bytes_total: int | None  # None for standard input
    events: int  # so far, all files
    dead_letters: int  # so far, all files


def first_lines(head: bytes) -> list[str]:
    """The first lines of a file, at most 64, for detection; a last one that is cut counts too."""
    return head.decode("utf-8", "replace").split("\n", _FIRST_LINES)[:_FIRST_LINES]


def read_events(
    files: Sequence[LogPath],
    source: str = AUTO,
    dead_letters: DeadLetterFile | None = None,
    batch_size: int = 5000,
    on_progress: Callable[[Progress], None] | None = None,
    *,
    options: Options = NOTHING_ASKED,
) -> Iterator[list[Event]]:
    """Yield events in batches of ``batch_size`` (the last one smaller), in the order of files and lines.

    ``source`` is a reader's name, or ``auto``: each file by its first lines. ``"-"`` is standard
    input. ``options`` tells the readers what was asked for. A line that cannot become an event goes to
    ``dead_letters`` (None: nowhere) and stops nothing. ``on_progress`` is called with each batch and
    at the end of each file.

    Raises UnknownNameError (source) and InputError (missing, directory, unreadable, empty) before
    anything is read; InputError for a binary or unrecognised file when its turn comes. A truncated
    or damaged gzip file gives the events before the damage, the other files are read as well, and
    then, after the last batch, InputError is raised: such a run never looks clean.
    """
    check_source(source)
    if not files:
        raise UsageError("no file to read", hint="Name one or more log files, or - for standard input")
    for file in files:
        check_file(file)
    return _Reading(source, dead_letters, max(1, batch_size), on_progress, options).run(files)


class _Reading:
    """One run over several files: what they have in common."""

    def __init__(
        self,
        source: str,
        dead_letters: DeadLetterFile | None,
        batch_size: int,
        on_progress: Callable[[Progress], None] | None,
        options: Options,
    ) -> None:
        self.source = source
        self.dead_letters = dead_letters
        self.batch_size = batch_size
        self.on_progress = on_progress
        self.options = options
        self.batch: list[Event] = []
        self.events = 0
        self.dead = 0

    def run(self, files: Sequence[LogPath]) -> Iterator[list[Event]]:
        broken: list[InputError] = []
        for file in files:
            with LogFile(file) as log:
                yield from self._file(log)
                if log.broken is not None:
                    broken.append(log.broken)
        if self.batch:
            yield self.batch
        if broken:
            raise broken[0]

    def _file(self, log: LogFile) -> Iterator[list[Event]]:
        start = first_lines(log.head)
        if self.source == AUTO:
            reader = detect_reader(log.name, start, self.options)
        else:
            reader = get_reader(self.source, self.options)
        parser = LineParser(reader, log.name, self.dead_letters)
        if reader.form == "documents" and is_document(start):
            parse_document(log.name, _whole(log), parser, self.batch)
            yield from self._full(log, parser)
        else:
            number = 0
            for number, raw in enumerate(log.lines(), 1):
                parser.line(raw, number, self.batch)
                if len(self.batch) >= self.batch_size:
                    yield from self._full(log, parser)
            if log.torn:
                parser.letter(log.torn, number + 1, "cut off: the file ends in the middle of this line")
        self.events += parser.events
        self.dead += parser.dead
        self._report(log, 0, 0)

    def _full(self, log: LogFile, parser: LineParser) -> Iterator[list[Event]]:
        """Hand out full batches; what is left waits for more."""
        while len(self.batch) >= self.batch_size:
            full, self.batch = self.batch[: self.batch_size], self.batch[self.batch_size :]
            self._report(log, parser.events, parser.dead)
            yield full

    def _report(self, log: LogFile, events: int, dead: int) -> None:
        if self.on_progress is not None:
            self.on_progress(Progress(log.name, log.position, log.size, self.events + events, self.dead + dead))


def _whole(log: LogFile) -> bytes:
    data = bytearray()
    for chunk in log.chunks():
        data += chunk
        if len(data) > MAX_DOCUMENT:
            break
    return bytes(data)
