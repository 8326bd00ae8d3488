"""Azure ML and Vertex AI: what the readers make of a record, and what they refuse by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.telemetry.records_serving import (
    INPUTS,
    TIME,
    VERTEX,
    cloud_event,
    collected,
)
from tests.telemetry.serving_reading import fields_of, of_input, parse

from threatmatrix.model.errors import FormatError


def test_azureml_request_and_response() -> None:
    first, second = parse("azureml", collected())
    assert {
        "event_id": "azureml:9e1a:0",
        "time": 1_767_225_600_000_000,
        "source": "azureml",
        "category": "inference",
        "operation": "infer",
        "host": "parcels",
        "method": "POST",
        "endpoint": "/score",
        "model": "parcels",
        "model_version": "blue",
        "request_ref": "corr-1",
        "row": 0,
        "rows": 2,
        "input_bytes": 24,
    }.items() <= fields_of(first).items()
    assert second.input_fp != first.input_fp
    answered = parse("azureml", collected("response", id="77", data=[0.5, 1.5], path=..., method=...))
    assert [(event.request_ref, event.row, event.output_scores) for event in answered] == [
        ("corr-1", 0, (0.5,)),
        ("corr-1", 1, (1.5,)),
    ]
    doubly = parse("azureml", collected("response", data="[0.5, 1.5]"))  # a script that returns JSON as a text
    assert [event.output_scores for event in doubly] == [(0.5,), (1.5,)]


def test_azureml_tables_may_hold_rows_of_several_requests() -> None:
    rows = [{"age": 30, "correlationid": "a"}, {"age": 40, "correlationid": "b"}, {"age": 50, "correlationid": "a"}]
    events = parse("azureml", collected("model_inputs", data=rows))
    assert [(event.request_ref, event.row, event.rows) for event in events] == [("a", 0, 2), ("b", 0, 1), ("a", 1, 2)]
    assert len({event.event_id for event in events}) == 3
    plain = parse("azureml", collected("model_inputs", data=[{"age": 30}]))
    assert of_input(events)[:1] == of_input(plain)  # the id is no part of the input
    labels = parse("azureml", collected("model_outputs", data=[{"0": 1}, {"0": 0}]))
    assert [event.output_label for event in labels] == ["1", "0"]


def test_azureml_data_in_a_blob_has_only_a_size() -> None:
    (event,) = parse("azureml", collected(data="https://x/y", datainblob="true", contentrange="bytes 0-80770/80771"))
    assert (event.input_bytes, event.input_fp, event.request_ref) == (80771, None, "corr-1")


def test_azureml_other_collections_are_passed_over() -> None:
    assert parse("azureml", collected("my_notes", data=[1])) == ()


@pytest.mark.parametrize(
    ("key", "value"), [("type", "azureml.other"), ("type", 7), ("time", ...), ("time", 7), ("id", 7)]
)
def test_azureml_refuses_by_key(key: str, value: Any) -> None:
    with pytest.raises(FormatError) as error:
        parse("azureml", collected(**{key: value}))
    assert error.value.key == key


def test_vertex_instances() -> None:
    first, second = parse("vertex", VERTEX)
    assert {
        "event_id": "vertex:901234567890123456:1",
        "time": TIME,
        "source": "vertex",
        "category": "inference",
        "operation": "infer",
        "host": "7700",
        "endpoint": "/projects/12/locations/europe-west4/endpoints/7700",
        "model": "7700",
        "model_version": "88",
        "request_ref": "901234567890123456",
        "row": 1,
        "rows": 2,
        "input_bytes": 16,
        "output_label": "1",
        "output_scores": (0.125, 0.875),
    }.items() <= fields_of(second).items()
    assert of_input([first, second]) == of_input(
        parse("kserve", cloud_event(data={"instances": [[0.5, 0.25], [0.125, 1.0]]}, inferenceservicename="7700"))
    )


@pytest.mark.parametrize(
    "stamp", ["2026-01-01 00:00:00.25", "2026-01-01T00:00:00.250Z", 1767225600.25, "1.76722560025E9"]
)
def test_vertex_time_as_exporters_write_it(stamp: Any) -> None:
    assert parse("vertex", {**VERTEX, "logging_time": stamp})[0].time == TIME


def test_vertex_raw_bodies_and_scalars() -> None:
    raw = {
        **VERTEX,
        "request_payload": ['{"instances": [[1, 2], [3, 4]]}'],
        "response_payload": ['{"predictions": [7, 8]}'],
    }
    assert [event.output_label for event in parse("vertex", raw)] == ["7", "8"]
    texts = {**VERTEX, "request_payload": ["a phrase"], "response_payload": ["0.5"]}
    (event,) = parse("vertex", texts)
    assert (event.input_fp, event.output_scores) == (INPUTS.text("a phrase", TIME).input_fp, (0.5,))


def test_vertex_foundation_models() -> None:
    full = {
        **VERTEX,
        "request_payload": [],
        "response_payload": [],
        "request_id": 12,
        "model": "publishers/google/models/gemini-x",
        "model_version": "default",
        "full_request": json.dumps({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}),
        "full_response": {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 5}},
        "metadata": '{"request_latency": 12.5}',
    }
    (event,) = parse("vertex", full)
    assert (event.operation, event.model, event.model_version) == ("chat", "gemini-x", "default")
    assert (event.tokens_in, event.tokens_out, event.latency_ms, event.request_ref) == (3, 5, 12.5, "12")
    same = parse("kserve", cloud_event(data={"messages": [{"role": "user", "content": "hello"}]}))
    assert event.input_fp == same[0].input_fp


@pytest.mark.parametrize(
    ("key", "value"),
    [("logging_time", None), ("logging_time", "now"), ("request_payload", 7), ("endpoint", 7), ("model", [])],
)
def test_vertex_refuses_by_key(key: str, value: Any) -> None:
    with pytest.raises(FormatError) as error:
        parse("vertex", {**VERTEX, key: value})
    assert error.value.key == key
