"""Which fields the OpenTelemetry reader gives, and from what."""

from __future__ import annotations

from collections.abc import Mapping

from threatmatrix.model.event import Category
from threatmatrix.telemetry.readers.messages import PER_PROMPT

__all__ = ["GIVES"]

_COMMON = {
    "event_id": "`otel:` + `traceId` + `spanId`, or a hash of the record",
    "time": "`startTimeUnixNano`; of a log record `timeUnixNano`",
    "source": "`otel`",
    "category": "told by `gen_ai.operation.name`",
    "operation": "`gen_ai.operation.name`",
    "principal": "`enduser.id`, `user.id`, `enduser.pseudo.id`, `user.name` or `user.email`",
    "src_ip": "`client.address`",
    "host": "`server.address`; of a server's span `service.name`",
    "user_agent": "`user_agent.original`",
    "request_ref": "`aws.request_id`, or `gen_ai.response.id`, or `spanId`",
    "latency_ms": "`endTimeUnixNano` − `startTimeUnixNano`",
    "status": "`http.response.status_code`, or `error.type` where it is a number",
    "outcome": "`status.code`, `error.type`",
    "session": "`gen_ai.conversation.id` or `session.id`",
    "trace_id": "`traceId`",
}
_MODEL = {
    "model": "`gen_ai.request.model`",
    "model_version": "`gen_ai.response.model`, where it differs",
}
_HTTP = {
    **_COMMON,
    "category": "told by `url.path`",
    "operation": "told by `url.path`",
    "method": "`http.request.method`",
    "endpoint": "`url.path`, or `http.target`",
    "session": "`session.id`",
}

GIVES: Mapping[Category, Mapping[str, str]] = {
    "inference": {
        **_COMMON,
        **PER_PROMPT,
        "category": "told by `gen_ai.operation.name`, or by `url.path` of a server's span",
        "operation": "`gen_ai.operation.name` (`text_completion` is `completion`), or told by `url.path`",
        "method": "`http.request.method`",
        "endpoint": "`url.path` of a server's span",
        "model": "`gen_ai.request.model`, or told by `url.path`",
        "model_version": "`gen_ai.response.model`, where it differs, or told by `url.path`",
        "input_fp": "keyed hash of `gen_ai.system_instructions` and `gen_ai.input.messages`",
        "tokens_in": "`gen_ai.usage.input_tokens`",
        "tokens_out": "`gen_ai.usage.output_tokens`",
    },
    "tool_call": {
        **_COMMON,
        **PER_PROMPT,
        "object": "`gen_ai.tool.name`",
        "input_fp": "keyed hash of `gen_ai.tool.call.arguments`",
    },
    "artifact_access": {**_COMMON, "object": "`gen_ai.data_source.id`"},
    "api_activity": {**_COMMON, **_MODEL, "object": "`gen_ai.agent.name` or `gen_ai.agent.id`"},
    "model_access": {**_HTTP, "model": "told by `url.path`", "model_version": "told by `url.path`"},
    "http": _HTTP,
}
