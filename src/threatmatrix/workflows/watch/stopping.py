"""Being told to stop, at any moment, without losing what is in hand."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stop", "Stopped"]


class Stopped(Exception):
    """Told to stop while waiting for something that does not work."""


class Stop:
    """A flag that wakes who waits. A pipe, because a lock cannot be taken safely in a signal handler."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.asked = False

    def ask(self) -> None:
        self.asked = True
        os.write(self._write, b"x")

    def wait(self, seconds: float) -> bool:
        """Wait, but no longer than until somebody asks; whether somebody did."""
        if not self.asked and seconds > 0:
            select.select([self._read], [], [], seconds)
        return self.asked

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask; a second one does what it always did. Elsewhere than in the main thread: nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def ask(number: int, _frame: FrameType | None) -> None:
            signal.signal(number, before[signal.Signals(number)])
            self.ask()

        for number in before:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
