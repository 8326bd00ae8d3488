"""OpenTelemetry: what spans and log records become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.telemetry.cloud_reading import EVERYTHING, event_of, events_of, options
from tests.telemetry.records_cloud import (
    AGENT,
    ARGUMENTS,
    CHAT,
    CHAT_ATTRIBUTES,
    CHAT_MESSAGES,
    DATABASE,
    DETAILS,
    METADATA,
    PAGE,
    QUESTION,
    RETRIEVAL,
    SERVED,
    TOOL,
    TRACE,
    attribute,
    span,
    traces,
)

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.readers.parts import PartlyRead
from threatmatrix.telemetry.reading import read_events

START = 1_767_225_600_250_000
ASKED = '[{"content":"You sort parcels.","role":"system"},{"content":"' + QUESTION + '","role":"user"}]'


def chat(**attributes: Any) -> dict[str, Any]:
    """An export with one chat span; underscores stand for dots, None takes an attribute away."""
    changed = {**CHAT_ATTRIBUTES, **{key.replace("__", "."): value for key, value in attributes.items()}}
    return traces(span(1, 3, {key: value for key, value in changed.items() if value is not None}))


def test_chat() -> None:
    assert event_of("otel", traces(CHAT)) == Event(
        event_id=f"otel:{TRACE}:{CHAT['spanId']}",
        time=START,
        source="otel",
        category="inference",
        operation="chat",
        principal="ana",
        src_ip="198.51.100.7",
        host="models.example",
        user_agent="house-sdk/2",
        model="sorter",
        model_version="sorter-2026-01",
        request_ref="resp-9",
        input_bytes=len(ASKED),
        tokens_in=12,
        tokens_out=34,
        latency_ms=1500.0,
        status=429,
        outcome="failure",
        session="conv-3",
        trace_id=TRACE,
    )


@pytest.mark.parametrize(
    ("recorded", "category", "operation", "about"),
    [
        (TOOL, "tool_call", "execute_tool", "find_parcel"),
        (AGENT, "api_activity", "invoke_agent", "sorter-agent"),
        (RETRIEVAL, "artifact_access", "retrieval", "parcels-kb"),
        (SERVED, "inference", "infer", None),
        (METADATA, "model_access", "metadata", None),
        (PAGE, "http", "other", None),
    ],
)
def test_kinds(recorded: dict[str, Any], category: str, operation: str, about: str | None) -> None:
    event = event_of("otel", traces(recorded))
    assert (event.category, event.operation, event.object, event.trace_id) == (category, operation, about, TRACE)


@pytest.mark.parametrize(
    ("name", "category", "operation"),
    [
        ("text_completion", "inference", "completion"),
        ("embeddings", "inference", "embeddings"),
        ("generate_content", "inference", "generate_content"),
        ("rerank", "inference", "rerank"),
        ("create_agent", "api_activity", "create_agent"),
        ("update_memory", "api_activity", "update_memory"),
        (None, "inference", "chat"),
    ],
)
def test_operations(name: str | None, category: str, operation: str) -> None:
    event = event_of("otel", chat(gen_ai__operation__name=name))
    assert (event.category, event.operation) == (category, operation)


def test_tool_arguments_are_only_fingerprinted() -> None:
    event = event_of("otel", traces(TOOL), options())
    structured = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": ARGUMENTS}
    assert event.input_fp == event_of("otel", traces(span(2, 1, structured)), options()).input_fp is not None
    assert event_of("otel", traces(TOOL), EVERYTHING).input_raw == json.dumps(ARGUMENTS, separators=(",", ":"))


@pytest.mark.parametrize(
    ("attributes", "events"),
    [
        ({"gen_ai.input.messages": CHAT_MESSAGES}, []),
        ({"gen_ai.input.messages": json.dumps(CHAT_MESSAGES)}, []),
        ({"gen_ai.prompt": QUESTION}, []),
        ({}, [("gen_ai.client.inference.operation.details", "gen_ai.input.messages", CHAT_MESSAGES)]),
        (
            {},
            [("exception", "exception.message", "x"), ("gen_ai.user.message", "content", QUESTION)],
        ),
        ({}, [("gen_ai.content.prompt", "gen_ai.prompt", json.dumps(CHAT_MESSAGES))]),
    ],
)
def test_prompts_of_all_conventions_are_one_prompt(
    attributes: dict[str, Any], events: list[tuple[str, str, Any]]
) -> None:
    held = [{"name": name, "attributes": [attribute(key, value)]} for name, key, value in events]
    recorded = span(1, 3, {"gen_ai.operation.name": "chat", **attributes}, events=held)
    event = event_of("otel", traces(recorded), EVERYTHING)
    assert event.input_raw == f'[{{"content":"{QUESTION}","role":"user"}}]'


def test_the_event_with_a_calls_details() -> None:
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [DETAILS, {"body": {"stringValue": "hello"}, **_TIME}]}]}]}
    event = event_of("otel", logs, options())
    of_span = event_of("otel", traces(CHAT), options())
    assert event.event_id == f"{of_span.event_id}:details"
    assert (event.trace_id, event.request_ref, event.input_fp) == (
        of_span.trace_id,
        of_span.request_ref,
        of_span.input_fp,
    )
    assert (event.time, event.latency_ms) == (START + 1_500_000, None)
    named = {**DETAILS, "eventName": None}
    named["attributes"] = [*DETAILS["attributes"], attribute("event.name", DETAILS["eventName"])]
    logs["resourceLogs"][0]["scopeLogs"][0]["logRecords"] = [named]
    assert event_of("otel", logs).event_id == event.event_id


_TIME = {"timeUnixNano": "1767225600250000000"}


def test_what_is_not_for_us_is_passed_over() -> None:
    assert events_of("otel", traces(DATABASE)) == []
    assert events_of("otel", {"resourceMetrics": [{}]}) == []
    assert events_of("otel", {"resourceSpans": []}) == []
    assert [event.operation for event in events_of("otel", traces(DATABASE, TOOL, DATABASE))] == ["execute_tool"]
    client = span(9, 3, {"url.path": "/v1/chat/completions", "http.request.method": "POST"})
    assert events_of("otel", traces(client)) == [], "a client's HTTP span is its own GenAI span's child"


def test_one_bad_span_hides_no_other() -> None:
    export = traces(CHAT, {**TOOL, "startTimeUnixNano": "soon"}, "x", AGENT)
    export["resourceSpans"] += ["odd", {"scopeSpans": "odd"}, {"scopeSpans": [7, {"spans": [RETRIEVAL]}]}]
    with pytest.raises(PartlyRead) as error:
        events_of("otel", export)
    assert [event.operation for event in error.value.events] == ["chat", "invoke_agent", "retrieval"]
    assert [problem.key for _, problem in error.value.refused] == [
        "resourceSpans[1]",
        "resourceSpans[2].scopeSpans",
        "resourceSpans[3].scopeSpans[0]",
        "resourceSpans[0].scopeSpans[0].spans[1].startTimeUnixNano",
        "resourceSpans[0].scopeSpans[0].spans[2]",
    ]


def test_a_servers_span_does_not_believe_the_host_header() -> None:
    event = event_of("otel", traces(PAGE, service_name="labels-server"))
    assert (event.host, event.endpoint, event.method, event.status) == ("labels-server", "/login", "POST", 403)
    assert event_of("otel", traces(PAGE)).host is None


def test_who_asked_may_stand_in_the_resource() -> None:
    recorded = span(1, 3, {"gen_ai.operation.name": "chat"})
    event = event_of("otel", traces(recorded, user_id=7, session_id="s-1"))
    assert (event.principal, event.session) == ("7", "s-1")


@pytest.mark.parametrize(
    ("changes", "status", "outcome"),
    [
        ({"error__type": None}, None, "success"),
        ({"error__type": "timeout"}, None, "failure"),
        ({"error__type": "500"}, 500, "failure"),
        ({"error__type": None, "http__response__status_code": 200}, 200, "success"),
    ],
)
def test_outcomes(changes: dict[str, Any], status: int | None, outcome: str) -> None:
    event = event_of("otel", chat(**changes))
    assert (event.status, event.outcome) == (status, outcome)


@pytest.mark.parametrize("code", [2, "STATUS_CODE_ERROR"])
def test_a_span_that_failed(code: object) -> None:
    recorded = span(1, 3, {"gen_ai.operation.name": "chat"}, status={"code": code, "message": "boom"})
    assert event_of("otel", traces(recorded)).outcome == "failure"


def test_numbers_as_texts_as_numbers_and_crooked() -> None:
    for value, tokens in (("12", 12), (12, 12), ("many", None), (True, None), (-1, None), (10**30, None)):
        recorded = span(1, 3, {"gen_ai.operation.name": "chat"})
        recorded["attributes"].append({"key": "gen_ai.usage.input_tokens", "value": {"intValue": value}})
        recorded["startTimeUnixNano"] = 1767225600250000000
        assert event_of("otel", traces(recorded)).tokens_in == tokens


@pytest.mark.parametrize("trace", ["", "0" * 32, "xyz", None, 7])
def test_a_crooked_trace_id_hides_nothing(trace: object) -> None:
    first, again = (event_of("otel", traces({**CHAT, "traceId": trace})) for _ in range(2))
    assert first.trace_id is None
    assert first.event_id == again.event_id
    assert first.event_id.startswith("otel:")


@pytest.mark.parametrize("export", [{}, {"resourceSpans": {}}, {"resourceLogs": "x"}])
def test_what_is_no_export(export: dict[str, Any]) -> None:
    with pytest.raises(FormatError) as error:
        events_of("otel", export)
    assert error.value.line == 4


def test_a_file_of_the_collector(tmp_path: Path) -> None:
    path = tmp_path / "traces.json"
    path.write_text("\n".join(json.dumps(traces(recorded)) for recorded in (DATABASE, CHAT, TOOL)) + "\n")
    events = [event for batch in read_events([path], "auto") for event in batch]
    assert [event.category for event in events] == ["inference", "tool_call"]
