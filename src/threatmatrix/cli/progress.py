"""Progress on standard error: a live line on a terminal, plain lines in a log or a pipe."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

__all__ = ["Progress", "progress"]

_EVERY = 10.0  # seconds between two lines about one long stage, where there is no live line


class Progress(Protocol):
    """What long work reports to."""

    def stage(self, text: str) -> None:
        """A new stage begins."""

    def step(self, done: int) -> None:
        """So many are done in this stage."""


class _Silent:
    def stage(self, text: str) -> None: ...

    def step(self, done: int) -> None: ...


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress]:
    """A progress display for as long as the block runs."""
    if quiet:
        yield _Silent()
    elif not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        lines = _Lines()
        yield lines
        lines.close()
    else:
        from rich.console import Console
        from rich.progress import Progress as Bars
        from rich.progress import SpinnerColumn, TextColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TextColumn("{task.fields[done]}"))
        with Bars(*columns, console=Console(stderr=True, highlight=False), transient=True) as bars:
            live = _Live(bars)
            yield live
            live.close()


def _rate(done: int, seconds: float) -> str:
    """``, 12,000 at 4,000/s``; nothing for a stage that counts nothing."""
    return f", {done:,} at {done / max(seconds, 1e-3):,.0f}/s" if done else ""


class _Lines:
    """A line when a stage begins, when it has counted something, and now and then while it lasts."""

    def __init__(self) -> None:
        self._start = self._began = self._said = time.monotonic()
        self._text, self._done = "", 0

    def stage(self, text: str) -> None:
        self.close()
        self._text, self._done = text, 0
        self._began = time.monotonic()
        self._say(text)

    def step(self, done: int) -> None:
        self._done = done
        if time.monotonic() - self._said >= _EVERY:
            self.close()

    def close(self) -> None:
        if self._done:
            self._say(self._text + _rate(self._done, time.monotonic() - self._began))

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        sys.stderr.write(f"[{self._said - self._start:5.1f} s] {text}\n")
        sys.stderr.flush()


class _Live:
    """The running stage on one line that moves; each finished stage stays above it."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._text, self._done = "", 0
        self._began = time.monotonic()

    def stage(self, text: str) -> None:
        self.close()
        self._text, self._done = text, 0
        self._began = time.monotonic()
        self._bars.add_task(text, total=None, done="")

    def step(self, done: int) -> None:
        self._done = done
        for task in self._bars.task_ids:
            self._bars.update(task, done=_rate(done, time.monotonic() - self._began).lstrip(", "))

    def close(self) -> None:
        for task in self._bars.task_ids:
            self._bars.remove_task(task)
            seconds = time.monotonic() - self._began
            said = f"✓ {self._text}{_rate(self._done, seconds)} ({seconds:.1f} s)"
            self._bars.console.print(said, markup=False, soft_wrap=True)
