"""Workers: each takes a chunk, makes events of it and writes them to the lake as one part."""

from __future__ import annotations

import hashlib
import multiprocessing
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from threatmatrix.model.errors import InputError, RunError
from threatmatrix.model.event import DeadLetter
from threatmatrix.model.system import System
from threatmatrix.telemetry.columnar.chunks import Chunk
from threatmatrix.telemetry.columnar.loader import ChunkLoader
from threatmatrix.telemetry.lake import Lake
from threatmatrix.telemetry.readers import Options, get_reader
from threatmatrix.telemetry.systems import Resolver

__all__ = ["Done", "Job", "Pool", "Setting", "salt"]


@dataclass(frozen=True, slots=True)
class Setting:
    """What every worker of a file needs to know."""

    source: str
    options: Options
    systems: tuple[System, ...]
    lake: Path


@dataclass(frozen=True, slots=True)
class Job:
    """``torn``: the chunk is one line that damage has cut; ``open``: one that its writer may still finish."""

    file: str
    chunk: Chunk
    torn: bool = False
    open: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a chunk; ``written`` is less than ``events`` where the lake knew it."""

    events: int
    written: int
    by_reader: int
    passed: int
    letters: tuple[DeadLetter, ...]
    days: tuple[int, ...]


class _Works(Protocol):
    def work(self, job: Job) -> Done: ...

    def close(self) -> None: ...


def salt(setting: Setting) -> str:
    """What a chunk's events depend on besides its bytes: part of every part's id. Tells nothing of a key."""
    inputs = setting.options.inputs
    key = repr(inputs.text("key", 0)) if inputs is not None else ""
    options = (setting.options.principal_header, setting.options.mapping, setting.options.zone, key)
    return hashlib.sha256(f"1/{setting.source}/{options!r}".encode()).hexdigest()


class _Local:
    """A worker in a thread: for formats with a plan, where DuckDB does the work and needs no lock of Python's."""

    def __init__(self, setting: Setting) -> None:
        resolver = Resolver(setting.systems) if setting.systems else None
        self._loader = ChunkLoader(get_reader(setting.source, setting.options), resolver, setting.options)
        self._lake = Lake(setting.lake)
        self._salt = salt(setting).encode()

    def work(self, job: Job) -> Done:
        loaded = self._loader.load(job.chunk, job.file, torn=job.torn)
        written = 0
        if loaded.events:
            digest = hashlib.sha256(job.chunk.data)  # the fastest one there is: many processors have it built in
            digest.update(self._salt)
            written = self._lake.append_table(self._loader.con, loaded.table, part=f"ingest:{digest.hexdigest()}")
        return Done(loaded.events, written, loaded.by_reader, loaded.passed, loaded.letters, loaded.days)

    def close(self) -> None:
        self._loader.close()
        self._lake.close()


class _Remote:
    """A worker in a process: for formats that only Python reads."""

    def __init__(self, setting: Setting) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy DuckDB's locks as they happen to be
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, setting), daemon=True)
        self._process.start()
        theirs.close()

    def work(self, job: Job) -> Done:
        try:
            self._connection.send(job)
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise RunError(
                "a worker process died", hint="Was memory short? What was written stays; run it again"
            ) from error
        if isinstance(answer, Done):
            return answer
        kind, file, message, hint = answer
        if kind == "InputError":
            raise InputError(file, message.removeprefix(f"{file}: "), hint=hint)
        raise RunError(f"a worker process failed: {message}", hint=hint)

    def close(self) -> None:
        self._connection.close()
        self._process.join()
        self._process.close()


def _serve(connection: Connection, setting: Setting) -> None:
    """The life of a worker process: it ends when its parent does, for then the connection does."""
    local = _Local(setting)
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            job = connection.recv()
            try:
                connection.send(local.work(job))
            except InputError as error:
                connection.send(("InputError", error.file, error.message, error.hint))
            except Exception as error:  # noqa: BLE001 - raised on the other side; its text could quote a value
                connection.send(("", "", type(error).__name__, "Report it with the name of the source"))
    local.close()


class Pool:
    """Some workers; results come in the order of the jobs. At most two more jobs than workers are taken ahead."""

    def __init__(self, setting: Setting, workers: int, *, processes: bool) -> None:
        self._setting = setting
        self._workers = workers
        self._make = _Remote if processes else _Local
        self._threads = ThreadPoolExecutor(workers, "ingest")
        self._mine = threading.local()
        self._all: list[_Works] = []

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Done]]:
        """Raises what a worker raised, when the turn of its job comes."""
        waiting: deque[tuple[Job, Future[Done]]] = deque()
        for job in jobs:
            waiting.append((job, self._threads.submit(self._work, job)))
            while len(waiting) > self._workers or (waiting and waiting[0][1].done()):
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()

    def _work(self, job: Job) -> Done:
        if not hasattr(self._mine, "worker"):
            self._mine.worker = self._make(self._setting)
            self._all.append(self._mine.worker)
        worker: _Works = self._mine.worker
        return worker.work(job)

    def close(self) -> None:
        """Wait for what is under way, drop what is not, free the workers."""
        self._threads.shutdown(cancel_futures=True)
        for worker in self._all:
            worker.close()
        self._all.clear()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
