"""From what the gateway saw of a request to its log lines, and the counters."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from threatmatrix.gateway.config import GatewayConfig
from threatmatrix.gateway.decide import Decision
from threatmatrix.gateway.http import Scope
from threatmatrix.gateway.log import FORMAT_VERSION, LogWriter, RowFields, clean, lines, quote
from threatmatrix.gateway.outputs import InferAnswer
from threatmatrix.gateway.principal import Principals
from threatmatrix.gateway.routes import WEBSOCKET, Route, parse_route
from threatmatrix.telemetry.inputs.fingerprint import Fingerprinter
from threatmatrix.telemetry.inputs.keys import derive_key
from threatmatrix.telemetry.inputs.oip import InferRequest, encode

__all__ = ["Recorder", "Seen", "Stats", "Watcher"]

_log = logging.getLogger("threatmatrix.gateway")
_HTTP_ERROR = 400
_HEX = frozenset(b"0123456789abcdef")


@dataclass(slots=True)
class Stats:
    """Counters since the gateway started."""

    allowed: int = 0  # requests that went on to the application
    denied: int = 0  # requests refused: blocked, budget exhausted, malformed, too large
    rows: int = 0  # inference rows read, of allowed and denied requests
    policy_errors: int = 0  # policy files not taken over
    clipped: int = 0  # vector components outside the int8 range
    unparsed: int = 0  # inference requests and answers that could not be read
    log_errors: int = 0  # log writes that failed


class Seen(NamedTuple):
    """A request as it came in. ``number`` counts requests; ``head`` opens its log lines.

    ``own_ref`` is made here and the base of event ids: whatever ``request_ref`` a proxy or a client sends, they differ.
    """

    started: float
    time: int
    number: int
    own_ref: str
    request_ref: str
    principal: str
    conflict: bool
    route: Route
    headers: dict[bytes, bytes]
    head: str


class Watcher:
    """Gives each request its time, its id and its principal."""

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config
        self._principals = Principals(config)
        self._session = config.session_header.lower().encode("latin-1")
        self._request_id = config.request_id_header.lower().encode("latin-1")
        self._number = 0
        self._run = ""

    def _next_ref(self) -> tuple[int, str]:
        number = self._number
        self._number += 1
        if not self._run:  # at the first request, so that forked workers do not share it
            seed = self._config.seed
            self._run = (os.urandom(8) if seed is None else derive_key(self._config.secret, f"run/{seed}")[:8]).hex()
        return number, f"{self._run}{number:08x}"

    def see(self, scope: Scope) -> Seen:
        """Look at an http or websocket scope."""
        started = time.perf_counter()
        pairs = scope["headers"]
        headers = dict(pairs)
        path: str = scope["path"]
        root = scope.get("root_path")
        method: str = scope.get("method", "GET")
        asked = WEBSOCKET if scope["type"] == "websocket" else method
        route = parse_route(asked, path[len(root) :] if root and path.startswith(root) else path)
        event_time = self._config.clock(pairs)
        principal, conflict = self._principals.of(pairs, event_time)
        number, ref = self._next_ref()
        client = scope.get("client")
        head = _head(
            self._config.system,
            self._config.tenant,
            route,
            principal,
            client[0] if client else None,
            _header(headers, b"user-agent"),
            clean(method),
            clean(path),
            _header(headers, self._session),
        )
        handed_on = _header(headers, self._request_id) or ref
        return Seen(started, event_time, number, ref, handed_on, principal, conflict, route, headers, head)


@lru_cache(maxsize=1024)
def _head(  # noqa: PLR0917  all hashable, for the cache
    system: str,
    tenant: str | None,
    route: Route,
    principal: str,
    src_ip: str | None,
    user_agent: str | None,
    method: str,
    endpoint: str,
    session: str | None,
) -> str:
    """JSON, without its last brace, of what a client's requests to one endpoint share."""
    common = {
        "v": FORMAT_VERSION,
        "category": route.category,
        "operation": route.operation,
        "system": system,
        "tenant": tenant,
        "principal": principal,
        "src_ip": src_ip,
        "user_agent": user_agent,
        "method": method,
        "endpoint": endpoint,
        "model": route.model and clean(route.model),
        "model_version": route.version and clean(route.version),
        "session": session,
    }
    return encode({key: value for key, value in common.items() if value is not None})[:-1]


