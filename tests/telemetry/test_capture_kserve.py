"""KServe's inference logger: what its reader makes of each shape, and what it refuses by name."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.telemetry.records_serving import (
    INPUTS,
    METADATA,
    RESPONSE_TYPE,
    TIME,
    cloud_event,
    message,
    stored,
)
from tests.telemetry.serving_reading import fields_of, parse

from threatmatrix.model.errors import FormatError
from threatmatrix.telemetry.messages import HttpMessage, split_http
from threatmatrix.telemetry.readers.base import Options, Where
from threatmatrix.telemetry.readers.kserve import KServeReader
from threatmatrix.telemetry.readers.messages import chat_of


def test_kserve_request_and_response_belong_together_row_by_row() -> None:
    asked, answered = parse("kserve", cloud_event()), parse("kserve", cloud_event(RESPONSE_TYPE))
    common = {
        "time": TIME,
        "source": "kserve",
        "category": "inference",
        "operation": "infer",
        "principal": "scanner",
        "host": "sorter.parcels",
        "user_agent": "Scanner/4.1",
        "model": "sorter",
        "request_ref": "req-9",
        "rows": 2,
    }
    for row, (request, response) in enumerate(zip(asked, answered, strict=True)):
        stand_in = {name: value for name, value in fields_of(request).items() if name.startswith(("input_", "vec_"))}
        assert {"input_fp", "input_vec", "vec_scale", "vec_key", "input_bytes"} == stand_in.keys()
        assert fields_of(request) == {**common, **stand_in, "event_id": f"kserve:0f3c:request:{TIME}:{row}", "row": row}
        assert fields_of(response) == {
            **common,
            "event_id": f"kserve:0f3c:response:{TIME}:{row}",
            "row": row,
            "status": 200,
            "model_version": "4",
            "output_label": ("box", "bag")[row],
            "output_scores": ((0.75, 0.25), (0.125, 0.875))[row],
        }


@pytest.mark.parametrize("kind", ["org.kubeflow.serving.inference.request", RESPONSE_TYPE])
def test_kserve_says_the_same_in_every_shape(kind: str) -> None:
    event = cloud_event(kind)
    expected = parse("kserve", event)
    ((_, http, _),) = split_http(message(event))
    ((_, line, _),) = split_http(json.dumps(event).encode())
    shapes = [
        http,
        line,
        stored(event),
        {**stored(event), "body": json.dumps(event["data"])},
        {"headers": {name: [value] for name, value in stored(event)["headers"].items()}, "body": event["data"]},
        {**event, "data": ..., "data_base64": base64.b64encode(json.dumps(event["data"]).encode()).decode()},
        {**event, "metadata": METADATA},
        {**event, "metadata": json.dumps(METADATA).replace("{", "%7B").replace('"', "%22")},
    ]
    for shape in shapes:
        assert parse("kserve", shape) == expected


def test_kserve_without_a_proxys_id_goes_by_its_own() -> None:
    (event, _) = parse("kserve", cloud_event(metadata=...))
    assert event.request_ref == "0f3c"
    assert event.principal is event.user_agent is None


def test_kserve_repeats_of_a_clients_ce_id_stay_apart() -> None:
    first, second = parse("kserve", cloud_event()), parse("kserve", cloud_event(time="2026-01-01T00:00:00.250001Z"))
    assert {event.event_id for event in first}.isdisjoint(event.event_id for event in second)
    assert [event.event_id for event in first] == [event.event_id for event in parse("kserve", cloud_event())]


@pytest.mark.parametrize("header", ["Authorization", "cookie", "X-Api-Key"])
def test_headers_that_carry_keys_are_no_principals(header: str) -> None:
    reader = KServeReader(Options(principal_header=header.lower()))
    for event in reader.parse(cloud_event(metadata=json.dumps({header: ["Bearer s3cret"]})), Where()):
        assert event.principal is None


def test_kserve_requests_without_a_body_are_no_inferences() -> None:
    (asked,) = parse("kserve", cloud_event(data=...))
    (answered,) = parse("kserve", cloud_event(RESPONSE_TYPE, data={"name": "sorter", "ready": True}))
    assert [(event.category, event.operation, event.row) for event in (asked, answered)] == [
        ("model_access", "metadata", None)
    ] * 2


def test_kserve_v1_and_other_bodies() -> None:
    (event,) = parse("kserve", cloud_event(data={"instances": [[0.25, 0.5]]}))
    assert event.input_vec is not None
    (text,) = parse("kserve", stored(cloud_event(data="free text", datacontenttype="text/plain")))
    assert text.input_fp == INPUTS.text("free text", TIME).input_fp
    (unknown,) = parse("kserve", cloud_event(RESPONSE_TYPE, data={"result": "ok", "more": None}))
    assert unknown.output_label is None
    assert unknown.rows is None
    (binary,) = parse(
        "kserve", HttpMessage("POST / HTTP/1.1", dict(stored(cloud_event())["headers"]) | http_headers(), b"\xff\x00")
    )
    assert binary.input_fp is not None


def http_headers() -> dict[str, str]:
    return {name.lower(): value for name, value in stored(cloud_event())["headers"].items()}


def test_kserve_chats_are_one_text_whatever_the_log() -> None:
    messages = [{"role": "user", "content": "where is parcel seventeen"}]
    (event,) = parse("kserve", cloud_event(data={"model": "m", "messages": messages}))
    expected = INPUTS.text(json.dumps(chat_of(messages), sort_keys=True, separators=(",", ":")), TIME)
    assert (event.operation, event.input_fp) == ("chat", expected.input_fp)
    (answer,) = parse(
        "kserve",
        cloud_event(RESPONSE_TYPE, data={"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 9}}),
    )
    assert (answer.tokens_in, answer.tokens_out) == (7, 9)


@pytest.mark.parametrize(
    ("record", "key"),
    [
        (cloud_event(type="org.example.other"), "type"),
        (cloud_event(type=7), "type"),
        (cloud_event(time=...), "time"),
        (cloud_event(time="yesterday"), "time"),
        (cloud_event(time="0001-01-01T00:00:00Z"), "time"),
        (cloud_event(id=...), "id"),
        (cloud_event(inferenceservicename=["a"]), "inferenceservicename"),
        ({**cloud_event(data=...), "data_base64": "not base64!"}, "data_base64"),
        ({"headers": 3, "body": {}}, "type"),
        (HttpMessage("", {}, b"{"), ""),
        (HttpMessage("", {}, b"[1]"), ""),
        (HttpMessage("GET / HTTP/1.1", {}, b""), "type"),
    ],
)
def test_kserve_refuses_by_key(record: Any, key: str) -> None:
    with pytest.raises(FormatError) as error:
        parse("kserve", record)
    assert (error.value.key, error.value.line) == (key, 4)
