"""Progress on standard error: a live line on a terminal, one line per stage elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Progress", "progress"]


class Progress(Protocol):
    """What long work reports to."""

    def stage(self, text: str) -> None:
        """A new stage begins."""

    def step(self, done: int, total: int | None = None) -> None:
        """``done`` of ``total`` (None: unknown) in this stage."""


class _Silent:
    def stage(self, text: str) -> None: ...

    def step(self, done: int, total: int | None = None) -> None: ...


class _Lines:
    """One line when a stage begins: for logs and pipes."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def stage(self, text: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - self._start:5.1f} s] {text}\n")
        sys.stderr.flush()

    def step(self, done: int, total: int | None = None) -> None: ...


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress]:
    """A progress display for as long as the block runs."""
    if quiet:
        yield _Silent()
        return
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        yield _Live(bars)


class _Live:
    """One line per stage with a bar, finished stages above it."""

    def __init__(self, bars: object) -> None:
        from rich.progress import Progress as Bars

        assert isinstance(bars, Bars)
        self._bars = bars
        self._task = None if not bars.task_ids else bars.task_ids[-1]

    def stage(self, text: str) -> None:
        self._finish()
        self._task = self._bars.add_task(text, total=None)

    def step(self, done: int, total: int | None = None) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=done, total=total)

    def _finish(self) -> None:
        if self._task is not None:
            task = self._bars.tasks[self._bars.task_ids.index(self._task)]
            self._bars.update(self._task, total=task.total or task.completed or 1, completed=task.total or 1)
