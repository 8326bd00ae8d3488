"""A log with a record on each line → the lake: chunk by chunk, several at once, in their order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from threatmatrix.telemetry.columnar.chunks import Chunk, cut
from threatmatrix.telemetry.columnar.plans import plan_for
from threatmatrix.telemetry.decoding import decode_whole
from threatmatrix.telemetry.logfile import LogFile
from threatmatrix.telemetry.readers import Reader
from threatmatrix.workflows.ingest.manifest import Manifest
from threatmatrix.workflows.ingest.pool import Done, Job, Pool
from threatmatrix.workflows.ingest.report import FileReport
from threatmatrix.workflows.ingest.work import Work

__all__ = ["read_lines"]

_BOM = b"\xef\xbb\xbf"
_BLOCK = 1024 * 1024
_SMALL_CHUNK = 4 * 1024 * 1024  # of formats that Python reads: as objects a record takes ten times its length
_WORTH_PROCESSES = 32 * 1024 * 1024  # bytes: to start a process takes half a second


def read_lines(work: Work, reader: Reader) -> FileReport:
    """Read what is not in the lake yet. Raises InputError where the lake, the home or the dead letters fail."""
    log, manifest = work.log, work.manifest
    work.counts.skipped = manifest.position
    planned = plan_for(reader, work.setting.options) is not None
    left = None if log.size is None or log.packing else log.size - manifest.position
    processes = not planned and work.workers > 1 and (left is None or left > _WORTH_PROCESSES)
    with Pool(work.setting, work.workers, processes=processes) as pool:
        for job, done in pool.run(_jobs(log, manifest, planned=planned, is_text=reader.form == "text")):
            _take(job, done, work)
            work.report(log.position if log.packing else job.chunk.end)
    return work.counts.report()


def _jobs(log: LogFile, manifest: Manifest, *, planned: bool, is_text: bool) -> Iterator[Job]:
    """What is left to read, in chunks; where a chunk will end is on the disk before its part can be."""
    if manifest.seen == _length(log) and not log.packing:
        return
    size = {} if planned else {"size": _SMALL_CHUNK}
    pieces = _pieces(log, manifest.position)
    for chunk in cut(pieces, start=manifest.position, line=manifest.line, cuts=manifest.ends, **size):
        for part in _split(chunk):
            unended = not part.data.endswith(b"\n")
            torn = log.broken is not None and unended
            open_ = unended and (torn or (not is_text and not _is_value(part.data)))
            if not open_:
                manifest.plan(part.end)
            yield Job(log.name, part, torn=torn, open=open_)


def _length(log: LogFile) -> int:
    return -2 if log.size is None else log.size


def _pieces(log: LogFile, position: int) -> Iterator[bytes]:
    """The text from a position on; a byte order mark does not count."""
    if not position:
        yield from log.chunks()
    elif log.packing or log.size is None:
        yield from _after(log.chunks(), position)
    else:
        with Path(log.name).open("rb", buffering=0) as file:
            file.seek(position + _marked(log))
            while piece := file.read(_BLOCK):
                yield piece


def _marked(log: LogFile) -> int:
    """How many bytes of the file its byte order mark takes."""
    with Path(log.name).open("rb", buffering=0) as file:
        return len(_BOM) if file.read(len(_BOM)) == _BOM else 0


def _after(pieces: Iterator[bytes], position: int) -> Iterator[bytes]:
    for piece in pieces:
        if position >= len(piece):
            position -= len(piece)
        else:
            yield piece[position:]
            position = 0


def _split(chunk: Chunk) -> Iterator[Chunk]:
    """A last line without its newline is a chunk of its own: somebody may still be writing it."""
    whole = chunk.data.rfind(b"\n") + 1
    if whole in (0, len(chunk.data)):
        yield chunk
        return
    tail = chunk.data[whole:]
    between = chunk.end - len(tail)
    yield Chunk(chunk.data[:whole], chunk.start, between, chunk.first, chunk.lines - 1)
    yield Chunk(tail, between, chunk.end, chunk.first + chunk.lines - 1, 1)


def _is_value(data: bytes) -> bool:
    """Whether this is a whole JSON value, to which nothing can be added."""
    try:
        decode_whole(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    return True


def _take(job: Job, done: Done, work: Work) -> None:
    """A chunk is in the lake: say so. What it could not read is counted, once its part is durable."""
    log, counts = work.log, work.counts
    for letter in done.letters:
        counts.letter(letter)
    counts.passed += done.passed
    counts.by_reader += done.by_reader
    counts.wrote(done.events, done.written, done.days)
    chunk = job.chunk
    if job.open:
        work.manifest.unfinished(_length(log) if not log.packing else chunk.end)
    else:
        at = 0 if log.packing or log.size is None else chunk.end + _marked(log)
        work.manifest.done(chunk.end, chunk.first + chunk.lines, at)
