"""Processes for work that runs beside the first one, and never outlives it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from multiprocessing.connection import wait

__all__ = ["beside", "one_thread"]


@contextmanager
def beside(processes: int) -> Iterator[ProcessPoolExecutor]:
    """An executor of so many processes; an error inside the block does not wait for their work."""
    context = multiprocessing.get_context("spawn")  # forking a process that has threads is not safe
    executor = ProcessPoolExecutor(max_workers=processes, mp_context=context, initializer=_end_with_parent)
    try:
        yield executor
    except BaseException:
        for process in list((executor._processes or {}).values()):
            process.terminate()
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()


def _end_with_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    one_thread()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def one_thread() -> AbstractContextManager[object]:
    """One thread for NumPy from now on, or for as long as the block runs.

    The arrays of a replay are small: what further BLAS threads do is wait, and that costs a core each. Without
    ``[emulate]`` nothing is limited.
    """
    try:
        limit: AbstractContextManager[object] = import_module("threadpoolctl").threadpool_limits(limits=1)
    except ImportError:
        return nullcontext()
    return limit


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