def _header(headers: dict[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return clean(value.decode("latin-1")) if value else None


def _trace_id(headers: dict[bytes, bytes]) -> str | None:
    """The trace id of a W3C ``traceparent`` header: version-traceid-parentid-flags."""
    given = headers.get(b"traceparent")
    if given is None:
        return None
    parts = given.split(b"-")
    if len(parts) < 4 or len(parts[1]) != 32 or not _HEX.issuperset(parts[1]):
        return None
    return parts[1].decode()


class Recorder:
    """Writes the lines of one request at a time. A failing disk is counted, and never stops the service."""

    def __init__(self, config: GatewayConfig, stats: Stats) -> None:
        self._stats = stats
        self._fingerprints = _fingerprinter(config, config.secret)
        previous = config.previous_secret
        self._before = None if previous is None else _fingerprinter(config, previous)
        self._until = config.previous_until
        self.writer = LogWriter(config.log_path)

    def one(self, seen: Seen, decision: Decision, status: int | None, input_bytes: int | None = None) -> None:
        """One line: a request that is no inference, or whose rows could not be read."""
        self._finish(seen, decision, status, "" if input_bytes is None else f',"input_bytes":{input_bytes}', None)

    def rows(
        self,
        seen: Seen,
        decision: Decision,
        status: int | None,
        request: InferRequest,
        answer: InferAnswer | None = None,
    ) -> None:
        """One line for each row of an inference request that went on to the application."""
        self._stats.rows += request.rows
        tensors = request.by_name
        build = decision.allow and status is not None and status < _HTTP_ERROR
        vectors = self._fingerprints.vectors(tensors, build=build)
        extra = f',"input_bytes":{request.row_size}'
        if vectors is not None:
            self._stats.clipped += vectors.clipped
            extra += f',"vec_scale":{self._fingerprints.scale!r},"vec_key":"{vectors.key}"'
        before = self._before if seen.time < self._until else None
        vectors_before = before.vectors(tensors, build=build) if before is not None else None
        if vectors_before is not None:
            extra += f',"vec_key_prev":"{vectors_before.key}"'
        fields = RowFields(
            request.rows,
            self._fingerprints.hashes(tensors, request.rows),
            vectors.encoded if vectors else None,
            answer.labels if answer else None,
            answer.scores if answer else None,
            before.hashes(tensors, request.rows) if before is not None else None,
            vectors_before.encoded if vectors_before else None,
        )
        self._finish(seen, decision, status, extra, fields)

    def refused(self, seen: Seen, decision: Decision, request: InferRequest) -> None:
        """One line for a refused inference, of its first row: a blocked client must not fill the disk."""
        self._stats.rows += request.rows
        first = request.first()
        (fingerprint,) = self._fingerprints.hashes(first.by_name, 1)
        extra = f',"input_bytes":{first.row_size},"rows":{request.rows},"row":0,"input_fp":"{fingerprint}"'
        if self._before is not None and seen.time < self._until:
            (fingerprint,) = self._before.hashes(first.by_name, 1)
            extra += f',"input_fp_prev":"{fingerprint}"'
        self._finish(seen, decision, decision.status, extra, None)

    def _finish(self, seen: Seen, decision: Decision, status: int | None, extra: str, fields: RowFields | None) -> None:
        if decision.allow:
            self._stats.allowed += 1
        else:
            self._stats.denied += 1
        latency = (time.perf_counter() - seen.started) * 1000
        word = "allow" if decision.allow else "deny"
        head = f'{seen.head},"time":{seen.time},"request_ref":{quote(seen.request_ref)}{extra}'
        head += f',"latency_ms":{latency:.3f},"decision":"{word}"'
        if status is not None:
            head += f',"status":{status}'
        if decision.policy_ref is not None:
            head += f',"policy_ref":{quote(decision.policy_ref)}'
        trace = _trace_id(seen.headers)
        if trace is not None:
            head += f',"trace_id":"{trace}"'
        try:
            self.writer.write(lines(head, seen.own_ref, fields))
        except OSError as error:
            self._stats.log_errors += 1
            _log.error("log lines of request %s are lost: %s", seen.own_ref, error)


def _fingerprinter(config: GatewayConfig, secret: bytes) -> Fingerprinter:
    return Fingerprinter(
        derive_key(secret, "fingerprint"),
        dims=config.vec_dims,
        scale=config.vec_scale,
        input_range=config.input_range,
    )
