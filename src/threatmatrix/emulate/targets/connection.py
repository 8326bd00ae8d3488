"""One keep-alive HTTP connection without Nagle's delay, which never leaves loopback unless allowed."""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult

from threatmatrix.emulate.scope import is_loopback
from threatmatrix.model.errors import ScopeError, TargetError

__all__ = ["Connection", "RawAnswer", "RawRequest"]

MAX_ANSWER = 64 * 2**20
"""A longer answer is no answer: it would only fill the memory."""

QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)


@dataclass(frozen=True, slots=True)
class RawRequest:
    """One request as it goes out; ``path`` with its query."""

    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """Status, the Location header or an empty text, and the body."""

    status: int
    location: str
    body: bytes


class _Incoming(io.RawIOBase):
    """What comes in, until a moment: a target that answers byte by byte gets no more time than a silent one."""

    def __init__(self, sock: socket.socket, ends: float) -> None:
        self._sock = sock
        self._file = sock.makefile("rb", buffering=0)  # the socket stays open until this is closed
        self._ends = ends

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """A response whose whole reading ends in time."""

    def __init__(self, sock: socket.socket, method: str, ends: float) -> None:
        super().__init__(sock, method=method)
        whole, self.fp = self.fp, io.BufferedReader(_Incoming(sock, ends))
        whole.close()


class Connection:
    """Requests over one connection, opened again where the server closed it between two requests."""

    def __init__(self, url: SplitResult, *, timeout: float, allow_remote: bool) -> None:
        self._url = url
        self._timeout = timeout
        self._allow_remote = allow_remote
        self._open: http.client.HTTPConnection | None = None

    def request(self, request: RawRequest, charge: Callable[[], float]) -> RawAnswer:
        """Send one request; ``charge`` is called before each time that it goes out, and gives the seconds left for it.

        It goes out a second time only where a kept connection turned out to be closed. Raises TargetError
        where the server cannot be reached, is too slow or says no HTTP; ScopeError where it is not where
        its name said; never follows a redirect.
        """
        while True:
            fresh = self._open is None
            connection = self._open or self._connect()
            seconds = min(self._timeout, charge())
            try:
                return self._exchange(connection, request, seconds)
            except (ConnectionError, http.client.RemoteDisconnected) as e:
                self.close()
                if fresh:
                    raise self._failed(e) from e
            except (OSError, http.client.HTTPException) as e:
                self.close()
                raise self._failed(e) from e

    def _exchange(self, connection: http.client.HTTPConnection, request: RawRequest, seconds: float) -> RawAnswer:
        ends = time.monotonic() + seconds
        connection.sock.settimeout(seconds)
        connection.response_class = lambda sock, *rest, **named: _Response(sock, request.method, ends)  # type: ignore[assignment]
        connection.request(request.method, request.path, request.body, dict(request.headers))
        if QUICK_ACK is not None:  # a server that writes its answer in two parts waits for this
            connection.sock.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)
        response = connection.getresponse()
        content = response.read(MAX_ANSWER + 1)
        if len(content) > MAX_ANSWER:
            self.close()
            raise TargetError(f"the target's answer is longer than {MAX_ANSWER} bytes")
        if response.length:  # read(n) says nothing about a body that broke off
            raise http.client.IncompleteRead(content, response.length)
        return RawAnswer(response.status, response.getheader("location") or "", content)

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=self._timeout)
        try:
            self._look_up()
            connection.connect()
        except OSError as e:
            raise self._failed(e) from e
        peer = str(connection.sock.getpeername()[0])
        if not self._allow_remote and not is_loopback(peer):
            connection.close()
            raise self._elsewhere(peer)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open = connection
        return connection

    def _look_up(self) -> None:
        """Before anything is sent: every address of the name is loopback. Who answered in the end is asked again."""
        if self._allow_remote:
            return
        for *_, address in socket.getaddrinfo(self._url.hostname, self._url.port or 80, type=socket.SOCK_STREAM):
            if not is_loopback(str(address[0])):
                raise self._elsewhere(str(address[0]))

    def _elsewhere(self, address: str) -> ScopeError:
        return ScopeError(f"{self._url.hostname} is {address}, which is not loopback, and allow_remote is not set")

    def _failed(self, error: Exception) -> TargetError:
        why = str(error) or type(error).__name__
        return TargetError(f"the target at {self._url.netloc} did not answer: {why}", hint="Is it running?")
