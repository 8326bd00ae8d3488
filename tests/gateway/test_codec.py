"""The Open Inference Protocol codec and its routes, against hostile bodies."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from threatmatrix.gateway.outputs import parse_answer
from threatmatrix.gateway.routes import WEBSOCKET, parse_route
from threatmatrix.telemetry.inputs.oip import DTYPES, BodyProblem, parse_infer

from .conftest import infer_body
from .test_policy_file import JSON

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, max_side=4)


def arrays(datatype: str) -> st.SearchStrategy[tuple[str, np.ndarray]]:
    dtype = DTYPES[datatype]
    elements = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    return st.tuples(st.just(datatype), hnp.arrays(dtype, SHAPES, elements=elements or None))


@given(st.sampled_from(sorted(DTYPES)).flatmap(arrays), st.booleans())
def test_what_is_encoded_reads_back_exactly(case: tuple[str, np.ndarray], flat: bool) -> None:
    datatype, array = case
    request = parse_infer(json.dumps(infer_body(array, datatype, flat=flat)).encode())
    tensor = request.tensors[0]
    assert request.rows == len(array)
    assert tensor.array is not None
    assert tensor.array.dtype == DTYPES[datatype]
    assert np.array_equal(tensor.array.reshape(array.shape), array)
    assert tensor.nested == (array.ndim > 1 and not flat)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_a_request_or_a_body_problem(body: bytes) -> None:
    for parse in (parse_infer, lambda b: parse_answer(b, 2)):
        with contextlib.suppress(BodyProblem):
            parse(body)


@given(st.sampled_from(["name", "shape", "datatype", "data", "parameters"]), JSON)
def test_any_value_of_any_field_is_read_or_refused(field: str, value: Any) -> None:
    body = infer_body([[0.5, 1.0]])
    body["inputs"][0][field] = value
    try:
        request = parse_infer(json.dumps(body).encode())
    except BodyProblem:
        return
    assert sum(1 for tensor in request.tensors for _ in tensor.row_bytes()) == request.rows


def one(**change: Any) -> bytes:
    base = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2], [3, 4]]}
    return json.dumps({"inputs": [{**base, **change}]}).encode()


@pytest.mark.parametrize(
    "body",
    [
        one(data=[[1, 2], [3]]),
        one(data=[[1, 2, 3], [4]]),
        one(data=["1", "2", "3", "4"]),
        one(data=[None, 1, 2, 3]),
        one(data=[True, False, True, True]),
        one(data=[1e39, 0, 0, 0]),
        one(data=[10**400, 0, 0, 0]),
        one(data=[{}, [], 1, 2]),
        one(data=["ab", "cd"]),
        one(data=[["x" * 100_000, "y"], ["z", "w"]]),
        one(shape=[2, -2]),
        one(shape=[0, 2], data=[]),
        one(shape=[True, 4]),
        one(shape=[10**30, 10**30]),
        one(shape=[1] * 9, data=[1]),
        one(datatype="INT8", data=[1, 2, 3, 128]),
        one(datatype="UINT8", data=[1, 2, 3, -1]),
        one(datatype="INT64", data=[1, 2, 3, 2**63]),
        one(datatype="UINT64", data=[1, 2, 3, -1]),
        one(datatype="INT64", data=[1, 2, 3, 4.0]),
        one(datatype="BYTES", data=[1, 2, 3, 4]),
        b'{"inputs": [], "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}',
        b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1e999]}]}',
        b"[" * 100_000,
        b'{"inputs": ' + b"9" * 5000 + b"}",
        json.dumps({"inputs": "x"}).encode("utf-16"),
    ],
)
def test_what_is_malformed_is_called_so(body: bytes) -> None:
    with pytest.raises(BodyProblem) as caught:
        parse_infer(body)
    assert not caught.value.opaque


def test_what_is_beyond_the_codec_is_called_opaque() -> None:
    binary = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}]}'
    elsewhere = [one(parameters={key: 4}) for key in ("binary_data_size", "shared_memory_region")]
    for body in (one(datatype="BF16"), binary, *elsewhere):
        with pytest.raises(BodyProblem) as caught:
            parse_infer(body)
        assert caught.value.opaque


@pytest.mark.parametrize(
    "other",
    [
        {"name": "y", "shape": [1], "datatype": "FP32", "data": [0]},
        {"name": "y", "shape": [3], "datatype": "FP32", "data": [0, 0, 0]},
        {"name": "x", "shape": [2], "datatype": "FP32", "data": [0, 0]},
    ],
)
def test_inputs_without_a_common_batch_or_a_name_of_their_own_are_malformed(other: dict[str, Any]) -> None:
    with pytest.raises(BodyProblem) as caught:
        parse_infer(json.dumps({"inputs": [json.loads(one())["inputs"][0], other]}).encode())
    assert not caught.value.opaque


def test_texts_are_rows_too() -> None:
    for data in (["a", "b"], [["a"], ["b"]]):
        request = parse_infer(one(shape=[2, 1], datatype="BYTES", data=data))
        assert request.tensors[0].texts == [["a"], ["b"]]
        assert list(request.tensors[0].row_bytes()) == [b'["a"]', b'["b"]']


@pytest.mark.parametrize(
    ("data", "scores"),
    [
        ([0.1, 0.9, 0.8, 0.2], [[0.1, 0.9], [0.8, 0.2]]),
        ([[0.1, 0.9], [0.8, 0.2]], [[0.1, 0.9], [0.8, 0.2]]),
        ([[0.1, 0.9], [0.8]], None),
        ([0.1, 0.2, 0.3], None),
        ([float("nan"), 0.1], None),
        ([10**400, 0.1], None),
        (["a", "b"], None),
        ([], None),
    ],
)
def test_scores_are_read_by_row_or_not_at_all(data: list[Any], scores: list[list[float]] | None) -> None:
    body = json.dumps({"outputs": [{"name": "scores", "data": data}]}).encode()
    answer = parse_answer(body, 2)
    assert answer.scores == scores
    assert answer.labels == (["1", "0"] if scores else None)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v2/models/m/infer", ("inference", "infer", "m", None)),
        ("POST", "/v2/models/m/versions/2/infer", ("inference", "infer", "m", "2")),
        ("POST", "//v2/models/m//infer/", ("inference", "infer", "m", None)),
        ("PUT", "/v2/models/m/infer", ("inference", "infer", "m", None)),
        ("get", "/v2/models/m/infer", ("inference", "infer", "m", None)),
        ("POST", "/v2/./models/x/../m/infer", ("inference", "infer", "m", None)),
        ("POST", "/v2/models/m/%69nfer", ("inference", "infer", "m", None)),
        ("POST", "/v2/models/m%2Finfer", ("inference", "infer", "m", None)),
        ("POST", "/%2576%32/models/m/%252e/infer", ("inference", "infer", "m", None)),
        ("GET", "/v2/models/m/../../health/live", ("http", "other", None, None)),
        ("POST", "/v2/health/live/", ("model_access", "health", None, None)),
        ("GET", "/v2", ("model_access", "metadata", None, None)),
        ("GET", "/v2/models/m", ("model_access", "metadata", "m", None)),
        ("GET", "/v2/models/m/ready", ("model_access", "health", "m", None)),
        ("GET", "/v2/health/live", ("model_access", "health", None, None)),
        ("GET", "/v2/models/m/infer\n", ("http", "other", None, None)),
        ("GET", "/metrics", ("http", "other", None, None)),
        ("POST", "/v2/models/m/feedback", ("http", "other", "m", None)),
        ("DELETE", "/v2/models/m/feedback/", ("http", "other", "m", None)),
        ("GET", "/" + "x" * 1000, ("http", "other", None, None)),
    ],
)
def test_routes(method: str, path: str, expected: tuple[Any, ...]) -> None:
    assert tuple(parse_route(method, path)) == (*expected, False)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v2/models/m/generate", "m"),
        ("/v2/models/m/versions/1/generate_stream", "m"),
        ("/V2/Models/m/infer", "m"),
        ("/v1/models/m:predict", "m"),
        ("/v1/models/m/versions/3:classify", "m"),
        ("/v2/repository/models/m/unload", "m"),
        ("/v2/models/m", "m"),
        ("/v2/models/m/ready", "m"),
        ("/v2/models/m:predict", None),
        ("/v2/models/a/b/infer", None),
        ("/v2/models/m\n/infer", None),
        ("/v2/repository/index", None),
        ("/v2/models/" + "%25" * 9 + "41/infer/x/y", None),
    ],
)
def test_what_may_be_an_inference_is_unread_and_reading_it_is_not(path: str, model: str | None) -> None:
    for method in ("POST", "PUT", "PATCH", WEBSOCKET):
        route = parse_route(method, path)
        assert (route.unread, route.model) == (True, model)
    assert not parse_route("GET", path).unread
    assert not parse_route("HEAD", path).unread


@pytest.mark.parametrize("path", ["/v2", "/metrics", "/v1/chat/completions", "/v1/modelsx", "/v2/health/live"])
def test_other_paths_are_not_taken_for_an_inference(path: str) -> None:
    assert not parse_route("POST", path).unread
