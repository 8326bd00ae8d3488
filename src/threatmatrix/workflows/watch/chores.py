"""What a watch does for the lake beside its work: old days go, and the parts of a day that is over are merged."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from threatmatrix.model.errors import InputError
from threatmatrix.telemetry.lake import Lake
from threatmatrix.telemetry.lake.layout import days_in
from threatmatrix.workflows.watch.config import OnEvent, Said

__all__ = ["Chores", "tidy"]

_FIRST = 300.0  # seconds; a watch that is started again and again does not begin with it each time
_EVERY = 3600.0
_OVER = timedelta(hours=1)  # after midnight: what is late has come by then
_NICE = 10


class Chores:
    """Once an hour, in a process of its own: judging does not wait for it, and it may be ended at any moment.

    ``days``: what is older leaves the lake; None: nothing does. A day is merged once, when it has been over for an
    hour (UTC); what comes for it later is merged a day later. Never raises: somebody else may be at work on the lake,
    and there is a next hour.
    """

    def __init__(self, root: Path, days: int | None, say: OnEvent, *, first: float = _FIRST) -> None:
        self._root, self._days, self._say = root, days, say
        self._next = time.monotonic() + first
        self._merged = self._before = ""  # the days before this one are merged; are being merged
        self._child: SpawnProcess | None = None
        self._answer: Connection | None = None

    def __call__(self) -> None:
        """Costs nothing but once an hour, and then the start of a process."""
        if self._child is not None:
            self._look()
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            with suppress(OSError):  # no process or memory to be had
                self._start(datetime.now(UTC))

    def _start(self, now: datetime) -> None:
        oldest = "" if self._days is None else (now - timedelta(days=self._days)).date().isoformat()
        today = (now - _OVER).date().isoformat()
        before = "" if today == self._merged else today
        if not self._root.is_dir() or not (oldest or before):
            return
        context = get_context("spawn")
        self._answer, theirs = context.Pipe(duplex=False)
        with closing(theirs):
            child = context.Process(target=_work, args=(theirs, self._root, oldest, before), daemon=True)
            child.start()
        self._child, self._before = child, before

    def _look(self) -> None:
        if self._child is None or self._answer is None or (self._child.is_alive() and not self._answer.poll()):
            return
        with suppress(EOFError, OSError):  # it was killed
            said, merged = self._answer.recv()
            for sentence in said:
                self._say(Said(sentence))
            self._merged = self._before if merged and self._before else self._merged
        self.close()

    def close(self) -> None:
        """End what is at work: the lake is then as if that day had not been begun."""
        if self._child is not None:
            self._child.kill()
            self._child.join()
            self._child.close()
            self._child = None
        if self._answer is not None:
            self._answer.close()
            self._answer = None


def _work(answer: Connection, root: Path, oldest: str, before: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the watch, which then ends this
    os.nice(_NICE)
    done = tidy(root, oldest, before)
    with closing(answer), suppress(OSError):  # the watch was killed meanwhile
        answer.send(done)


def tidy(root: Path, oldest: str, before: str) -> tuple[Sequence[str], bool]:
    """Remove the days before ``oldest``, merge the parts of those before ``before`` (YYYY-MM-DD; "": none).

    Returns sentences for people, what was removed and what did not work, and whether all is merged. A merged day in
    which nothing is new costs a listing.
    """
    said: list[str] = []
    merged = False
    with Lake(root) as lake:
        try:
            if oldest and (gone := lake.expire(oldest)).days:
                said.append(f"{gone.events:,} events of {len(gone.days)} days before {oldest} left the lake")
        except InputError as error:
            said.append(f"old events were not removed: {error.message}")
        try:
            days = [day for day, _ in days_in(root) if day < before]
            done = lake.compact(days, join=True, threads=1) if days else None
            merged = True
            said += [f"{path} is damaged, and was set aside" for path in (done.damaged if done else ())]
        except InputError as error:
            said.append(f"the parts of days that are over were not merged: {error.message}")
    return said, merged
