"""LiteLLM's StandardLoggingPayload: one object per call to a language model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from threatmatrix.model.event import Category, Event
from threatmatrix.telemetry.inputs.inputs import InputFields
from threatmatrix.telemetry.readers.base import (
    MAX_TIME,
    NOTHING_ASKED,
    Form,
    Options,
    Reader,
    Where,
    content_id,
    from_iso,
    integer,
    number,
    reject,
    text,
    top_level_keys,
)
from threatmatrix.telemetry.readers.paths import clean_path

__all__ = ["LiteLLMReader"]

_CALLS = {"completion": "chat", "text_completion": "completion", "embedding": "embeddings", "responses": "chat"}
_REDACTED = "redacted-by-litellm"  # stands in place of the messages where message logging is off
_STATUS = {"success": 200, "failure": 500}
_MARKS = ({"litellm_call_id"}, {"call_type", "startTime"}, {"model_map_information"})

_GIVES = {
    "event_id": "`litellm:` + `litellm_call_id`, or a hash of the record",
    "time": "`startTime` (seconds, or ISO 8601)",
    "source": "`litellm`",
    "category": "`inference`",
    "operation": "`call_type`",
    "tenant": "organisation id, or team id, of the key",
    "principal": "alias of the key, or its hash",
    "src_ip": "`requester_ip_address`",
    "user_agent": "`user_agent`",
    "endpoint": "`user_api_key_request_route`",
    "model": "`model`",
    "model_version": "`response.model`, where it differs",
    "request_ref": "`litellm_call_id`",
    "input_fp": "keyed hash of the messages",
    "input_bytes": "length of the messages as JSON",
    "tokens_in": "`prompt_tokens`",
    "tokens_out": "`completion_tokens`",
    "latency_ms": "`response_time` (seconds), or end − start",
    "status": "200, or `error_code`, or 500",
    "decision": "`guardrail_status`",
    "session": "`session_id`",
    "trace_id": "`trace_id`",
}


class LiteLLMReader:
    """StandardLoggingPayload as JSON lines, one JSON array, or pretty-printed objects.

    Messages and responses are never kept. With a secret the messages leave a keyed hash
    (``input_fp``); without one they leave nothing but their length: a hash that anybody can compute
    would give short prompts away.
    """

    name = "litellm"
    description = "LiteLLM proxy: StandardLoggingPayload as JSON"
    form: Form = "documents"
    gives: Mapping[Category, Mapping[str, str]] = {"inference": _GIVES}

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._inputs = options.inputs

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True where a record has keys that only this payload has."""
        return any(mark <= keys for keys in top_level_keys(first_lines) for mark in _MARKS)

    def with_options(self, options: Options) -> Reader:
        """A reader whose events carry fingerprints of their messages."""
        return LiteLLMReader(options)

    def parse(self, obj: Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One call → one event."""
        metadata = _object(obj, where, "metadata")
        call = text(obj, where, "litellm_call_id", "id")
        start = _time(obj, where, "startTime")
        if start is None:
            raise reject(where, "startTime", "missing")
        model = text(obj, where, "model")
        call_type = text(obj, where, "call_type")
        if model is None and call_type is None:
            raise reject(where, "model", "missing, and so is call_type")
        event = Event(
            event_id=f"litellm:{call}" if call else content_id("litellm", obj),
            time=start,
            source="litellm",
            category="inference",
            operation=_operation(call_type),
            tenant=text(metadata, where, "user_api_key_org_id", "user_api_key_team_id"),
            principal=text(metadata, where, "user_api_key_alias", "user_api_key_hash"),
            src_ip=text(obj, where, "requester_ip_address") or text(metadata, where, "requester_ip_address"),
            user_agent=text(obj, where, "user_agent") or text(metadata, where, "user_agent"),
            endpoint=_endpoint(metadata, where),
            model=model,
            model_version=_served(obj, where, model),
            request_ref=call,
            **self._input(obj, start)._asdict(),
            tokens_in=integer(obj, where, "prompt_tokens"),
            tokens_out=integer(obj, where, "completion_tokens"),
            latency_ms=_latency(obj, where, start),
            status=_status(obj, where),
            decision=_decision(obj, where),
            session=text(obj, where, "session_id"),
            trace_id=text(obj, where, "trace_id"),
        )
        return (event,)

    def _input(self, obj: Mapping[str, Any], time: int) -> InputFields:
        """What stands for the messages, as canonical JSON; nothing for redacted ones."""
        messages = obj.get("messages")
        if not messages:
            return InputFields()
        canonical = json.dumps(messages, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if _REDACTED in canonical and len(canonical) < 4 * len(_REDACTED):
            return InputFields()
        if self._inputs is None:
            return InputFields(input_bytes=len(canonical.encode()))
        return self._inputs.text(canonical, time)


def _object(obj: Mapping[str, Any], where: Where, key: str) -> Mapping[str, Any]:
    value = obj.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise reject(where, key, "must be an object")
    return value


def _time(obj: Mapping[str, Any], where: Where, key: str) -> int | None:
    """µs; the payload has seconds with a fraction, the spend log of the same calls ISO 8601."""
    value = obj.get(key)
    if isinstance(value, str) and "-" in value[1:]:
        time = from_iso(value, key, where)
    else:
        seconds = number(obj, where, key)
        if seconds is None:
            return None
        time = round(seconds * 1_000_000)
    if not 0 <= time <= MAX_TIME:
        raise reject(where, key, "must lie between 1970 and the year 10000")
    return time


def _latency(obj: Mapping[str, Any], where: Where, start: int) -> float | None:
    seconds = number(obj, where, "response_time")
    if seconds is not None:
        return round(seconds * 1000, 3)
    end = _time(obj, where, "endTime")
    return None if end is None else round((end - start) / 1000, 3)


def _operation(call_type: str | None) -> str | None:
    """``acompletion`` is ``completion`` called asynchronously; other calls keep LiteLLM's word."""
    if call_type is None:
        return None
    return _CALLS.get(call_type) or _CALLS.get(call_type.removeprefix("a")) or call_type


def _endpoint(metadata: Mapping[str, Any], where: Where) -> str | None:
    route = text(metadata, where, "user_api_key_request_route")
    return None if route is None else clean_path(route)


def _served(obj: Mapping[str, Any], where: Where, model: str | None) -> str | None:
    """The model that the provider says it served, where it is more exact than the one asked for."""
    response = obj.get("response")
    if not isinstance(response, dict):  # redacted, an error text, or none
        return None
    served = text(response, where, "model")
    return served if served != model else None


def _status(obj: Mapping[str, Any], where: Where) -> int | None:
    """An HTTP status: 200, or the provider's error code, or 500 where a failure has none."""
    status = text(obj, where, "status")
    if status is None:
        return None
    if status == "failure":
        code = _object(obj, where, "error_information").get("error_code")
        if isinstance(code, str | int) and str(code).isascii() and str(code).isdigit() and len(str(code)) == len("429"):
            return int(code)
    if status not in _STATUS:
        raise reject(where, "status", f"is unknown (valid: {', '.join(_STATUS)})")
    return _STATUS[status]


def _decision(obj: Mapping[str, Any], where: Where) -> str | None:
    """``deny`` where a guardrail stepped in, ``allow`` where one ran and let the call pass."""
    guardrail = text(_object(obj, where, "status_fields"), where, "guardrail_status")
    return {"guardrail_intervened": "deny", "success": "allow"}.get(guardrail or "")
