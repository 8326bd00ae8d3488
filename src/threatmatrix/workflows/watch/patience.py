"""Doing a thing until it works: a full disk or a locked store stops the watch, and loses nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from threatmatrix.model.errors import InputError, StoreError
from threatmatrix.workflows.watch.config import OnEvent, Recovered, Waiting
from threatmatrix.workflows.watch.health import Health
from threatmatrix.workflows.watch.stopping import Stop, Stopped

__all__ = ["Patience"]

_T = TypeVar("_T")
_FIRST, _LONGEST = 0.25, 15.0  # seconds between two tries


class Patience:
    """Tries again what fails for want of space, permission or a free store, and says that it waits."""

    def __init__(self, stop: Stop, health: Health, say: OnEvent, count: Callable[[str], None]) -> None:
        self._stop, self._health, self._say, self._count = stop, health, say, count
        self.waiting = ""

    def until(self, step: str, work: Callable[[bool], _T]) -> _T:
        """What ``work`` returns; it is told whether it failed before. Raises Stopped where somebody asks meanwhile."""
        began, pause = time.monotonic(), _FIRST
        while True:
            try:
                result = work(bool(self.waiting))
            except (OSError, InputError, StoreError) as error:
                self._failed(step, error)
            else:
                if self.waiting:
                    self.waiting = ""
                    self._health.waiting("", "")
                    self._say(Recovered(step, time.monotonic() - began))
                return result
            if self._stop.wait(pause):
                raise Stopped
            pause = min(2 * pause, _LONGEST)

    def _failed(self, step: str, error: OSError | InputError | StoreError) -> None:
        reason = f"{error.filename or ''}: {error.strerror}".lstrip(": ") if isinstance(error, OSError) else str(error)
        self._count(step)
        self._health.waiting(step, reason)
        if self.waiting != reason:
            self._say(Waiting(step, reason))
        self.waiting = reason
