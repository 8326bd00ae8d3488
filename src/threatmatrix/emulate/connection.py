"""One keep-alive HTTP connection without Nagle's delay, which never leaves loopback unless allowed."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult

from threatmatrix.emulate.scope import is_loopback
from threatmatrix.model.errors import ScopeError, TargetError

__all__ = ["Connection", "RawAnswer"]

MAX_ANSWER = 64 * 2**20
"""A longer answer is no answer: it would only fill the memory."""


QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """Status, the Location header or an empty text, and the body."""

    status: int
    location: str
    body: bytes


class Connection:
    """Requests over one connection, opened again where the server closed it between two requests."""

    def __init__(self, url: SplitResult, *, timeout: float, allow_remote: bool) -> None:
        self._url = url
        self._timeout = timeout
        self._allow_remote = allow_remote
        self._open: http.client.HTTPConnection | None = None

    def request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], charge: Callable[[], None]
    ) -> RawAnswer:
        """Send one request; ``charge`` is called before each time that it goes out.

        It goes out a second time only where a kept connection turned out to be closed. Raises TargetError
        where the server cannot be reached, is too slow or says no HTTP; ScopeError where it is not where
        its name said; never follows a redirect.
        """
        while True:
            fresh = self._open is None
            connection = self._open or self._connect()
            charge()
            try:
                connection.request(method, path, body, dict(headers))
                if QUICK_ACK is not None:  # a server that writes its answer in two parts waits for this
                    connection.sock.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)
                response = connection.getresponse()
                content = response.read(MAX_ANSWER + 1)
            except (ConnectionError, http.client.RemoteDisconnected) as e:
                self.close()
                if fresh:
                    raise self._failed(e) from e
                continue
            except (OSError, http.client.HTTPException) as e:
                self.close()
                raise self._failed(e) from e
            if len(content) > MAX_ANSWER:
                self.close()
                raise TargetError(f"the target's answer is longer than {MAX_ANSWER} bytes")
            return RawAnswer(response.status, response.getheader("location") or "", content)

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=self._timeout)
        try:
            connection.connect()
        except OSError as e:
            raise self._failed(e) from e
        peer = str(connection.sock.getpeername()[0])
        if not self._allow_remote and not is_loopback(peer):
            connection.close()
            raise ScopeError(f"{self._url.hostname} is {peer}, which is not loopback, and allow_remote is not set")
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open = connection
        return connection

    def _failed(self, error: Exception) -> TargetError:
        why = str(error) or type(error).__name__
        return TargetError(f"the target at {self._url.netloc} did not answer: {why}", hint="Is it running?")
