"""LiteLLM's payloads and spend log: what they become."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.telemetry.cloud_reading import EVERYTHING, event_of, events_of, options
from tests.telemetry.records_cloud import ARGUMENTS, LITELLM_FAILURE, LITELLM_SPEND, LITELLM_TOOL

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.readers.base import Options
from threatmatrix.telemetry.readers.parts import PartlyRead
from threatmatrix.telemetry.reading import read_events

Build = Callable[..., dict[str, Any]]
SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "samples" / "litellm.json"
ASKED = '[{"content":"where is parcel seventeen","role":"user"}]'
MIDNIGHT = 1_767_225_600_000_000


def test_litellm_event(record: Build) -> None:
    assert event_of("litellm", record("litellm")) == Event(
        event_id="litellm:call-77",
        time=MIDNIGHT + 250_000,
        source="litellm",
        category="inference",
        operation="chat",
        tenant="team-4",
        principal="billing-bot",
        key_id="hash-1",
        src_ip="192.0.2.44",
        user_agent="house-sdk/2",
        endpoint="/v1/chat/completions",
        model="house-model",
        model_version="house-model-2026-01",
        request_ref="call-77",
        input_bytes=len(ASKED),
        tokens_in=12,
        tokens_out=34,
        latency_ms=1500.0,
        status=200,
        outcome="success",
        decision="allow",
        session="chat-3",
        trace_id="trace-5",
    )


def test_fingerprint_needs_a_secret_and_depends_on_it(record: Build) -> None:
    def fingerprint(asked: Options, **changes: Any) -> str | None:
        return event_of("litellm", record("litellm", **changes), asked).input_fp

    one, two = options(), options(b"y" * 32)
    short = [{"role": "user", "content": "sort"}]  # too short for a vector, whose projection takes long to make
    assert event_of("litellm", record("litellm")).input_fp is None
    assert fingerprint(one, messages=short) == fingerprint(one, messages=short) != fingerprint(two, messages=short)
    assert fingerprint(one, messages=short) != fingerprint(one, messages=[{"role": "user", "content": "other"}])


@pytest.mark.parametrize(
    "hidden", [[{"role": "user", "content": "redacted-by-litellm"}], "redacted-by-litellm", {}, [], None, ""]
)
def test_no_messages_leave_nothing(record: Build, hidden: object) -> None:
    event = event_of("litellm", record("litellm", messages=hidden), options())
    assert event.input_fp is event.input_bytes is None


def test_parts_of_a_message(record: Build) -> None:
    """The same text, and an image beside it."""
    text = {"type": "text", "text": "where is parcel seventeen"}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    plain, parted, both = (
        event_of("litellm", record("litellm", messages=[{"role": "user", "content": content}]), options())
        for content in ("where is parcel seventeen", [text], [text, image])
    )
    assert plain.input_fp == parted.input_fp != both.input_fp


@pytest.mark.parametrize(
    ("changes", "status", "decision"),
    [
        ({"status": "failure", "error_information": {"error_code": "429"}}, 429, "allow"),
        ({"status": "failure", "error_information": {"error_code": 401}}, 401, "allow"),
        ({"status": "failure", "error_information": {"error_code": "timeout"}}, 500, "allow"),
        ({"status": "failure", "error_information": None}, 500, "allow"),
        ({"status_fields": {"guardrail_status": "guardrail_intervened"}}, 200, "deny"),
        ({"status_fields": {"guardrail_status": "not_run"}}, 200, None),
        ({"status": ...}, None, "allow"),
    ],
)
def test_status(record: Build, changes: dict[str, Any], status: int | None, decision: str | None) -> None:
    event = event_of("litellm", record("litellm", **changes))
    assert (event.status, event.decision) == (status, decision)
    assert event.outcome == (None if status is None else "success" if status == 200 else "failure")


def test_a_failure_has_no_response_and_its_key() -> None:
    event = event_of("litellm", LITELLM_FAILURE, options())
    assert (event.status, event.outcome, event.model_version) == (401, "failure", None)
    assert (event.principal, event.key_id, event.tokens_in) == ("billing-bot", "99" * 32, None)
    assert event.input_fp is not None


def test_spend_log_row() -> None:
    event = event_of("litellm", LITELLM_SPEND)
    assert (event.event_id, event.time, event.latency_ms) == ("litellm:chatcmpl-71", MIDNIGHT + 250_000, 500.0)
    assert (event.operation, event.model, event.tokens_in) == ("embeddings", "house-embedder", 7)
    assert event.principal == event.key_id == "88" * 32
    assert (event.tenant, event.src_ip, event.session, event.status) == ("team-4", "192.0.2.44", "chat-3", 200)


def test_spend_log_page_with_one_bad_row() -> None:
    rows = [LITELLM_SPEND, {**LITELLM_SPEND, "startTime": None}, {**LITELLM_SPEND, "request_id": "x"}]
    with pytest.raises(PartlyRead) as error:
        events_of("litellm", {"data": rows, "total": 3, "page": 1})
    assert [event.request_ref for event in error.value.events] == ["chatcmpl-71", "x"]
    assert [problem.key for _, problem in error.value.refused] == ["data[1].startTime"]
    assert len(events_of("litellm", {"data": rows[:1]})) == 1


def test_missing_alias_leaves_the_hash(record: Build) -> None:
    metadata = {**record("litellm")["metadata"], "user_api_key_alias": None}
    assert event_of("litellm", record("litellm", metadata=metadata)).principal == "hash-1"


def test_tool_call() -> None:
    event = event_of("litellm", LITELLM_TOOL, EVERYTHING)
    assert (event.category, event.operation, event.object) == ("tool_call", "execute_tool", "parcels-find_parcel")
    assert (event.input_raw, event.model) == (json.dumps(ARGUMENTS, separators=(",", ":")), None)


def test_an_end_before_the_start_is_no_latency(record: Build) -> None:
    assert event_of("litellm", record("litellm", response_time=..., endTime=1)).latency_ms is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("startTime", ...),
        ("startTime", "soon"),
        ("startTime", "12-13"),
        ("startTime", 1e300),
        ("metadata", []),
        ("metadata", "no JSON"),
        ("prompt_tokens", "many"),
        ("completion_tokens", -3),
        ("status", "maybe"),
        ("model", 4),
        ("call_type", []),
    ],
)
def test_refuses_by_key(record: Build, key: str, value: Any) -> None:
    with pytest.raises(FormatError) as error:
        event_of("litellm", record("litellm", **{key: value}))
    assert (error.value.key, error.value.line) == (key, 4)


@pytest.mark.parametrize("indent", [None, 1])
def test_a_page_and_an_array_are_recognised(tmp_path: Path, indent: int | None) -> None:
    for name, value in (("page.json", {"data": [LITELLM_SPEND]}), ("array.json", [LITELLM_SPEND, LITELLM_FAILURE])):
        path = tmp_path / name
        path.write_text(json.dumps(value, indent=indent))
        assert [event.source for batch in read_events([path], "auto") for event in batch] == ["litellm"] * len(value)


def test_a_record_that_litellm_wrote() -> None:
    if not SAMPLE.exists():
        pytest.skip("needs ../shared")
    event = event_of("litellm", json.loads(SAMPLE.read_text()))
    assert (event.principal, event.key_id, event.status, event.operation) == ("abc", "abc", 200, "chat")
    assert (event.tokens_in, event.tokens_out, event.latency_ms) == (10, 20, 63.533)
