"""An inference answer, held back until it is whole: read, controlled, logged, and only then sent.

The log line is written before the client has the answer, so whoever has it can already find it in the log.
"""

from __future__ import annotations

from threatmatrix.gateway.config import GatewayConfig
from threatmatrix.gateway.controls import keep_label, round_scores
from threatmatrix.gateway.decide import Decision
from threatmatrix.gateway.http import Message, Send, send_json, with_header
from threatmatrix.gateway.outputs import InferAnswer, parse_answer, read_outputs
from threatmatrix.gateway.record import Recorder, Seen, Stats
from threatmatrix.telemetry.inputs.oip import BodyProblem, InferRequest, encode

__all__ = ["HeldAnswer"]

_UNREADABLE = 502
_FAILED = 500


class HeldAnswer:
    """The ``send`` that the application gets for an inference request."""

    def __init__(
        self,
        *,
        config: GatewayConfig,
        recorder: Recorder,
        stats: Stats,
        seen: Seen,
        decision: Decision,
        request: InferRequest | None,
        input_bytes: int,
        send: Send,
    ) -> None:
        self._config = config
        self._recorder = recorder
        self._stats = stats
        self._seen = seen
        self._decision = decision
        self._request = request
        self._input_bytes = input_bytes
        self._send = send
        self._start: Message | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._recorded = False
        self._passing = False  # too large to hold: what follows goes straight on

    async def send(self, message: Message) -> None:
        """One ASGI message from the application."""
        kind = message["type"]
        if self._passing:
            await self._send(message)
        elif self._recorded:
            return  # the answer was replaced; the rest of the original is dropped
        elif kind == "http.response.start":
            self._start = message
        elif kind == "http.response.body" and self._start is not None:
            part: bytes = message.get("body", b"")
            self._parts.append(part)
            self._size += len(part)
            more = message.get("more_body", False)
            if self._size > self._config.max_answer_bytes:
                await self._too_large(self._start, more)
            elif not more:
                await self._whole(self._start, b"".join(self._parts))

    def close(self, *, failed: bool) -> None:
        """The application has returned or raised: log it if no answer was."""
        if self._recorded:
            return
        self._record(_FAILED if failed else self._start["status"] if self._start else None, None)

    def _record(self, status: int | None, answer: InferAnswer | None) -> None:
        self._recorded = True
        if self._request is None:
            self._recorder.one(self._seen, self._decision, status, self._input_bytes)
        else:
            self._recorder.rows(self._seen, self._decision, status, self._request, answer)

    async def _whole(self, start: Message, body: bytes) -> None:
        if self._request is None or not 200 <= start["status"] < 300:
            self._record(start["status"], None)
        else:
            try:
                answer = parse_answer(
                    body, self._request.rows, label=self._config.label_output, scores=self._config.scores_output
                )
                if self._decision.controls_output:
                    answer = self._control(answer, self._request.rows)
                    body = encode(answer.document).encode()
            except BodyProblem:
                self._stats.unparsed += 1
                if self._decision.controls_output:
                    await self._replace()
                    return
                answer = None
            self._record(start["status"], answer)
        if self._decision.controls_output:
            start = {**start, "headers": with_header(start.get("headers", ()), b"content-length", b"%d" % len(body))}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    def _control(self, answer: InferAnswer, rows: int) -> InferAnswer:
        label, scores = self._config.label_output, self._config.scores_output
        document = answer.document
        if self._decision.top1:
            document = keep_label(document, rows, answer.labels, label)
        elif self._decision.decimals is not None:
            document = round_scores(document, self._decision.decimals)
        return read_outputs(document, rows, label, scores)

    async def _too_large(self, start: Message, more: bool) -> None:
        self._stats.unparsed += 1
        if self._decision.controls_output:
            await self._replace()
            return
        self._record(start["status"], None)
        self._passing = True
        await self._send(start)
        await self._send({"type": "http.response.body", "body": b"".join(self._parts), "more_body": more})
        self._parts.clear()

    async def _replace(self) -> None:
        """An answer that a control could not be applied to must not leave."""
        self._record(_UNREADABLE, None)
        await send_json(self._send, _UNREADABLE, {"error": "the model's answer cannot be delivered"})
