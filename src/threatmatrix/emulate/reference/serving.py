"""Serve a model over the Open Inference Protocol v2: a pure ASGI application, no framework.

Routes: ``GET /v2``, ``/v2/health/live``, ``/v2/health/ready``, ``/v2/models/{name}``,
``/v2/models/{name}/ready``, ``POST /v2/models/{name}/infer`` (and ``/versions/1/…``). Output ``label``
is INT64 (n,), ``scores`` FP64 (n, classes); a request's ``outputs`` selects.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import numpy as np

from threatmatrix.emulate.reference.mlp import MLP, FloatArray

__all__ = ["ASGIApp", "listen", "oip_app"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MAX_BODY = 16 * 2**20
FLOATS = ("FP16", "FP32", "FP64")
INPUT = "input"


def listen(port: int = 0) -> socket.socket:
    """A listening socket on 127.0.0.1 without Nagle's delay, for ``uvicorn.Server.run(sockets=[…])``.

    asyncio switches the delay off only for sockets that were made with the protocol number of TCP, which
    ``socket.create_server`` does not give: answers in two writes would then take 40 ms each.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


class _BadRequestError(Exception):
    """What the client sent wrongly; the message goes back to it."""


def oip_app(name: str, model: MLP) -> ASGIApp:
    """An ASGI application that serves ``model`` as ``/v2/models/{name}``."""
    return _OIPApp(name, model)


class _OIPApp:
    def __init__(self, name: str, model: MLP) -> None:
        self._model = model
        self._name = name
        base = f"/v2/models/{name}"
        card = {
            "name": name, "versions": ["1"], "platform": "numpy_mlp",
            "inputs": [{"name": INPUT, "datatype": "FP64", "shape": [-1, model.inputs]}],
            "outputs": [
                {"name": "label", "datatype": "INT64", "shape": [-1]},
                {"name": "scores", "datatype": "FP64", "shape": [-1, model.classes]},
            ],
        }  # fmt: skip
        self._reads: dict[str, Any] = {
            "/v2": {"name": "threatmatrix-reference", "version": "2", "extensions": []},
            "/v2/health/live": {"live": True},
            "/v2/health/ready": {"ready": True},
            base: card, f"{base}/versions/1": card,
            f"{base}/ready": {"name": name, "ready": True}, f"{base}/versions/1/ready": {"name": name, "ready": True},
        }  # fmt: skip
        self._infers = (f"{base}/infer", f"{base}/versions/1/infer")

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status, content = await self._answer(scope["method"], scope["path"], receive)
        body = json.dumps(content, separators=(",", ":")).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, method: str, path: str, receive: Receive) -> tuple[int, Any]:
        reads = method in ("GET", "HEAD")
        if path in self._reads:
            return (200, self._reads[path]) if reads else (405, {"error": "only GET is allowed"})
        if path not in self._infers:
            return 404, {"error": "no such route or model"}
        if method != "POST":
            return 405, {"error": "only POST is allowed"}
        try:
            return 200, self._infer(await _read_body(receive))
        except _BadRequestError as e:
            return 400, {"error": str(e)}

    def _infer(self, body: bytes) -> dict[str, Any]:
        try:
            request = json.loads(body)
            (tensor,) = request["inputs"]  # an input that is ignored could hide the one that counts from a gateway
            wanted = [output["name"] for output in request.get("outputs") or ()] or ["label", "scores"]
            x = self._rows(tensor)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as e:
            raise _BadRequestError(f"not an inference request: {type(e).__name__}: {e}") from e
        if not set(wanted) <= {"label", "scores"}:
            raise _BadRequestError("outputs are label and scores")
        scores = self._model.scores(x)
        outputs = []
        if "label" in wanted:
            labels = np.argmax(scores, axis=1).tolist()
            outputs.append({"name": "label", "datatype": "INT64", "shape": [len(x)], "data": labels})
        if "scores" in wanted:
            data = scores.ravel().tolist()
            outputs.append({"name": "scores", "datatype": "FP64", "shape": list(scores.shape), "data": data})
        answer = {"model_name": self._name, "model_version": "1", "outputs": outputs}
        return answer | ({"id": request["id"]} if isinstance(request.get("id"), str) else {})

    def _rows(self, tensor: dict[str, Any]) -> FloatArray:
        if tensor["name"] != INPUT:
            raise ValueError(f"the only input is {INPUT}")
        if tensor["datatype"] not in FLOATS:
            raise ValueError(f"datatype must be one of {', '.join(FLOATS)}")
        shape = tensor["shape"]
        x = np.asarray(tensor["data"], dtype=np.float64).reshape(shape[0], self._model.inputs)
        if int(np.prod(shape)) != x.size or not len(x):
            raise ValueError(f"shape must be [n, {self._model.inputs}] with n of at least 1")
        if not np.all(np.isfinite(x)):
            raise ValueError("data must be finite")
        return x


async def _read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _BadRequestError("the client went away")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise _BadRequestError(f"the body is longer than {MAX_BODY} bytes")
        if not message.get("more_body"):
            return b"".join(parts)
