"""A small ASGI application from a table of routes: JSON in, JSON out, no framework."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from threatmatrix.emulate.reference.offer import BadRequestError

__all__ = ["ASGIApp", "Asked", "Receive", "Routes", "Send", "routed"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MAX_BODY = 16 * 2**20
KEY_HEADERS = (b"x-api-key", b"authorization")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. ``user``: who sent it, by the hash of the key or as a proxy in front says; never the key itself."""

    body: bytes
    user: str

    def json(self) -> Any:
        """The body's content; raises BadRequestError."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise BadRequestError(f"the body is not JSON: {error}") from error


Handler = Callable[[Asked], Any]
Routes = Mapping[tuple[str, str], Handler]
"""(method, path) → handler: what it gives is sent as JSON; bytes are sent as they are."""


def routed(tables: Iterable[Routes], *, principal_header: str = "") -> ASGIApp:
    """An application of all tables together. ``principal_header``: where a gateway in front names the user."""
    routes: dict[tuple[str, str], Handler] = {}
    for table in tables:
        routes |= table
    methods: dict[str, list[str]] = {}
    for method, path in routes:
        methods.setdefault(path, []).append(method)

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        method, path = ("GET" if scope["method"] == "HEAD" else scope["method"]), scope["path"]
        handler = routes.get((method, path))
        if handler is None:
            allowed = methods.get(path)
            missing = (405, f"only {' and '.join(allowed)} is allowed") if allowed else (404, "no such route or model")
            await _reply(send, missing[0], {"error": missing[1]})
            return
        try:
            body = await _read_body(receive) if method != "GET" else b""
            content = handler(Asked(body, _user(scope.get("headers") or (), principal_header)))
        except BadRequestError as error:
            await _reply(send, 400, {"error": str(error)})
        else:
            await _reply(send, 200, content)

    return app


def _user(headers: Iterable[tuple[bytes, bytes]], principal_header: str) -> str:
    found = {name.lower(): value for name, value in headers}
    named = found.get(principal_header.lower().encode("latin-1"), b"") if principal_header else b""
    if named:
        return named.decode("latin-1")
    key = next((found[name].split(b" ")[-1] for name in KEY_HEADERS if name in found), b"")
    return hashlib.sha256(key).hexdigest()


async def _reply(send: Send, status: int, content: Any) -> None:
    plain = isinstance(content, bytes)
    body = content if plain else json.dumps(content, separators=(",", ":")).encode()
    kind = b"text/plain; charset=utf-8" if plain else b"application/json"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequestError("the client went away")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise BadRequestError(f"the body is longer than {MAX_BODY} bytes")
        if not message.get("more_body"):
            return b"".join(parts)
