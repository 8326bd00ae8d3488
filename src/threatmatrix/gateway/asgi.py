"""The gateway as pure ASGI middleware around an Open Inference Protocol v2 application.

::

    app = Gateway(app, GatewayConfig(system="digits", log_path=…, policy_path=…, secret=…))

For each request: who, what → policy → refuse (403, 429, 400, 413), or noise → application → output controls → log
→ answer. docs/gateway.md tells an operator the rest.
"""

from __future__ import annotations

import os

from threatmatrix.gateway.answer import HeldAnswer
from threatmatrix.gateway.body import read_request
from threatmatrix.gateway.config import GatewayConfig
from threatmatrix.gateway.controls import NoiseSource, add_noise
from threatmatrix.gateway.decide import ALLOW, BudgetMeter, Decision, decide, decide_unread
from threatmatrix.gateway.http import (
    App,
    BodyTooLarge,
    Disconnected,
    Message,
    Receive,
    Scope,
    Send,
    read_body,
    replayed,
    send_json,
    with_header,
)
from threatmatrix.gateway.policy import PolicyFile
from threatmatrix.gateway.record import Recorder, Seen, Stats, Watcher
from threatmatrix.telemetry.inputs.keys import derive_key
from threatmatrix.telemetry.inputs.oip import BodyProblem, InferRequest

__all__ = ["Gateway"]

_BAD, _FORBIDDEN, _TOO_LARGE, _TOO_MANY = 400, 403, 413, 429
_DENIED_BODY = 64 * 1024  # a blocked client's larger body is not read: refusing must stay cheap
_POLICY_VIOLATION = 1008  # RFC 6455 section 7.4.1


