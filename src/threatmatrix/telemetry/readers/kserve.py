"""KServe's inference logger: a CloudEvent for each request, and one for each response with status 200.

Source: kserve/kserve ``pkg/logger`` (handler.go, worker.go); CloudEvents 1.0.2 with its HTTP binding (binary content
mode, section 3.1) and its JSON format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from threatmatrix.model.event import Category, Event
from threatmatrix.telemetry.decoding import decode_whole, failure
from threatmatrix.telemetry.inputs.answers import usage_of
from threatmatrix.telemetry.inputs.payloads import Payload
from threatmatrix.telemetry.messages import HttpMessage, is_http
from threatmatrix.telemetry.readers.base import (
    NOTHING_ASKED,
    Form,
    Options,
    Reader,
    Where,
    check_time,
    from_iso,
    reject,
    text,
)
from threatmatrix.telemetry.readers.captures import (
    PER_ROW,
    Headers,
    answer_of,
    body_of,
    bytes_of,
    chatted,
    objects_of,
    payload_of,
    row_events,
)
from threatmatrix.telemetry.readers.messages import opened
from threatmatrix.telemetry.readers.parts import first_text

__all__ = ["KServeReader"]

_ROLES = {
    "org.kubeflow.serving.inference.request": "request",
    "org.kubeflow.serving.inference.response": "response",
}
# What answers a question about the server or a model, in either protocol.
_METADATA = ({"name", "platform"}, {"name", "ready"}, {"name", "versions"})
_STATES = ({"models"}, {"live"}, {"ready"}, {"status"}, {"model_version_status"})

_ALL = {
    "event_id": "`kserve:` + `Ce-Id`, request or response, `Ce-Time` [+ row]",
    "time": "`Ce-Time`",
    "source": "`kserve`",
    "category": "`inference`; `model_access` where there is no body",
    "operation": "`infer`, `chat`, `explain`; `metadata` where there is no body",
    "principal": "the header of `principal.header` in `Ce-Metadata`",
    "input_bytes": "size of the row; 0 without a body",
    "host": "`Ce-Inferenceservicename` + `.` + `Ce-Namespace`",
    "user_agent": "`User-Agent` in `Ce-Metadata`",
    "model": "`Ce-Inferenceservicename`",
    "request_ref": "`X-Request-Id` in `Ce-Metadata`, or `Ce-Id`",
    "status": "200 for a response: KServe logs no others",
    "trace_id": "`traceparent` in `Ce-Metadata`",
}
_INFERENCE = {
    **_ALL,
    **PER_ROW,
    "model_version": "`model_version` of the response",
    "tokens_in": "`usage` of the response",
    "tokens_out": "`usage` of the response",
}


class KServeReader:
    """CloudEvents as HTTP messages one after the other, as JSON lines, or as lines of ``headers`` and ``body``."""

    name = "kserve"
    description = "KServe inference logger: CloudEvents as HTTP messages or JSON lines"
    form: Form = "http"
    gives: Mapping[Category, Mapping[str, str]] = {"inference": _INFERENCE, "model_access": _ALL}

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._inputs = options.inputs
        self._principal_header = options.principal_header

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True for a message with a ``Ce-Type`` of KServe's, or a line that is such an event."""
        if is_http(first_lines):
            named = (line.partition(":") for line in first_lines)
            return any(name.lower() == "ce-type" and value.strip() in _ROLES for name, _, value in named)
        return any(_known(_attributes(obj).get("type")) for obj in objects_of(first_lines))

    def with_options(self, options: Options) -> Reader:
        """A reader that fingerprints inputs, and knows which header names the principal."""
        return KServeReader(options)

    def parse(self, record: HttpMessage | Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One request or response → an event for each of its rows."""
        if isinstance(record, HttpMessage):
            if record.start:
                return self._event(_named(record.headers), record.body, record.headers.get("content-type", ""), where)
            record = _line(record.body, where)
        attributes = _attributes(record)
        if "headers" in record:
            content: Any = record.get("body")
        elif isinstance(record.get("data_base64"), str):
            content = bytes_of(record["data_base64"], where, "data_base64")
        else:
            content = record.get("data")
        kind = attributes.get("datacontenttype")
        return self._event(attributes, content, kind if isinstance(kind, str) else "", where)

    def _event(self, attributes: Mapping[str, Any], content: Any, content_type: str, where: Where) -> Sequence[Event]:
        role = _ROLES.get(text(attributes, where, "type") or "")
        if role is None:
            raise reject(where, "type", f"missing or unknown (valid: {', '.join(_ROLES)})")
        stamp = text(attributes, where, "time")
        if stamp is None:
            raise reject(where, "time", "missing")
        time = check_time(from_iso(stamp, "time", where), "time", where)
        call = text(attributes, where, "id")
        if call is None:
            raise reject(where, "id", "missing")
        service, namespace = text(attributes, where, "inferenceservicename"), text(attributes, where, "namespace")
        headers = Headers(_metadata(attributes))
        fields: dict[str, Any] = {
            "time": time,
            "source": "kserve",
            "category": "inference",
            "operation": "explain" if attributes.get("component") == "explainer" else "infer",
            "host": f"{service}.{namespace}" if service and namespace else service,
            "model": service,
            "request_ref": headers.get("x-request-id") or call,
            **headers.told(self._principal_header, self._inputs),
        }
        # A client that sends its own Ce-Id must not make its requests look like one: the time tells them apart.
        event_id = f"kserve:{call}:{role}:{time}"
        if role == "response":
            # its content type is the request's: what it is, it has to show itself
            return self._response(fields, event_id, _opened(content, "", where))
        return self._request(fields, event_id, content, content_type, where)

    def _request(
        self, fields: dict[str, Any], event_id: str, content: Any, content_type: str, where: Where
    ) -> Sequence[Event]:
        if not content:  # the logger does not tell path and method, but an inference has a body
            fields.update(category="model_access", operation="metadata", input_bytes=0)
            return row_events(fields, event_id, None, None, None)
        payload = _opened(content, content_type, where)
        if chatted(payload.value) is not None:
            fields["operation"] = "completion" if payload.value.keys() & {"prompt", "text_input"} else "chat"
        return row_events(fields, event_id, self._inputs, body_of(payload, where, "data"), None)

    def _response(self, fields: dict[str, Any], event_id: str, payload: Payload) -> Sequence[Event]:
        fields["status"] = 200
        value = payload.value
        if isinstance(value, dict):
            if any(value.keys() >= keys for keys in _METADATA) or value.keys() in _STATES:
                fields.update(category="model_access", operation="metadata")
                return row_events(fields, event_id, None, None, None)
            fields["model_version"] = first_text(value, "model_version")
        fields["tokens_in"], fields["tokens_out"] = usage_of(value)
        return row_events(fields, event_id, None, None, answer_of(payload, None))


def _known(kind: object) -> bool:
    return isinstance(kind, str) and kind in _ROLES


def _opened(content: Any, content_type: str, where: Where) -> Payload:
    """A body that stands there decoded, as a text, or as it was sent."""
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    return (
        payload_of(content, content_type.lower(), where, "data")
        if isinstance(content, bytes)
        else Payload("json", content)
    )


def _line(body: bytes, where: Where) -> Mapping[str, Any]:
    try:
        value = decode_whole(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise reject(where, "", failure(error)) from None
    if not isinstance(value, dict):
        raise reject(where, "", "not a JSON object")
    return value


def _named(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of an event in binary content mode: the ``ce-`` headers."""
    return {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}


def _attributes(record: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of an event that stands on a line, by lower-case name."""
    headers = record.get("headers")
    if not isinstance(headers, dict):
        return {name.lower(): value for name, value in record.items()}
    first = {name.lower(): value[0] if isinstance(value, list) and value else value for name, value in headers.items()}
    return {"datacontenttype": first.get("content-type"), **_named(first)}


def _metadata(attributes: Mapping[str, Any]) -> Mapping[Any, Any]:
    """The request headers that the logger was told to keep (``--metadata-headers``); empty where they are unreadable.

    They are JSON in a header, which the HTTP binding lets a sender percent-encode (section 3.1.3.2).
    """
    value = attributes.get("metadata")
    if isinstance(value, str) and value.startswith("%"):
        value = unquote(value)
    value = opened(value)
    return value if isinstance(value, dict) else {}
