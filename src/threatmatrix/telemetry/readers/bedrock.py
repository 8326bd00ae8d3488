"""Amazon Bedrock's model invocation log, as it lies in Amazon S3 or comes from CloudWatch Logs.

Source: Amazon Bedrock User Guide, "Monitor model invocation using CloudWatch Logs and Amazon S3"; the bodies as in the
Amazon Bedrock API Reference (Converse, InvokeModel) and the inference parameters of the models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from threatmatrix.model.event import Category, Event
from threatmatrix.telemetry.building import build_event
from threatmatrix.telemetry.inputs.secrets import conceal
from threatmatrix.telemetry.readers.aws import BEDROCK, call_of, caller_of, http_status, model_of
from threatmatrix.telemetry.readers.base import (
    MAX_INT,
    NOTHING_ASKED,
    Form,
    Options,
    Reader,
    Where,
    content_id,
    integer,
    reject,
    seconds_or_iso,
    text,
    top_level_keys,
)
from threatmatrix.telemetry.readers.messages import PER_PROMPT, chat_of, input_fields, opened
from threatmatrix.telemetry.readers.parts import part

if TYPE_CHECKING:
    from threatmatrix.telemetry.inputs.inputs import Inputs

__all__ = ["BedrockReader"]

_SCHEMA = "ModelInvocationLog"
_METRICS = "amazon-bedrock-invocationMetrics"
_GUARDRAIL = "amazon-bedrock-guardrailAction"
_DECISIONS = {"INTERVENED": "deny", "NONE": "allow"}
_BLOCKED = "guardrail_intervened"
_LAST = 4  # parts of a streamed answer looked at from its end: the figures are in the last
_PROMPTS = ("prompt", "inputText", "message", "texts", "input", "text")  # Llama, Titan, Cohere, embeddings …

_GIVES = {
    "event_id": "`bedrock:` + `requestId`, or a hash of the record",
    "time": "`timestamp`",
    "source": "`bedrock`",
    "category": "`inference`",
    "operation": "`operation`: `chat` for Converse, `infer` for InvokeModel, both also streamed",
    "tenant": "`accountId`",
    "principal": "`identity.arn`; of an assumed role the role",
    "host": "`bedrock.amazonaws.com`",
    "model": "`modelId`; of an ARN its last part",
    "request_ref": "`requestId`",
    "input_fp": "keyed hash of the messages or the prompt of `input.inputBodyJson`",
    **PER_PROMPT,
    "tokens_in": "`input.inputTokenCount` + tokens read from and written to the cache",
    "tokens_out": "`output.outputTokenCount`",
    "latency_ms": "`metrics.latencyMs` or `invocationLatency` of the answer",
    "status": "200, or the HTTP status that goes with `errorCode`",
    "outcome": "`errorCode`",
    "decision": "the guardrail's action in the answer",
    "session": "`identity.arn`: session of the assumed role",
}


class BedrockReader:
    """Model invocation log: one JSON object per line, as in S3 (gzip) and in CloudWatch Logs.

    Prompts and answers are never kept. Where a body was too large for the log (``inputBodyS3Path``) nothing stands
    for the input.
    """

    name = "bedrock"
    description = "Amazon Bedrock: model invocation log"
    form: Form = "documents"
    gives: Mapping[Category, Mapping[str, str]] = {"inference": _GIVES}

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._inputs: Inputs | None = options.inputs

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True where a record has the keys of this log."""
        return any({"modelId", "requestId", "accountId", "timestamp"} <= keys for keys in top_level_keys(first_lines))

    def with_options(self, options: Options) -> Reader:
        """A reader whose events carry fingerprints of their messages."""
        return BedrockReader(options)

    def parse(self, obj: Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One invocation → one event."""
        if obj.get("schemaType", _SCHEMA) != _SCHEMA:
            raise reject(where, "schemaType", f"is not {_SCHEMA}")
        time = seconds_or_iso(obj, where, "timestamp")
        if time is None:
            raise reject(where, "timestamp", "missing")
        model = model_of(text(obj, where, "modelId"))
        if model is None:
            raise reject(where, "modelId", "missing")
        request = text(obj, where, "requestId")
        caller = caller_of(text(part(obj, where, "identity"), where, "arn"))
        asked, answer = part(obj, where, "input"), part(obj, where, "output")
        error = text(obj, where, "errorCode")
        figures, decision = _figures(opened(answer.get("outputBodyJson")))
        return (
            build_event(
                {
                    "event_id": f"bedrock:{request}" if request else content_id("bedrock", obj),
                    "time": time,
                    "source": "bedrock",
                    "category": "inference",
                    "operation": _operation(text(obj, where, "operation")),
                    "tenant": text(obj, where, "accountId"),
                    "principal": conceal(caller.principal, self._inputs),
                    "host": BEDROCK,
                    "model": model,
                    "request_ref": request,
                    **input_fields(self._inputs, _asked(opened(asked.get("inputBodyJson"))), time, where, "input"),
                    "tokens_in": _tokens(asked, where),
                    "tokens_out": integer(answer, where, "outputTokenCount"),
                    "latency_ms": _latency(figures),
                    "status": 200 if error is None else http_status(error),
                    "outcome": "success" if error is None else "failure",
                    "decision": decision,
                    "session": conceal(caller.session, self._inputs),
                }
            ),
        )


def _operation(name: str | None) -> str | None:
    return None if name is None else call_of(BEDROCK, name)[1]


def _asked(body: object) -> object:
    """What a body asks the model: its messages, or its prompt; of an unknown kind of body all of it."""
    if not isinstance(body, dict):
        return body or None
    if body.get("messages"):
        return chat_of(body["messages"], body.get("system"))
    for key in _PROMPTS:
        if body.get(key):
            return chat_of(body[key], body.get("system"))
    return body or None


def _tokens(asked: Mapping[str, Any], where: Where) -> int | None:
    """Tokens of the whole prompt: what came out of the cache is not in the first count."""
    counts = [
        integer(asked, where, key)
        for key in ("inputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount")
    ]
    total = sum(count or 0 for count in counts)
    if total > MAX_INT:
        raise reject(where, "inputTokenCount", "is out of range")
    return None if counts[0] is None else total


def _figures(answer: object) -> tuple[Mapping[str, Any], str | None]:
    """Where the answer's latency stands, and what a guardrail decided; a streamed answer is the list of its parts."""
    figures: Mapping[str, Any] = {}
    decision = None
    for found in reversed(answer[-_LAST:]) if isinstance(answer, list) else (answer,):
        if not isinstance(found, dict):
            continue
        for key in ("metrics", _METRICS):
            if not figures and isinstance(found.get(key), dict):
                figures = found[key]
        action = found.get(_GUARDRAIL)
        if decision is None and isinstance(action, str):
            decision = _DECISIONS.get(action)
        if found.get("stopReason") == _BLOCKED:
            decision = "deny"
    return figures, decision


def _latency(figures: Mapping[str, Any]) -> float | None:
    """Milliseconds; the answer is the model's own word, a crooked one must not hide the request."""
    for key in ("latencyMs", "invocationLatency"):
        value = figures.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_INT:
            return float(value)
    return None