class Gateway:
    """ASGI middleware: enforces the policy snapshot and logs every request. ``stats`` counts.

    Not thread-safe; one per event loop. Several processes may share one log file and one policy file; each
    counts query budgets by itself. Raises ``InputError`` if the log cannot be opened.
    """

    def __init__(self, app: App, config: GatewayConfig) -> None:
        self.app = app
        self.config = config
        self.stats = Stats()
        self._policy = PolicyFile(config.policy_path, config.policy_poll_seconds)
        self._budgets = BudgetMeter()
        self._inputs = {model: dict(tensors) for model, tensors in (config.inputs or {}).items()}
        self._watcher = Watcher(config)
        self._recorder = Recorder(config, self.stats)
        label = f"noise/{config.seed}"
        self._noise = NoiseSource(os.urandom(32) if config.seed is None else derive_key(config.secret, label))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        seen = self._watcher.see(scope)
        if scope["type"] == "websocket":
            await self._websocket(seen, scope, receive, send)
        elif seen.conflict:
            await self._refuse(seen, Decision(False, _BAD), send, error="more than one API key in one request")
        elif seen.route.operation == "infer":
            await self._infer(seen, scope, receive, send)
        else:
            await self._other(seen, scope, receive, send)

    def reopen_log(self) -> None:
        """Go on in a new log file after the old one was renamed (log rotation)."""
        self._recorder.writer.reopen()

    def close(self) -> None:
        """Close the log file."""
        self._recorder.writer.close()

    def _decide(self, seen: Seen, rows: int) -> Decision:
        policy = self._policy.current()
        self.stats.policy_errors = self._policy.errors
        if seen.route.operation == "health" and seen.route.model is None:
            return ALLOW  # an orchestrator would kill a service whose probes are refused
        model = seen.route.model
        if seen.route.unread:
            return decide_unread(policy, principal=seen.principal, model=model, now=seen.time)
        return decide(policy, self._budgets, principal=seen.principal, model=model, rows=rows, now=seen.time)

    async def _other(self, seen: Seen, scope: Scope, receive: Receive, send: Send) -> None:
        decision = self._decide(seen, 0)
        if not decision.allow:
            await self._refuse(seen, decision, send, error="this method and path cannot be used here")
            return
        recorded = False

        async def logged(message: Message) -> None:
            nonlocal recorded
            if message["type"] == "http.response.start" and not recorded:
                recorded = True
                self._recorder.one(seen, decision, message["status"])
            await send(message)

        status: int | None = 500
        try:
            await self.app(scope, receive, logged)
            status = None
        finally:
            if not recorded:
                self._recorder.one(seen, decision, status)

    async def _websocket(self, seen: Seen, scope: Scope, receive: Receive, send: Send) -> None:
        decision = Decision(False, _BAD) if seen.conflict else self._decide(seen, 0)
        self._recorder.one(seen, decision, None if decision.allow else _FORBIDDEN)
        if decision.allow:
            await self.app(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})

    async def _infer(self, seen: Seen, scope: Scope, receive: Receive, send: Send) -> None:
        # what could be large is judged before it is read, all else once, when it is whole
        early = ALLOW if 0 < _declared_length(seen) <= _DENIED_BODY else self._decide(seen, 0)
        limit = self.config.max_body_bytes if early.allow else min(_DENIED_BODY, self.config.max_body_bytes)
        try:
            if _declared_length(seen) > limit:
                raise BodyTooLarge
            body = await read_body(receive, limit)
        except BodyTooLarge:
            self.stats.unparsed += 1
            decision = Decision(False, _TOO_LARGE) if early.allow else early
            await self._refuse(seen, decision, send, error=f"the body is larger than {limit} bytes")
            return
        except Disconnected:
            self._recorder.one(seen, early, None)
            return
        request, problem = self._parse(seen, body)
        malformed = problem is not None and not problem.opaque
        decision = self._decide(seen, request.rows if request else int(not malformed))
        if not decision.allow:
            await self._refuse(seen, decision, send, request=request, size=len(body))
        elif problem is not None and (malformed or decision.needs_rows):
            refusal = Decision(False, _BAD, decision.policy_ref)
            await self._refuse(seen, refusal, send, error=str(problem), size=len(body))
        else:
            await self._forward(seen, decision, request, body, (scope, receive, send))

    def _parse(self, seen: Seen, body: bytes) -> tuple[InferRequest | None, BodyProblem | None]:
        declared = self._inputs.get(seen.route.model or "")
        try:
            return read_request(body, seen.headers, max_rows=self.config.max_rows, declared=declared), None
        except BodyProblem as problem:
            self.stats.unparsed += 1
            return None, problem

    def _texts_only(self, seen: Seen) -> bool:
        """Whether the model is declared to take texts alone: then there is nothing that noise could be added to."""
        declared = self._inputs.get(seen.route.model or "")
        return declared is not None and not any(declared.values())

    async def _forward(
        self,
        seen: Seen,
        decision: Decision,
        request: InferRequest | None,
        body: bytes,
        connection: tuple[Scope, Receive, Send],
    ) -> None:
        scope, receive, send = connection
        size = len(body)
        headers = scope["headers"]
        if decision.sigma and request is not None and not self._texts_only(seen):
            try:
                body = add_noise(request, decision.sigma, self._noise, seen.number, self.config.input_range)
            except BodyProblem as problem:
                refusal = Decision(False, _BAD, decision.policy_ref)
                await self._refuse(seen, refusal, send, error=str(problem), request=request)
                return
            headers = with_header(headers, b"content-length", b"%d" % len(body))
        if b"accept-encoding" in seen.headers:  # an answer compressed within could be neither read nor controlled
            headers = with_header(headers, b"accept-encoding", None)
        # no extensions: a body sent as a file path would pass unread
        inner = {**scope, "headers": headers, "extensions": {}}
        held = HeldAnswer(
            config=self.config,
            recorder=self._recorder,
            stats=self.stats,
            seen=seen,
            decision=decision,
            request=request,
            input_bytes=size,
            send=send,
        )
        failed = True
        try:
            await self.app(inner, replayed(body, receive), held.send)
            failed = False
        finally:
            held.close(failed=failed)

    async def _refuse(
        self,
        seen: Seen,
        decision: Decision,
        send: Send,
        *,
        error: str = "",
        request: InferRequest | None = None,
        size: int | None = None,
    ) -> None:
        """Log, then answer. The answer never says what was noticed, only the id of the policy entry."""
        if request is not None:
            self._recorder.refused(seen, decision, request)
        else:
            self._recorder.one(seen, decision, decision.status, size)
        extra = None
        if decision.status == _FORBIDDEN:
            error = "refused by policy"
        elif decision.status == _TOO_MANY:
            error = "query budget exhausted"
            extra = [(b"retry-after", b"%d" % decision.retry_after)]
        content = {"error": error}
        if decision.status in (_FORBIDDEN, _TOO_MANY) and decision.policy_ref:
            content["policy"] = decision.policy_ref
        await send_json(send, decision.status, content, extra)


def _declared_length(seen: Seen) -> int:
    """The content-length header, 0 if there is none that can be read."""
    value = seen.headers.get(b"content-length", b"")
    return int(value) if value.isdigit() and len(value) < 19 else 0
