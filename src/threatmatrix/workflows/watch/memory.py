"""When Python looks for garbage that goes in circles."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Sweeps", "few_sweeps"]

_EVERY = 50_000  # records; a sweep looks at all that is remembered
_LONGEST = 600.0  # seconds


@contextmanager
def few_sweeps() -> Iterator[None]:
    """Leave what exists by now out of every sweep, and sweep only when :class:`Sweeps` says so.

    A watch remembers a hundred thousand events and makes ten objects of each: left alone, Python looks through all of
    them again and again. Measured while catching up: a fifth to a quarter of the time.
    """
    was = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was:
            gc.enable()


class Sweeps:
    """Sweeps after so many records, or so long: what the joiner forgot goes in circles, and must be found."""

    def __init__(self) -> None:
        self._records = 0
        self._last = time.monotonic()

    def after(self, records: int) -> None:
        self._records += records
        if self._records >= _EVERY or (self._records and time.monotonic() - self._last >= _LONGEST):
            gc.collect()
            self._records, self._last = 0, time.monotonic()
