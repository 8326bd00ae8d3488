"""Messages to where they go: a syslog server over UDP or TCP, or a file."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from threatmatrix.model.errors import InputError
from threatmatrix.telemetry.out.syslog import framed

__all__ = ["send"]

_SECONDS = 10.0
_DATAGRAM = 65_507  # octets: the most that IPv4 carries
_HINT = "Write udp://host:port, tcp://host:port, or the path of a file"


def send(messages: Iterable[str], to: str) -> int:
    """Send each message; returns how many. ``to``: ``udp://host:port``, ``tcp://host:port`` (octet counting), a path.

    A file is appended to, a line each, and on disk when this returns. UDP and TCP syslog have no receipt: that a
    message was sent does not say that it arrived. Raises InputError, which says how many had been sent.
    """
    scheme, found, _ = to.partition("://")
    if not found:
        return _append(messages, Path(to))
    host, port = _address(to)
    if scheme == "udp":
        return _udp(messages, to, host, port)
    if scheme == "tcp":
        return _tcp(messages, to, host, port)
    raise InputError(to, "is no place that messages can be sent to", hint=_HINT)


def _address(to: str) -> tuple[str, int]:
    try:
        parts = urlsplit(to)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.path not in {"", "/"} or parts.query or parts.username:
        raise InputError(to, "is not a host and a port", hint=_HINT)
    return host, port


def _udp(messages: Iterable[str], to: str, host: str, port: int) -> int:
    sent = 0
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, proto) as sock:
            sock.connect(address)  # so that a port nobody listens on is told, where the network tells it
            for message in messages:
                raw = message.encode()
                if len(raw) > _DATAGRAM:
                    hint = "Send it over TCP, or make messages with a smaller limit"
                    raise InputError(to, f"a message has {len(raw):,} octets; {sent:,} were sent", hint=hint)
                sock.send(raw)
                sent += 1
    except OSError as error:
        raise _failed(to, error, sent) from error
    return sent


def _tcp(messages: Iterable[str], to: str, host: str, port: int) -> int:
    sent = 0
    try:
        with socket.create_connection((host, port), timeout=_SECONDS) as sock:
            for message in messages:
                sock.sendall(framed(message))
                sent += 1
            sock.shutdown(socket.SHUT_WR)
    except OSError as error:
        raise _failed(to, error, sent) from error
    return sent


def _append(messages: Iterable[str], path: Path) -> int:
    sent = 0
    try:
        with path.open("ab") as file:
            for message in messages:
                file.write(message.replace("\n", "␊").encode() + b"\n")
                sent += 1
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _failed(str(path), error, sent) from error
    return sent


def _failed(to: str, error: OSError, sent: int) -> InputError:
    what = error.strerror or type(error).__name__
    hint = (
        "Check the address, and that the receiver listens and accepts; what was sent before is not sent again by itself"
    )
    return InputError(to, f"messages could not be sent: {what}; {sent:,} were sent", hint=hint)
