"""A second process for work that runs beside the first, and never outlives it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait

__all__ = ["beside"]


@contextmanager
def beside() -> Iterator[ProcessPoolExecutor]:
    """An executor of one process; an error inside the block does not wait for its work."""
    context = multiprocessing.get_context("spawn")  # forking a process that has threads is not safe
    executor = ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_end_with_parent)
    try:
        yield executor
    except BaseException:
        for process in list((executor._processes or {}).values()):
            process.terminate()
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
