"""Serve an application on loopback from a thread of this process: for tests, examples and ``reference:`` targets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from threatmatrix.emulate.reference.routes import ASGIApp
from threatmatrix.emulate.reference.serving import listen
from threatmatrix.model.errors import MissingExtraError, RunError

__all__ = ["served"]

_START_SECONDS = 10.0


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The URL under which the application is served until the block ends. Raises MissingExtraError, RunError."""
    try:
        uvicorn = import_module("uvicorn")
    except ImportError as error:
        raise MissingExtraError("serving a reference target", "emulate") from error
    config = uvicorn.Config(app, access_log=False, log_level="error", lifespan="off", timeout_keep_alive=300)
    server = uvicorn.Server(config)
    with listen() as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            _await_start(server, thread)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _await_start(server: object, thread: threading.Thread) -> None:
    ends = time.monotonic() + _START_SECONDS
    while not getattr(server, "started", False):
        if not thread.is_alive() or time.monotonic() > ends:
            raise RunError("the reference server did not start")
        time.sleep(0.005)
