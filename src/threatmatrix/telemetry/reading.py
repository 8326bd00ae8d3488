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
from threatmatrix.telemetry.messages import is_http, split_stream
from threatmatrix.telemetry.readers import AUTO, NOTHING_ASKED, Options, Reader, check_source, detect_reader, get_reader
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
    passed: int = 0  # records that hold nothing of interest, so far, all files


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
    or damaged gzip, zstd or Parquet file gives the events before the damage, the other files are read
    as well, and then, after the last batch, InputError is raised: such a run never looks clean.
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
        self.passed = 0

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
        if log.is_parquet and self.options.mapping is None:
            hint = "Say with --source mapping and a mapping file what its columns are"
            raise InputError(log.name, "is a Parquet file, which only the source 'mapping' reads", hint=hint)
        if self.source == AUTO:
            reader = detect_reader(log.name, start, self.options)
        else:
            reader = get_reader(self.source, self.options)
        parser = LineParser(reader, log.name, self.dead_letters)
        for _ in self._records(log, reader, parser, start):
            if len(self.batch) >= self.batch_size:
                yield from self._full(log, parser)
        self.events += parser.events
        self.dead += parser.dead
        self.passed += parser.passed
        self._report(log)

    def _records(self, log: LogFile, reader: Reader, parser: LineParser, start: Sequence[str]) -> Iterator[None]:
        """Put the events of each record into the batch; yields now and then, so that batches can be handed out."""
        if log.is_parquet or reader.form == "table":
            yield from self._rows(log, reader, parser)
        elif reader.form == "documents" and is_document(start):
            parse_document(log.name, _whole(log), parser, self.batch)
            yield
        elif reader.form == "http" and is_http(start):
            for line, message, raw in split_stream(log.chunks()):
                if isinstance(message, str):
                    parser.letter(raw, line, message)
                else:
                    parser.message(message, raw, line, self.batch)
                yield
        else:
            number = 0
            for number, raw in enumerate(log.lines(), 1):
                parser.line(raw, number, self.batch)
                yield
            if log.torn:
                parser.letter(log.torn, number + 1, "cut off: the file ends in the middle of this line")

    def _rows(self, log: LogFile, reader: Reader, parser: LineParser) -> Iterator[None]:
        from threatmatrix.telemetry.readers.mapping import MappingReader
        from threatmatrix.telemetry.tables import read_csv, read_parquet

        if not isinstance(reader, MappingReader):
            raise InputError(log.name, f"is a table, which {reader.name} does not read", hint="Use the source mapping")
        if log.is_parquet:
            yield from read_parquet(log, parser, self.batch)
        else:
            yield from read_csv(log, reader.table, parser, self.batch)

    def _full(self, log: LogFile, parser: LineParser) -> Iterator[list[Event]]:
        """Hand out full batches; what is left waits for more."""
        while len(self.batch) >= self.batch_size:
            full = self.batch[: self.batch_size]
            del self.batch[: self.batch_size]  # in place: whoever fills it holds this list
            self._report(log, parser)
            yield full

    def _report(self, log: LogFile, parser: LineParser | None = None) -> None:
        """``parser``: the one whose counts are not yet among ours."""
        if self.on_progress is None:
            return
        events, dead, passed = (parser.events, parser.dead, parser.passed) if parser else (0, 0, 0)
        counts = self.events + events, self.dead + dead, self.passed + passed
        self.on_progress(Progress(log.name, log.position, log.size, *counts))


def _whole(log: LogFile) -> bytes:
    data = bytearray()
    for chunk in log.chunks():
        data += chunk
        if len(data) > MAX_DOCUMENT:
            break
    return bytes(data)
