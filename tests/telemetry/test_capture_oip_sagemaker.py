"""Open Inference Protocol and SageMaker: what the readers make of a record, and what they refuse by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.telemetry.records_serving import (
    ANSWER,
    ISO,
    PAIR,
    TENSORS,
    TIME,
    capture,
)
from tests.telemetry.serving_reading import PATH, fields_of, of_input, parse

from threatmatrix.model.errors import FormatError


def test_oip_pair() -> None:
    first, second = parse("oip", PAIR)
    assert first == parse("oip", {**PAIR, "request": json.dumps(TENSORS), "response": json.dumps(ANSWER)})[0]
    expected = {
        "event_id": f"oip:req-9:both:{TIME}:1",
        "time": TIME,
        "source": "oip",
        "category": "inference",
        "operation": "infer",
        "principal": "scanner",
        "endpoint": "/v2/models/sorter/infer",
        "model": "sorter",
        "model_version": "4",
        "request_ref": "req-9",
        "row": 1,
        "rows": 2,
        "input_bytes": 12,
        "output_label": "bag",
        "output_scores": (0.125, 0.875),
        "latency_ms": 12.5,
        "status": 200,
        "trace_id": "1a" * 16,
    }
    assert expected.items() <= fields_of(second).items()
    assert first.input_fp != second.input_fp


def test_oip_bare_bodies_join_by_their_id() -> None:
    asked, answered = parse("oip", {**TENSORS, "time": TIME / 1e6}), parse("oip", {**ANSWER, "timestamp": ISO})
    assert [event.request_ref for event in (*asked, *answered)] == ["client-1"] * 4
    assert [event.row for event in asked] == [event.row for event in answered] == [0, 1]
    assert asked[0].input_fp == parse("oip", PAIR)[0].input_fp
    assert answered[1].output_label == "bag"
    assert len({event.event_id for event in (*asked, *answered)}) == 4


def test_oip_model_may_be_told_by_the_path() -> None:
    (event, _) = parse("oip", {"time": ISO, "path": "//v2/./models/m1/infer?x=1", "request": TENSORS})
    assert (event.model, event.endpoint) == ("m1", "/v2/models/m1/infer")


@pytest.mark.parametrize(
    ("record", "key"),
    [
        ({"time": ISO}, "request"),
        (TENSORS, "time"),
        ({**PAIR, "status": 2000}, "status"),
        ({**PAIR, "headers": "x"}, "headers"),
        ({**PAIR, "latency_ms": "soon"}, "latency_ms"),
        ({**PAIR, "request_id": 7}, "request_id"),
    ],
)
def test_oip_refuses_by_key(record: Any, key: str) -> None:
    with pytest.raises(FormatError) as error:
        parse("oip", record)
    assert error.value.key == key


def test_sagemaker_rows() -> None:
    first, second = parse("sagemaker", capture("0.5,0.25\n1,2", "0.75\n0.125"), PATH)
    assert {
        "event_id": "sagemaker:4d5b:0",
        "time": 1_767_225_600_000_000,
        "source": "sagemaker",
        "category": "inference",
        "operation": "infer",
        "principal": "scanner",
        "host": "parcels",
        "endpoint": "/endpoints/parcels/invocations",
        "model": "parcels",
        "model_version": "AllTraffic",
        "request_ref": "order-17",
        "row": 0,
        "rows": 2,
        "input_bytes": 16,
        "output_scores": (0.75,),
        "trace_id": "77aa",
    }.items() <= fields_of(first).items()
    assert second.output_scores == (0.125,)


def test_sagemaker_encodings_agree() -> None:
    csv = parse("sagemaker", capture("0.5,0.25", "0.75"))
    assert parse("sagemaker", capture("0.5,0.25", "0.75", "BASE64")) == csv
    as_json = parse("sagemaker", capture('{"instances": [[0.5, 0.25]]}', "[0.75]", "JSON", "application/json"))
    assert of_input(as_json) == of_input(csv)
    assert as_json[0].output_scores == (0.75,)
    parquet = parse("sagemaker", capture("PAR1\u00ff", "0.75", "BASE64", "application/x-parquet"))
    assert parquet[0].input_vec is None


def test_sagemaker_elsewhere_than_in_its_bucket_names_no_endpoint() -> None:
    (event,) = parse("sagemaker", capture("1", "2"), "/home/ana/capture.jsonl")
    assert event.model is event.endpoint is event.host is None


def test_sagemaker_may_have_captured_one_side_only() -> None:
    record = capture("1,2", "0.5")
    del record["captureData"]["endpointOutput"]
    (asked,) = parse("sagemaker", record)
    assert asked.input_fp
    assert asked.output_scores is None
    record = capture("1,2", "0.5\n0.25")
    del record["captureData"]["endpointInput"]
    assert [event.output_scores for event in parse("sagemaker", record)] == [(0.5,), (0.25,)]


@pytest.mark.parametrize(
    ("part", "key", "value", "named"),
    [
        ("endpointInput", "encoding", "XML", "encoding"),
        ("endpointInput", "data", 7, "data"),
        ("endpointOutput", "encoding", None, "encoding"),
        ("eventMetadata", "inferenceTime", None, "inferenceTime"),
        ("eventMetadata", "inferenceTime", 7, "inferenceTime"),
        ("eventMetadata", "eventId", ["x"], "eventId"),
    ],
)
def test_sagemaker_refuses_by_key(part: str, key: str, value: Any, named: str) -> None:
    record = capture("1", "2")
    (record if part in record else record["captureData"])[part][key] = value
    with pytest.raises(FormatError) as error:
        parse("sagemaker", record)
    assert error.value.key == named


def test_sagemaker_refuses_what_is_no_base64() -> None:
    record = capture("1", "2")
    record["captureData"]["endpointInput"]["encoding"] = "BASE64"
    with pytest.raises(FormatError, match="must be base64"):
        parse("sagemaker", record)
