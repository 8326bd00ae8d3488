"""The HTTP routes of the Open Inference Protocol v2 ("Inference Protocol HTTP/REST", ``required_api``)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Route", "parse_route"]

_ROUTE = re.compile(r"/v2(?:/health/(?P<probe>live|ready)|/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?"
                    r"(?P<verb>/infer|/ready)?)?")  # fmt: skip
_LONGEST_KEPT = 256
_SLASHES = re.compile(r"//+")


class Route(NamedTuple):
    """What a path asks for. ``operation``: infer, metadata, health or other; ``category`` as in ``model.event``."""

    category: str
    operation: str
    model: str | None = None
    version: str | None = None


_OTHER = Route("http", "other")


def parse_route(method: str, path: str) -> Route:
    """Method and decoded path → route. Doubled and trailing slashes do not make another route."""
    return _known(method, path) if len(path) <= _LONGEST_KEPT else _parse(method, path)


def _parse(method: str, path: str) -> Route:
    if "//" in path:
        path = _SLASHES.sub("/", path)
    found = _ROUTE.fullmatch(path.rstrip("/"))
    if found is None:
        return _OTHER
    model, version, verb = found["model"], found["version"], found["verb"]
    if verb == "/infer":
        kind = ("inference", "infer") if method == "POST" else ("http", "other")
        return Route(*kind, model, version)
    if found["probe"] or verb == "/ready":
        return Route("model_access", "health", model, version)
    return Route("model_access", "metadata", model, version)


_known = lru_cache(maxsize=1024)(_parse)  # a service has few paths; long ones are a client's play
