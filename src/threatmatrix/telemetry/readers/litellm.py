"""LiteLLM: one object per call to a language model, as a callback writes it or as a row of the spend log.

Sources: LiteLLM's documentation, "StandardLoggingPayload Specification" and "Spend Tracking"; the table
``LiteLLM_SpendLogs`` of its database schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from threatmatrix.model.event import Category, Event, Outcome
from threatmatrix.telemetry.building import build_event
from threatmatrix.telemetry.inputs.secrets import conceal, scrub
from threatmatrix.telemetry.readers.base import (
    NOTHING_ASKED,
    Form,
    Options,
    Reader,
    Where,
    content_id,
    integer,
    milliseconds,
    number,
    reject,
    seconds_or_iso,
    text,
    top_level_keys,
)
from threatmatrix.telemetry.readers.messages import PER_PROMPT, chat_of, input_fields, opened
from threatmatrix.telemetry.readers.parts import Gathering, checked, first_text, listed, part, path_of

if TYPE_CHECKING:
    from threatmatrix.telemetry.inputs.inputs import Inputs

__all__ = ["LiteLLMReader"]

_CALLS = {"completion": "chat", "text_completion": "completion", "embedding": "embeddings", "responses": "chat"}
_TOOL = "call_mcp_tool"
_REDACTED = "redacted-by-litellm"  # stands in place of the messages where message logging is off
_STATUS = {"success": 200, "failure": 500}
_OUTCOMES: Mapping[str, Outcome] = {"success": "success", "failure": "failure"}
_MARKS = ({"litellm_call_id"}, {"call_type", "startTime"}, {"model_map_information"})
_CLIENT = ("requester_ip_address", "user_agent")
_PAGE = ('"data"', '"call_type"', '"startTime"')

_COMMON = {
    "event_id": "`litellm:` + `litellm_call_id`, `id` or `request_id`, or a hash of the record",
    "time": "`startTime` (seconds, or ISO 8601)",
    "source": "`litellm`",
    "operation": "`call_type`",
    "tenant": "organisation id, or team id, of the key",
    "principal": "alias of the key, or its hash",
    "key_id": "hash of the key",
    "src_ip": "`requester_ip_address`",
    "user_agent": "`user_agent`",
    "endpoint": "`user_api_key_request_route`",
    "request_ref": "`litellm_call_id`, `id` or `request_id`",
    **PER_PROMPT,
    "latency_ms": "`response_time` (seconds), or end − start",
    "status": "200, or `error_code`, or 500",
    "outcome": "`status`",
    "decision": "`guardrail_status`",
    "session": "`session_id`",
    "trace_id": "`trace_id`",
}
_GIVES: Mapping[Category, Mapping[str, str]] = {
    "inference": {
        **_COMMON,
        "category": "`inference`",
        "model": "`model`",
        "model_version": "`response.model`, where it differs",
        "input_fp": "keyed hash of the messages",
        "tokens_in": "`prompt_tokens`",
        "tokens_out": "`completion_tokens`",
    },
    "tool_call": {
        **_COMMON,
        "category": "`tool_call` where `call_type` is `call_mcp_tool`",
        "object": "name in `mcp_tool_call_metadata`",
        "input_fp": "keyed hash of the tool's arguments",
    },
}


class LiteLLMReader:
    """StandardLoggingPayload, or rows of the spend log: JSON lines, an array, or an answer of ``/spend/logs``.

    Messages and responses are never kept. With a secret the messages leave a keyed hash
    (``input_fp``); without one they leave nothing but their length: a hash that anybody can compute
    would give short prompts away.
    """

    name = "litellm"
    description = "LiteLLM proxy: StandardLoggingPayload or spend log, as JSON"
    form: Form = "documents"
    gives = _GIVES

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._inputs: Inputs | None = options.inputs

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True where a record has keys that only these records have, or where a page of the spend log begins."""
        if any(mark <= keys for keys in top_level_keys(first_lines) for mark in _MARKS):
            return True
        return bool(first_lines) and all(mark in first_lines[0] for mark in _PAGE)

    def with_options(self, options: Options) -> Reader:
        """A reader whose events carry fingerprints of their messages."""
        return LiteLLMReader(options)

    def parse(self, obj: Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One call → one event; a page of the spend log (``{"data": […]}``) → those of all its calls."""
        if "data" not in obj or "startTime" in obj:
            return (self._event(obj, where),)
        gathering = Gathering(where)
        for place, record in listed(obj, where, "data"):
            with gathering.record(place, record) as events:
                events.append(self._event(checked(record, where), where))
        return gathering.events()

    def _event(self, obj: Mapping[str, Any], where: Where) -> Event:
        metadata = part({"metadata": opened(obj.get("metadata"))}, where, "metadata")
        call = text(obj, where, "litellm_call_id", "id", "request_id")
        start = seconds_or_iso(obj, where, "startTime")
        if start is None:
            raise reject(where, "startTime", "missing")
        call_type, alias = text(obj, where, "call_type"), text(metadata, where, "user_api_key_alias")
        key = text(metadata, where, "user_api_key_hash", "user_api_key") or text(obj, where, "api_key")
        status = text(obj, where, "status") or text(metadata, where, "status")
        address, agent = ((text(obj, where, name) or text(metadata, where, name)) for name in _CLIENT)
        return build_event(
            {
                "event_id": f"litellm:{call}" if call else content_id("litellm", obj),
                "time": start,
                "source": "litellm",
                "tenant": conceal(_tenant(obj, metadata, where), self._inputs),
                "principal": conceal(alias or key, self._inputs),
                "key_id": conceal(key, self._inputs),
                "src_ip": address,
                "user_agent": scrub(agent, self._inputs),
                "endpoint": scrub(path_of(text(metadata, where, "user_api_key_request_route")), self._inputs),
                "request_ref": call,
                "latency_ms": _latency(obj, where, start),
                "status": _http_status(status, obj, metadata, where),
                "outcome": None if status is None else _OUTCOMES[status],
                "decision": _decision(obj, where),
                "session": conceal(text(obj, where, "session_id"), self._inputs),
                "trace_id": text(obj, where, "trace_id"),
                **self._asked(obj, metadata, call_type, start, where),
            }
        )

    def _asked(
        self, obj: Mapping[str, Any], metadata: Mapping[str, Any], call_type: str | None, time: int, where: Where
    ) -> Mapping[str, Any]:
        """What was called, with what: a model with messages, or a tool of an MCP server with arguments."""
        model = text(obj, where, "model")
        if call_type == _TOOL:
            tool = part(metadata, where, "mcp_tool_call_metadata")
            name = text(tool, where, "namespaced_tool_name", "name") or text(obj, where, "mcp_namespaced_tool_name")
            return {
                "category": "tool_call",
                "operation": "execute_tool",
                "object": scrub(name or model, self._inputs),
                **input_fields(self._inputs, tool.get("arguments"), time, where, "mcp_tool_call_metadata"),
            }
        if model is None and call_type is None:
            raise reject(where, "model", "missing, and so is call_type")
        messages = opened(obj.get("messages"))
        return {
            "category": "inference",
            "operation": _operation(call_type),
            "model": model,
            "model_version": _served(obj, model),
            "tokens_in": integer(obj, where, "prompt_tokens"),
            "tokens_out": integer(obj, where, "completion_tokens"),
            **input_fields(self._inputs, None if _redacted(messages) else chat_of(messages), time, where, "messages"),
        }


def _redacted(messages: object) -> bool:
    """Whether LiteLLM has put its word in the place of the messages."""
    turns = messages if isinstance(messages, list) else [messages]
    return any(turn == _REDACTED or first_text(turn, "content") == _REDACTED for turn in turns)


def _tenant(obj: Mapping[str, Any], metadata: Mapping[str, Any], where: Where) -> str | None:
    return text(metadata, where, "user_api_key_org_id", "user_api_key_team_id") or text(
        obj, where, "organization_id", "team_id"
    )


def _latency(obj: Mapping[str, Any], where: Where, start: int) -> float | None:
    seconds = number(obj, where, "response_time")
    if seconds is not None:
        return milliseconds(seconds)
    end = seconds_or_iso(obj, where, "endTime")
    return None if end is None or end < start else round((end - start) / 1000, 3)


def _operation(call_type: str | None) -> str | None:
    """``acompletion`` is ``completion`` called asynchronously; other calls keep LiteLLM's word."""
    if call_type is None:
        return None
    return _CALLS.get(call_type) or _CALLS.get(call_type.removeprefix("a")) or call_type


def _served(obj: Mapping[str, Any], model: str | None) -> str | None:
    """The model that the provider says it served, where it is more exact than the one asked for."""
    served = first_text(obj.get("response"), "model")  # the response may also be redacted, an error text, or none
    return served if served != model else None


def _http_status(status: str | None, obj: Mapping[str, Any], metadata: Mapping[str, Any], where: Where) -> int | None:
    """An HTTP status: 200, or the provider's error code, or 500 where a failure has none."""
    if status is None:
        return None
    if status not in _STATUS:
        raise reject(where, "status", f"is unknown (valid: {', '.join(_STATUS)})")
    if status == "failure":
        error = part(obj, where, "error_information") or part(metadata, where, "error_information")
        code = str(error.get("error_code"))
        if len(code) == len("429") and code.isascii() and code.isdigit():
            return int(code)
    return _STATUS[status]


def _decision(obj: Mapping[str, Any], where: Where) -> str | None:
    """``deny`` where a guardrail stepped in, ``allow`` where one ran and let the call pass."""
    guardrail = text(part(obj, where, "status_fields"), where, "guardrail_status")
    return {"guardrail_intervened": "deny", "success": "allow"}.get(guardrail or "")
