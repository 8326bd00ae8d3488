"""Vertex AI request-response logging: rows of a BigQuery table, exported as JSON lines.

Source: Google Cloud documentation, "Log requests and responses", section "Logging table schema". ``bq extract`` and
``bq query --format=json`` write TIMESTAMP as ``2026-05-25 08:59:48.123 UTC`` (the second without the zone), NUMERIC as
a text, and JSON columns as objects or as texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from threatmatrix.model.event import Category, Event
from threatmatrix.telemetry.decoding import decode_whole
from threatmatrix.telemetry.inputs.answers import read_answer, usage_of
from threatmatrix.telemetry.inputs.payloads import Payload
from threatmatrix.telemetry.readers.base import (
    NOTHING_ASKED,
    Form,
    Options,
    Reader,
    Where,
    number,
    reject,
    seconds_or_iso,
    text,
    top_level_keys,
)
from threatmatrix.telemetry.readers.captures import PER_ROW, body_of, chatted, hashed_id, row_events
from threatmatrix.telemetry.readers.messages import opened

__all__ = ["VertexReader"]

_BODIES = frozenset({"request_payload", "response_payload", "full_request", "full_response"})

_GIVES = {
    **PER_ROW,
    "event_id": "`vertex:` + `request_id` + row, or a hash of the record",
    "time": "`logging_time`, about when the response was sent",
    "source": "`vertex`",
    "category": "`inference`",
    "operation": "`infer`, or `chat`",
    "host": "`endpoint`, its id alone",
    "endpoint": "`endpoint`, as a path",
    "model": "`model`, its last part, or the id of `endpoint`",
    "model_version": "`model_version`, or `deployed_model_id`",
    "request_ref": "`request_id`",
    "tokens_in": "`usageMetadata` of `full_response`",
    "tokens_out": "`usageMetadata` of `full_response`",
    "latency_ms": "`metadata.request_latency`",
}


class VertexReader:
    """Rows of the table ``request_response_logging``."""

    name = "vertex"
    description = "Vertex AI request-response logging: BigQuery rows as JSON lines"
    form: Form = "documents"
    gives: Mapping[Category, Mapping[str, str]] = {"inference": _GIVES}

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._inputs = options.inputs

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True for a row with ``logging_time``, ``deployed_model_id`` or ``endpoint``, and a request or response."""
        return any(
            "logging_time" in keys and keys & {"deployed_model_id", "endpoint"} and keys & _BODIES
            for keys in top_level_keys(first_lines)
        )

    def with_options(self, options: Options) -> Reader:
        """A reader that fingerprints inputs."""
        return VertexReader(options)

    def parse(self, obj: Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One row of the table → an event for each instance of the request."""
        request = opened(obj.get("full_request")) or _payload(obj, where, "request_payload", "instances")
        response = opened(obj.get("full_response")) or _payload(obj, where, "response_payload", "predictions")
        fields = _fields(obj, where)
        if chatted(request) is not None:
            fields["operation"] = "chat"
        fields["tokens_in"], fields["tokens_out"] = usage_of(response)
        body = (
            None
            if request is None
            else body_of(Payload("text" if isinstance(request, str) else "json", request), where, "request_payload")
        )
        answer = None if response is None else read_answer(response, body.rows if body else None)
        call = fields["request_ref"]
        event_id = f"vertex:{call}" if call else hashed_id("vertex", obj, where)
        return row_events(fields, event_id, self._inputs, body, answer)


def _fields(obj: Mapping[str, Any], where: Where) -> dict[str, Any]:
    stamp = text(obj, where, "logging_time") if isinstance(obj.get("logging_time"), str) else None
    time = seconds_or_iso(
        {"logging_time": stamp.removesuffix(" UTC") if stamp else obj.get("logging_time")}, where, "logging_time"
    )
    if time is None:
        raise reject(where, "logging_time", "missing")
    endpoint = text(obj, where, "endpoint")
    place = endpoint.rpartition("/")[2] if endpoint else None
    model = text(obj, where, "model")
    metadata = opened(obj.get("metadata"))
    return {
        "time": time,
        "source": "vertex",
        "category": "inference",
        "operation": "infer",
        "host": place,
        "endpoint": f"/{endpoint.lstrip('/')}" if endpoint else None,
        "model": model.rpartition("/")[2] if model else place,
        "model_version": _stated(obj, where, "model_version") or _stated(obj, where, "deployed_model_id"),
        "request_ref": _stated(obj, where, "request_id"),
        "latency_ms": number(metadata, where, "request_latency") if isinstance(metadata, dict) else None,
    }


def _stated(obj: Mapping[str, Any], where: Where, key: str) -> str | None:
    """An id: a text, or digits that an exporter left without quotes."""
    value = obj.get(key)
    return str(value) if type(value) is int and abs(value) < 10**40 else text(obj, where, key)


def _payload(obj: Mapping[str, Any], where: Where, key: str, container: str) -> Any:
    """``request_payload`` and ``response_payload`` are repeated: a text for each instance, or one for a raw body."""
    value = obj.get(key)
    if not value:
        return None
    if isinstance(value, str):
        return opened(value)
    if not isinstance(value, list):
        raise reject(where, key, "must be a list of texts")
    parts = [_instance(part) for part in value]
    if len(parts) == 1 and isinstance(parts[0], dict) and parts[0].keys() & {container, "inputs", "outputs"}:
        return parts[0]
    return parts[0] if len(parts) == 1 and chatted(parts[0]) is not None else {container: parts}


def _instance(value: Any) -> Any:
    """The JSON that a text holds; a text that is none stays one."""
    try:
        return decode_whole(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value
