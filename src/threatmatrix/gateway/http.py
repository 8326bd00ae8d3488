"""The small part of ASGI that the gateway needs: read a body, hand it on, hold an answer back, refuse."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from threatmatrix.telemetry.inputs.oip import encode

__all__ = [
    "App",
    "BodyTooLarge",
    "Disconnected",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "read_body",
    "replayed",
    "send_json",
    "with_header",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
_RawHeaders = list[tuple[bytes, bytes]]


class Disconnected(Exception):
    """The client went away before its request was whole."""


class BodyTooLarge(Exception):
    """The request's body is larger than allowed."""


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole request body. Raises ``BodyTooLarge`` beyond ``limit`` bytes, ``Disconnected``."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise BodyTooLarge
        if not message.get("more_body", False):
            return b"".join([*parts, part]) if parts else part
        parts.append(part)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives ``body`` once and then whatever the server says (a disconnect)."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def with_header(headers: Any, name: bytes, value: bytes | None) -> _RawHeaders:
    """The headers with ``name`` set to ``value`` (None: removed)."""
    kept = [(key, old) for key, old in headers if key.lower() != name]
    return kept if value is None else [*kept, (name, value)]


async def send_json(send: Send, status: int, content: dict[str, Any], extra: _RawHeaders | None = None) -> None:
    """Answer with a small JSON document."""
    body = encode(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *(extra or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
