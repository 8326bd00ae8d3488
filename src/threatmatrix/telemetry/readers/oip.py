"""Bodies of the Open Inference Protocol v2, as JSON lines that a proxy or a middleware of one's own wrote.

The protocol has no log format. Three shapes of a line are read; ``time`` (or ``timestamp``: ISO 8601, seconds, or
milliseconds) has to stand in each, for the protocol's bodies have none:

- a pair: ``{"time", "request": BODY, "response": BODY}``, one of both at least;
- a request: its body with ``time`` beside ``inputs``;
- a response: its body with ``time`` beside ``outputs``.

``BODY`` is an object, or its JSON as a text. Beside them may stand ``request_id``, ``model_name``, ``model_version``,
``path``, ``status``, ``latency_ms`` and ``headers`` (of the request).

Source: Open Inference Protocol, "Inference Protocol HTTP/REST", ``$inference_request`` and ``$inference_response``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from threatmatrix.model.event import Category, Event
from threatmatrix.telemetry.inputs.answers import read_answer
from threatmatrix.telemetry.inputs.payloads import Payload
from threatmatrix.telemetry.inputs.secrets import scrub
from threatmatrix.telemetry.readers.base import (
    NOTHING_ASKED,
    Form,
    Options,
    Reader,
    Where,
    integer,
    number,
    reject,
    seconds_or_iso,
    text,
)
from threatmatrix.telemetry.readers.captures import PER_ROW, Headers, body_of, hashed_id, objects_of, row_events
from threatmatrix.telemetry.readers.messages import opened
from threatmatrix.telemetry.readers.parts import first_text, part
from threatmatrix.telemetry.readers.paths import classify, clean_path

__all__ = ["OipReader"]

_MAX_STATUS = 999
_TIMES = ("time", "timestamp")

_GIVES = {
    **PER_ROW,
    "event_id": "`oip:` + id, what is there, time [+ row], or a hash of the record",
    "time": "`time`, `timestamp`",
    "source": "`oip`",
    "category": "`inference`",
    "operation": "`infer`",
    "principal": "the header of `principal.header` in `headers`",
    "user_agent": "`User-Agent` in `headers`",
    "endpoint": "`path`",
    "model": "`model_name`, or told by `path`",
    "model_version": "`model_version`",
    "request_ref": "`request_id`, `X-Request-Id` in `headers`, or `id` of a body",
    "latency_ms": "`latency_ms`",
    "status": "`status`",
    "trace_id": "`traceparent` in `headers`",
}


class OipReader:
    """Open Inference Protocol v2: request and response bodies, together or one by one."""

    name = "oip"
    description = "Open Inference Protocol v2: request and response bodies as JSON lines"
    form: Form = "lines"
    gives: Mapping[Category, Mapping[str, str]] = {"inference": _GIVES}

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._inputs = options.inputs
        self._principal_header = options.principal_header

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True for a line with a time that is a body with tensors, or has one under ``request`` or ``response``."""
        return any(
            not obj.keys().isdisjoint(_TIMES)
            and (_is_body(obj) or _is_body(opened(obj.get("request"))) or _is_body(opened(obj.get("response"))))
            for obj in objects_of(first_lines)
        )

    def with_options(self, options: Options) -> Reader:
        """A reader that fingerprints inputs, and knows which header names the principal."""
        return OipReader(options)

    def parse(self, obj: Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One request, one response or both → an event for each row."""
        request, response = opened(obj.get("request")), opened(obj.get("response"))
        if request is None and response is None:
            if "inputs" not in obj and "outputs" not in obj:
                raise reject(where, "request", "missing, and so are response, inputs and outputs")
            request, response = (obj, None) if "inputs" in obj else (None, obj)
        time = seconds_or_iso(obj, where, *_TIMES)
        if time is None:
            raise reject(where, "time", "missing: a body has none, the capture has to write it")
        body = None if request is None else body_of(Payload("json", request), where, "request")
        answer = None if response is None else read_answer(response, body.rows if body else None)
        fields = self._fields(obj, request, response, where)
        call = fields["request_ref"]
        role = "both" if body and answer else "request" if body else "response"
        event_id = f"oip:{call}:{role}:{time}" if call else hashed_id("oip", obj, where)
        return row_events({"time": time, **fields}, event_id, self._inputs, body, answer)

    def _fields(self, obj: Mapping[str, Any], request: Any, response: Any, where: Where) -> dict[str, Any]:
        headers = Headers(part(obj, where, "headers"))
        path = text(obj, where, "path")
        path = clean_path(path) if path else None
        model = (
            text(obj, where, "model_name") or first_text(response, "model_name") or first_text(request, "model_name")
        )
        return {
            "source": "oip",
            "category": "inference",
            "operation": "infer",
            "endpoint": scrub(path, self._inputs),
            "model": model or (classify(path).model if path else None),
            "model_version": text(obj, where, "model_version") or first_text(response, "model_version"),
            "request_ref": text(obj, where, "request_id")
            or headers.get("x-request-id")
            or text(obj, where, "id")
            or first_text(request, "id")
            or first_text(response, "id"),
            "latency_ms": number(obj, where, "latency_ms"),
            "status": integer(obj, where, "status", most=_MAX_STATUS),
            **headers.told(self._principal_header, self._inputs),
        }


def _is_body(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    tensors = value.get("inputs") or value.get("outputs")
    return isinstance(tensors, list) and bool(tensors) and isinstance(tensors[0], dict) and "datatype" in tensors[0]
