"""The HTTP routes of the Open Inference Protocol v2 ("Inference Protocol HTTP/REST", ``required_api``)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

__all__ = ["WEBSOCKET", "Route", "parse_route"]

WEBSOCKET = "(websocket)"  # in place of a method; no HTTP method can be written so

_NAME = r"[^/\x00-\x1f\x7f-\x9f]+"
_ROUTE = re.compile(
    r"/v2(?:/health/(?P<probe>live|ready)"
    rf"|/models/(?P<model>{_NAME})(?:/versions/(?P<version>{_NAME}))?(?P<verb>/infer|/ready)?)?"
)
# Where a server may offer inference, or a change of its models, by other means than the protocol's: its extensions
# (generate, repository) and the older TensorFlow Serving API. Servers differ in case, so this does not mind it.
_PERHAPS = re.compile(r"/(?:v1/models|v2/models|v2/repository)(?:/.*)?", re.IGNORECASE | re.DOTALL)
_PERHAPS_OF = re.compile(
    rf"/v2/models/(?P<v2>{_NAME}?)(?:/versions/{_NAME})?/{_NAME}|/v2/repository/models/(?P<repository>{_NAME})/{_NAME}"
    r"|/v1/models/(?P<v1>[^/:\x00-\x1f\x7f-\x9f]+)(?:/versions/[^/:]+)?:[^/:]+",
    re.IGNORECASE,
)
# Users' reports, from which a model learns: they ask nothing, so that no budget and no control stands against them.
_FEEDBACK = re.compile(rf"/v2/models/(?P<model>{_NAME})/feedback")
_READS = ("GET", "HEAD")
_LONGEST_KEPT = 256
_DECODINGS = 8  # a path encoded more often than that is not understood


class Route(NamedTuple):
    """What a path asks for. ``operation``: infer, metadata, health or other; ``category`` as in ``model.event``.

    ``unread``: it may be an inference, and the gateway cannot read it; then ``model`` is what the path most likely
    names, None if it may be any.
    """

    category: str
    operation: str
    model: str | None = None
    version: str | None = None
    unread: bool = False


_OTHER = Route("http", "other")


def parse_route(method: str, path: str) -> Route:
    """Method and decoded path → route.

    What servers and proxies may read as the same path is the same route: doubled and trailing slashes, dot segments,
    characters that are percent-encoded once more. An ``/infer`` is an inference by any method.
    """
    return _known(method, path) if len(path) <= _LONGEST_KEPT else _parse(method, path)


def _parse(method: str, sent: str) -> Route:
    path = _normal(sent)
    reads = method.upper() in _READS
    feedback = _FEEDBACK.fullmatch(path)
    if feedback is not None:
        return Route("http", "other", feedback["model"])
    found = _ROUTE.fullmatch(path)
    if found is None:
        return _OTHER if reads or not _PERHAPS.fullmatch(path) else _unread(path)
    model, version, verb = found["model"], found["version"], found["verb"]
    if verb == "/infer":
        return Route("inference", "infer", model, version, method == WEBSOCKET)
    if found["probe"] and path != sent.rstrip("/"):
        return _OTHER  # probes pass every block: only what every server reads as a probe is one
    if model is not None and not reads and ":" in path:
        return _unread(path)  # a verb of the older API?
    operation = "health" if found["probe"] or verb == "/ready" else "metadata"
    return Route("model_access", operation, model, version, model is not None and not reads)


def _unread(path: str) -> Route:
    found = _PERHAPS_OF.fullmatch(path)
    model = (found["v2"] or found["repository"] or found["v1"]) if found else None
    return Route("http", "other", model, None, True)


def _normal(path: str) -> str:
    """The path without a percent-encoding, empty segments and dot segments (RFC 3986, section 5.2.4)."""
    for _ in range(_DECODINGS if "%" in path else 0):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept)


_known = lru_cache(maxsize=1024)(_parse)  # a service has few paths; long ones are a client's play
