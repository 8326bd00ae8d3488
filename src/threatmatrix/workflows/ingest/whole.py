"""A log that is one document, a table or a row of HTTP messages → the lake, in batches of records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from threatmatrix.model.errors import InputError
from threatmatrix.model.event import DeadLetter, Event
from threatmatrix.telemetry.columnar.scratch import Scratch
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.lake import Lake
from threatmatrix.telemetry.logfile import LogFile
from threatmatrix.telemetry.reading import LogPath, Progress, read_events
from threatmatrix.telemetry.systems import Resolver
from threatmatrix.workflows.ingest.manifest import Manifest
from threatmatrix.workflows.ingest.pool import Setting, salt
from threatmatrix.workflows.ingest.report import FileReport
from threatmatrix.workflows.ingest.tally import FileTally
from threatmatrix.workflows.ingest.work import Work

__all__ = ["read_whole"]

_BATCH = 10_000
_CLOSING = 16  # bytes: the end of a document, which moves when it grows
_DAY = 86_400_000_000


def read_whole(work: Work, path: LogPath) -> FileReport:
    """Read it from its start; the events that are in the lake, by their number, are passed over."""
    log, manifest, counts = work.log, work.manifest, work.counts
    if log.size is not None and manifest.seen == log.size:
        counts.skipped = log.size
        return counts.report()
    with Lake(work.setting.lake) as lake, _readable(path, log) as file:
        try:
            _write(work, lake, file)
        except InputError as error:
            if error.file != str(file):
                raise
            log.broken = InputError(log.name, error.message.removeprefix(f"{error.file}: "), hint=error.hint)
        else:
            manifest.unfinished(log.size or 0)
    return counts.report()


def _write(work: Work, lake: Lake, file: Path) -> None:
    manifest, counts, setting = work.manifest, work.counts, work.setting

    def told(progress: Progress) -> None:
        counts.passed = progress.passed
        work.report(progress.bytes_read)

    resolver = Resolver(setting.systems)
    counting = _Counting(counts, work.log.name)
    reading = read_events([file], setting.source, counting, _BATCH, told, options=setting.options)
    for batch in _cut(reading, manifest):
        events = [resolver.resolve(event) for event in batch]
        written = lake.append(events, part=_part(events, setting))
        counts.wrote(len(events), written, tuple({event.time // _DAY for event in events}))
        manifest.done(manifest.position + len(events), manifest.line, max(0, (work.log.size or 0) - _CLOSING))


class _Counting(DeadLetterFile):
    """Hands letters on under the name of the log, which may have been read from another place."""

    def __init__(self, counts: FileTally, name: str) -> None:
        super().__init__()
        self._counts = counts
        self._name = name

    def add(self, letter: DeadLetter) -> None:
        self._counts.letter(replace(letter, file=self._name))


@contextmanager
def _readable(path: LogPath, log: LogFile) -> Iterator[Path]:
    """A path that can be read from its start; a pipe, of which some has been read, is gathered in memory."""
    if isinstance(path, Path) and log.size is not None:
        yield path
        return
    scratch = Scratch()
    try:
        scratch.put(log.chunks())
        yield Path(scratch.path)
    finally:
        scratch.close()


def _cut(reading: Iterator[list[Event]], manifest: Manifest) -> Iterator[list[Event]]:
    """Batches of new events, cut where an earlier run cut them; where one ends is on the disk before it is written."""
    number, batch = 0, list[Event]()
    start = manifest.position
    ends = {end for end in manifest.ends if end > start}
    for events in reading:
        for event in events:
            number += 1
            if number <= start:
                continue
            batch.append(event)
            if number in ends or len(batch) == _BATCH:
                manifest.plan(number)
                yield batch
                batch = []
    if batch:
        manifest.plan(number)
        yield batch


def _part(events: Sequence[Event], setting: Setting) -> str:
    """The same events in the same order give the same part."""
    digest = hashlib.blake2b(key=salt(setting).encode()[:64], digest_size=16)
    for event in events:
        digest.update(f"{event.event_id}\0{event.time}\n".encode("utf-8", "surrogatepass"))
    return f"ingest:{digest.hexdigest()}"
