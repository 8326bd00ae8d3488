"""Whether batches complete, and two routes that say so: /metrics and /healthz."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any

from threatmatrix.model.errors import UsageError

__all__ = ["Health", "serve"]

_CLIENTS = 8  # at once; more are turned away
_PATIENCE = 5.0  # seconds that a client may be silent


class Health:
    """Healthy while batches complete and every source can be read. Written by one thread, read by others."""

    def __init__(self, patience: float) -> None:
        """``patience``: seconds that one batch may take."""
        self._patience = patience
        self._beat = time.monotonic()
        self._batch: float | None = None
        self._waiting = ""
        self.last_batch: float | None = None  # wall clock, seconds
        self.blind: Mapping[str, str] = {}  # source or file → why nothing is seen there

    def begin(self) -> None:
        self._batch = time.monotonic()

    def done(self) -> None:
        self._batch = None
        self.last_batch = time.time()
        self.beat()

    def beat(self) -> None:
        self._beat = time.monotonic()

    def waiting(self, step: str, reason: str) -> None:
        self._waiting = f"{step}: {reason}" if step else ""

    def state(self) -> tuple[bool, dict[str, Any]]:
        """(healthy, what the health route says)."""
        now, reasons = time.monotonic(), []
        if self._waiting:
            reasons.append(f"stuck: {self._waiting}")
        if self._batch is not None and now - self._batch > self._patience:
            reasons.append(f"stuck: a batch has been in work for {now - self._batch:.0f} s")
        elif now - self._beat > self._patience:
            reasons.append(f"stuck: nothing was looked at for {now - self._beat:.0f} s")
        reasons += [f"blind: {why}" for why in self.blind.values()]
        return not reasons, {"healthy": not reasons, "reasons": reasons[:20], "last_batch": self.last_batch}


@contextmanager
def serve(
    address: tuple[str, int], figures: Callable[[], bytes], health: Callable[[], tuple[bool, dict[str, Any]]]
) -> Iterator[str]:
    """Serve the two routes on a thread; gives their URL. Raises UsageError where the address cannot be had."""

    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE
        server_version, sys_version = "threatmatrix", ""

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, "text/plain; version=0.0.4; charset=utf-8", figures())
            elif self.path == "/healthz":
                healthy, state = health()
                self._answer(200 if healthy else 503, "application/json", json.dumps(state).encode() + b"\n")
            else:
                self._answer(404, "text/plain", b"/metrics or /healthz\n")

        def _answer(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Requests for figures are not worth a line."""

    try:
        server = _Bounded(address, Handler)
    except OSError as error:
        raise UsageError(
            f"{address[0]}:{address[1]}: figures cannot be served there ({error.strerror})",
            hint="Name another address with --metrics",
        ) from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://{address[0]}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Bounded(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._room = threading.BoundedSemaphore(_CLIENTS)
        super().__init__(address, handler)

    def process_request(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is nobody's concern."""
