"""OpenTelemetry: traces and logs as the Collector's file exporter writes them, with the GenAI conventions.

Sources: the semantic conventions v1.41 for GenAI (``gen_ai.*``: spans, agent spans, events) and HTTP, and their
attributes ``client``, ``server``, ``user``, ``enduser``, ``session``, ``error``. The names stand here as texts: the
Python package deprecates its constants for them. The encoding is in ``otlp.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from threatmatrix.model.event import Category, Event
from threatmatrix.telemetry.building import build_event
from threatmatrix.telemetry.inputs.secrets import conceal, scrub
from threatmatrix.telemetry.readers.base import (
    NOTHING_ASKED,
    Form,
    Options,
    Reader,
    Where,
    check_time,
    content_id,
    reject,
    top_level_keys,
)
from threatmatrix.telemetry.readers.messages import chat_of, input_fields, opened
from threatmatrix.telemetry.readers.otel_fields import GIVES
from threatmatrix.telemetry.readers.otlp import attributes_of, failed, hex_id, number_of, said
from threatmatrix.telemetry.readers.parts import Gathering, checked, listed, path_of
from threatmatrix.telemetry.readers.paths import classify

if TYPE_CHECKING:
    from threatmatrix.telemetry.inputs.inputs import Inputs

__all__ = ["OTelReader"]

_OPERATION = "gen_ai.operation.name"
_DETAILS = "gen_ai.client.inference.operation.details"  # the event that carries prompts apart from the span
_KNOWN: Mapping[str, tuple[Category, str]] = {
    "chat": ("inference", "chat"),
    "text_completion": ("inference", "completion"),
    "generate_content": ("inference", "generate_content"),
    "embeddings": ("inference", "embeddings"),
    "execute_tool": ("tool_call", "execute_tool"),
    "retrieval": ("artifact_access", "retrieval"),
}
_AGENTS = ("create_agent", "invoke_agent", "invoke_workflow", "plan")
_OBJECTS: Mapping[Category, tuple[str, ...]] = {
    "artifact_access": ("gen_ai.data_source.id",),
    "api_activity": ("gen_ai.agent.name", "gen_ai.agent.id"),
}
_STARTS = ("startTimeUnixNano", "timeUnixNano", "observedTimeUnixNano")
_INNER = {"Spans": "spans", "Logs": "logRecords"}
_SERVER = (2, "SPAN_KIND_SERVER")
_PATHS = ("url.path", "http.target")
_WHO = ("enduser.id", "user.id", "enduser.pseudo.id", "user.name", "user.email")
_RESOURCE = frozenset({*_WHO, "session.id", "service.name"})  # what a resource may say for all of its spans
_REQUEST_IDS = ("aws.request_id", "gen_ai.response.id")
_SESSIONS = ("gen_ai.conversation.id", "session.id")
_STATUSES = ("http.response.status_code", "http.status_code")
_METHODS = ("http.request.method", "http.method")
_TOKENS_IN = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
_TOKENS_OUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
_PROMPTS = ("gen_ai.input.messages", "gen_ai.prompt")
_SYSTEM = "gen_ai.system_instructions"
_ARGUMENTS = "gen_ai.tool.call.arguments"
_WANTED = frozenset(
    {_OPERATION, _SYSTEM, _ARGUMENTS, *_RESOURCE, *_REQUEST_IDS, *_SESSIONS, *_STATUSES, *_METHODS, *_PATHS, *_PROMPTS}
    | {*_TOKENS_IN, *_TOKENS_OUT, "gen_ai.request.model", "gen_ai.response.model", "gen_ai.tool.name", "error.type"}
    | {*_OBJECTS["artifact_access"], *_OBJECTS["api_activity"], "client.address", "server.address"}
    | {"user_agent.original", "event.name", "content"}
)
_PIECES = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}  # conventions ≤ 1.36


class OTelReader:
    """OTLP in JSON: one ``ExportTraceServiceRequest`` or ``ExportLogsServiceRequest`` per line.

    Taken are spans with ``gen_ai.*``, HTTP spans of servers, and the event that carries a call's details; everything
    else is passed over. Prompts and the arguments of tools leave a keyed hash, answers leave nothing.
    """

    name = "otel"
    description = "OpenTelemetry: OTLP JSON files with GenAI spans"
    form: Form = "documents"
    gives = GIVES

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._inputs: Inputs | None = options.inputs

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True where a line is an export of traces or logs."""
        return any(keys & {"resourceSpans", "resourceLogs"} for keys in top_level_keys(first_lines))

    def with_options(self, options: Options) -> Reader:
        """A reader whose events carry fingerprints of prompts and arguments."""
        return OTelReader(options)

    def parse(self, obj: Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One export → the events of its spans and log records; none where it has nothing for us."""
        if not obj.keys() & {"resourceSpans", "resourceLogs", "resourceMetrics"}:
            raise reject(where, "resourceSpans", "missing, and so is resourceLogs")
        gathering = Gathering(where)
        found = [*_records(obj, where, gathering, "Spans"), *_records(obj, where, gathering, "Logs")]
        for place, record, shared in found:
            with gathering.record(place, record) as events:
                attributes = {**shared, **attributes_of(checked(record, where), where, "attributes", _WANTED)}
                kind = _kind(record, attributes)
                if kind is not None:
                    events.append(self._event(record, attributes, *kind, where))
        return gathering.events()

    def _event(
        self, record: Mapping[str, Any], attributes: Mapping[str, Any], category: Category, operation: str, where: Where
    ) -> Event:
        start, latency = _times(record, where)
        trace, span = hex_id(record.get("traceId")), hex_id(record.get("spanId"))
        name = f"otel:{trace}:{span}" if trace and span else content_id("otel", record)
        error = said(attributes, "error.type")
        return build_event(
            {
                "event_id": name if "startTimeUnixNano" in record else f"{name}:details",
                "time": start,
                "source": "otel",
                "category": category,
                "operation": operation,
                "principal": conceal(said(attributes, *_WHO), self._inputs),
                "src_ip": said(attributes, "client.address"),
                "user_agent": scrub(said(attributes, "user_agent.original"), self._inputs),
                "request_ref": said(attributes, *_REQUEST_IDS) or span,
                "latency_ms": latency,
                "status": _status(attributes, error),
                "outcome": "failure" if error or failed(record.get("status")) else "success",
                "session": conceal(said(attributes, *_SESSIONS), self._inputs),
                "trace_id": trace,
                **(self._model_call if _is_genai(attributes) else self._request)(
                    record, attributes, category, start, where
                ),
            }
        )

    def _model_call(
        self, record: Mapping[str, Any], attributes: Mapping[str, Any], category: Category, time: int, where: Where
    ) -> Mapping[str, Any]:
        """What a GenAI span says besides: model, tokens and prompt, or the tool, agent or source of data.

        A server's own span has the Host header as its ``server.address``: that is the client's word.
        """
        addressed = said(attributes, "service.name" if record.get("kind") in _SERVER else "server.address")
        fields: dict[str, Any] = {"host": scrub(addressed, self._inputs)}
        if category in ("inference", "api_activity"):
            model, served = said(attributes, "gen_ai.request.model"), said(attributes, "gen_ai.response.model")
            fields.update(model=model or served, model_version=served if model and served != model else None)
        if category == "inference":
            fields.update(
                tokens_in=_first_number(attributes, *_TOKENS_IN),
                tokens_out=_first_number(attributes, *_TOKENS_OUT),
                **input_fields(self._inputs, _asked(record, attributes, where), time, where, _PROMPTS[0]),
            )
        elif category == "tool_call":
            given = opened(attributes.get(_ARGUMENTS))
            fields.update(
                object=scrub(said(attributes, "gen_ai.tool.name"), self._inputs),
                **input_fields(self._inputs, given, time, where, _ARGUMENTS),
            )
        else:
            names = _OBJECTS[category]
            fields.update(object=scrub(said(attributes, *names), self._inputs))
        return fields

    def _request(
        self, record: Mapping[str, Any], attributes: Mapping[str, Any], category: Category, time: int, where: Where
    ) -> Mapping[str, Any]:
        """What the HTTP span of a server says besides."""
        path = path_of(said(attributes, *_PATHS))
        route = classify(path or "/")
        return {
            "host": said(attributes, "service.name"),
            "method": said(attributes, *_METHODS),
            "endpoint": scrub(path, self._inputs),
            "model": route.model,
            "model_version": route.version,
        }


def _records(
    obj: Mapping[str, Any], where: Where, gathering: Gathering, kind: str
) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Place, record and its resource's attributes, of every span (``Spans``) or log record (``Logs``)."""
    for place, holder in listed(obj, where, f"resource{kind}"):
        with gathering.record(place, holder):
            shared = attributes_of(checked(holder, where).get("resource"), where, "resource", _RESOURCE)
            for scope_place, scope in listed(holder, where, f"scope{kind}"):
                with gathering.record(f"{place}.{scope_place}", scope):
                    for last, record in listed(checked(scope, where), where, _INNER[kind]):
                        yield f"{place}.{scope_place}.{last}", record, shared


def _kind(record: Mapping[str, Any], attributes: Mapping[str, Any]) -> tuple[Category, str] | None:
    """Category and operation; None where the record is not for us."""
    if "startTimeUnixNano" not in record and "endTimeUnixNano" not in record:
        event = said(record, "eventName") or said(attributes, "event.name")
        if event != _DETAILS:
            return None
    if _is_genai(attributes):
        operation = said(attributes, _OPERATION) or "chat"
        if operation in _KNOWN:
            return _KNOWN[operation]
        model_call = "gen_ai.request.model" in attributes and operation not in _AGENTS and "memory" not in operation
        return ("inference" if model_call else "api_activity"), operation
    if record.get("kind") in _SERVER and said(attributes, *_PATHS):
        route = classify(path_of(said(attributes, *_PATHS)) or "/")
        return route.category, route.operation
    return None


def _is_genai(attributes: Mapping[str, Any]) -> bool:
    return _OPERATION in attributes or "gen_ai.request.model" in attributes


def _times(record: Mapping[str, Any], where: Where) -> tuple[int, float | None]:
    """Start (µs) and latency (ms); a log record has one time only."""
    key = next((key for key in _STARTS if number_of(record.get(key))), "")
    start = number_of(record.get(key)) if key else None
    if start is None:
        raise reject(where, _STARTS[0], "missing, or no number of nanoseconds")
    end = number_of(record.get("endTimeUnixNano"))
    latency = None if end is None or end < start else round((end - start) / 1e6, 3)
    return check_time(start // 1000, key, where), latency


def _status(attributes: Mapping[str, Any], error: str | None) -> int | None:
    status = said(attributes, *_STATUSES) or error or ""
    return int(status) if len(status) == len("429") and status.isascii() and status.isdigit() else None


def _first_number(attributes: Mapping[str, Any], *names: str) -> int | None:
    return next((found for found in map(number_of, map(attributes.get, names)) if found is not None), None)


def _asked(record: Mapping[str, Any], attributes: Mapping[str, Any], where: Where) -> object:
    """The prompt: in the attributes, or in an event of the span; of conventions up to 1.36 an event per message."""
    found = _chat(attributes)
    if found is not None:
        return found
    pieces: list[object] = []
    for _, event in listed(record, where, "events"):
        held = attributes_of(event, where, "events", _WANTED)
        found = _chat(held)
        if found is not None:
            return found
        role = _PIECES.get(said(event, "name") or "") if isinstance(event, dict) else None
        if role is not None:
            pieces.append({"role": role, "content": opened(held.get("content"))})
    return chat_of(pieces)


def _chat(attributes: Mapping[str, Any]) -> object:
    messages = opened(next(filter(None, map(attributes.get, _PROMPTS)), None))
    return chat_of(messages, opened(attributes.get(_SYSTEM)))
