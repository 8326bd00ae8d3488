"""Files → lake: what is in the lake already is passed over, what breaks off goes on where it stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from threatmatrix.model.errors import InputError
from threatmatrix.model.system import System
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.documents import is_document
from threatmatrix.telemetry.lake import Lake
from threatmatrix.telemetry.lake.layout import days_in
from threatmatrix.telemetry.logfile import LogFile
from threatmatrix.telemetry.readers import AUTO, NOTHING_ASKED, Options, Reader, check_source, detect_reader, get_reader
from threatmatrix.telemetry.reading import LogPath, first_lines
from threatmatrix.workflows.feeding import Log
from threatmatrix.workflows.ingest.lines import read_lines
from threatmatrix.workflows.ingest.manifest import Manifest
from threatmatrix.workflows.ingest.places import expand
from threatmatrix.workflows.ingest.pool import Setting, salt
from threatmatrix.workflows.ingest.report import FileReport, IngestProgress, IngestReport
from threatmatrix.workflows.ingest.tally import FileTally, Tally
from threatmatrix.workflows.ingest.whole import read_whole
from threatmatrix.workflows.ingest.work import Work

__all__ = ["ingest"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WORKERS = 2
_HINT = "Free some space or check its permissions, then run the same command again: it goes on where it stopped"


def ingest(
    files: Sequence[LogPath | Log],
    *,
    lake: Lake,
    home: Path,
    systems: Sequence[System] = (),
    source: str = AUTO,
    options: Options = NOTHING_ASKED,
    dead_letters: DeadLetterFile | None = None,
    join: bool = True,
    workers: int = 0,
    on_progress: Callable[[IngestProgress], None] | None = None,
) -> IngestReport:
    """Read logs (directories and patterns expand; ``-`` is standard input) into the lake.

    A :class:`Log` says itself how it is read; ``source`` and ``options`` hold for the others.

    ``home`` keeps, under ``ingest/``, how far each log has come: reading one again adds only what is new. ``join``:
    the days touched are compacted where they hold more than one source, so that records of one request become one
    event. ``workers`` 0: as many as there are cores, at most 2; each takes up to 120 MB.

    Raises UnknownNameError (source), UsageError and InputError before anything is read; InputError for a binary or
    unrecognised file when its turn comes, and where the lake or the home cannot be written: it says how far each log
    has come, and the same command goes on there. A truncated or damaged file is named in the report; what stands
    before the damage, and the other files, are in the lake.
    """
    for name in (source, *(file.source for file in files if isinstance(file, Log))):
        check_source(name)
    paths = expand(files)
    if not any(days_in(lake.root)):
        _forget(_memory(home, lake))  # somebody has removed the lake: what was in it is not there
    tally = Tally(on_progress, time.monotonic())
    run = _Run(lake, home, tuple(systems), dead_letters, workers or _cores(), tally)
    reports, broken = [], None
    for path, log in paths.items():
        reports.append(run.file(path, log or Log(str(path), source, options)))
        broken = broken or run.broken
    days = tuple(sorted((_EPOCH + timedelta(days=day)).date().isoformat() for day in tally.days))
    joined = repeats = 0
    if join and days:
        joined, repeats = _join(lake, days, tally)
    return IngestReport(tuple(reports), days, joined, repeats, time.monotonic() - tally.started, broken)


def _cores() -> int:
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, _WORKERS)


def _join(lake: Lake, days: Sequence[str], tally: Tally) -> tuple[int, int]:
    """Compact the days in which several sources may have told of one request."""
    tally.doing = "joining"
    several = [status.day for status in lake.days() if status.day in days and len(status.sources) > 1]
    if not several:
        return 0, 0
    done = lake.compact(several, join=True, on_day=lambda day, _: tally.report(day, 0, None))
    return done.joined, done.repeats


@dataclass(slots=True)
class _Run:
    """What the files of one run have in common. ``broken``: what was wrong with the last one."""

    lake: Lake
    home: Path
    systems: tuple[System, ...]
    dead_letters: DeadLetterFile | None
    workers: int
    tally: Tally
    broken: InputError | None = None

    def file(self, path: LogPath, how: Log) -> FileReport:
        self.broken = None
        with LogFile(path) as log:
            start = first_lines(log.head)
            reader = _reader(log, start, how)
            setting = Setting(reader.name, how.options, self.systems, self.lake.root)
            manifest = self._manifest(path, log, setting)
            counts = FileTally(self.tally, self.dead_letters, log.name, reader.name)
            work = Work(log, setting, manifest, counts, self.workers)
            try:
                lines = _has_lines(reader, log, start)
                report = read_lines(work, reader) if lines else read_whole(work, path)
            except InputError as error:
                raise _how_far(error, log.name, manifest) from error
            finally:
                manifest.close()
            self.broken = log.broken
        return report

    def _manifest(self, path: LogPath, log: LogFile, setting: Setting) -> Manifest:
        """Of standard input nothing is remembered."""
        if isinstance(path, str) or log.size is None:
            return Manifest(None)
        folder = _memory(self.home, self.lake)
        return Manifest.of(folder, path, log.head.partition(b"\n")[0], salt(setting))


def _reader(log: LogFile, start: Sequence[str], how: Log) -> Reader:
    if how.source == AUTO:
        return detect_reader(log.name, start, how.options)
    return get_reader(how.source, how.options)


def _memory(home: Path, lake: Lake) -> Path:
    """The folder that says how far each log has come on its way into this lake."""
    return home / "ingest" / sha256(str(lake.root.resolve()).encode()).hexdigest()[:16]


def _forget(folder: Path) -> None:
    for left in folder.glob("*.jsonl"):
        left.unlink(missing_ok=True)


def _has_lines(reader: Reader, log: LogFile, start: Sequence[str]) -> bool:
    if log.is_parquet:
        return False
    return reader.form in ("lines", "text") or (reader.form == "documents" and not is_document(start))


def _how_far(error: InputError, file: str, manifest: Manifest) -> InputError:
    """The error, with how far the log has come. Nothing to add where the log itself is at fault."""
    if error.file == file:
        return error
    problem = error.message.removeprefix(f"{error.file}: ")
    return InputError(error.file, f"{problem}. Of {file} all before line {manifest.line:,} is in the lake", hint=_HINT)
