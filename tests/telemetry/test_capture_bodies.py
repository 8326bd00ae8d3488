"""Bodies become rows: what stands for a row depends on the row alone, and nothing that is sent is an exception."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.records_serving import INPUTS, ISO, OPTIONS, SECRET, TIME
from tests.telemetry.serving_reading import BODIES

from threatmatrix.gateway import Gateway, GatewayConfig
from threatmatrix.telemetry.inputs import bodies
from threatmatrix.telemetry.inputs.answers import MAX_ROWS, read_answer
from threatmatrix.telemetry.inputs.bodies import MAX_WIDTH, Body, input_fields, read_body, read_csv, read_payload
from threatmatrix.telemetry.inputs.inputs import InputFields
from threatmatrix.telemetry.inputs.oip import BodyProblem
from threatmatrix.telemetry.inputs.payloads import open_payload
from threatmatrix.telemetry.readers.base import Where
from threatmatrix.telemetry.readers.gateway import GatewayReader
from threatmatrix.telemetry.readers.oip import OipReader


def fields(body: Body) -> list[InputFields]:
    return input_fields(INPUTS, "m", body, TIME)


def sent(data: bytes, content_type: str = "") -> Body:
    return read_payload(open_payload(data, content_type))


def stand_ins(value: Any) -> list[tuple[str | None, bytes | None]]:
    return [(row.input_fp, row.input_vec) for row in fields(read_body(value))]


ROWS = [[0.5, 0.25], [1, 0], [0.5, 0.25]]


@pytest.mark.parametrize(
    "value",
    [
        {"instances": ROWS},
        {"inputs": ROWS, "parameters": {"temperature": 1}},
        {"data": ROWS},
        {"input_data": {"columns": ["a", "b"], "index": [0, 1, 2], "data": ROWS}},
        {"input_data": ROWS},
        {"dataframe_split": {"columns": ["a", "b"], "data": ROWS}},
        {"Inputs": {"data": ROWS}},
        {"instances": [[0.5, 0.25], [1.0, 0.0], [5e-1, 0.25]]},
        ROWS,
    ],
)
def test_the_same_rows_in_any_container_are_the_same(value: Any) -> None:
    first, second, third = stand_ins(value)
    assert first == third != second
    assert all(first)
    assert [first, second, third] == stand_ins({"instances": ROWS})
    assert [part for row in ROWS for part in stand_ins([row])] == [first, second, third]


def test_csv_rows_are_the_rows_of_json() -> None:
    assert [(row.input_fp, row.input_vec) for row in fields(read_csv("0.5,0.25\n1,0\r\n\n.5,2.5e-1\n"))] == stand_ins(
        ROWS
    )
    assert sent(b"0.5,0.25\n1,0\n", "text/csv; charset=utf-8").rows == 2
    assert sent(b"[0.5,0.25]\n[1,0]", "application/jsonlines").rows == 2


def test_columns_are_rows_by_name() -> None:
    by_row = {"instances": [{"x": [1, 2], "k": 3}, {"k": 4, "x": [5, 6]}]}
    assert stand_ins({"inputs": {"x": [[1, 2], [5, 6]], "k": [3, 4]}}) == stand_ins(by_row)
    assert stand_ins({"dataframe_records": by_row["instances"]}) == stand_ins(by_row)


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    rows = [
        [1, 2],
        [1, 2, 3],
        "text",
        {"a": 1, "b": "x"},
        {"b": "x", "a": 1},
        None,
        [1, None],
        {"a": {"b": 1}},
        [[1], [2]],
        7,
    ]
    together = stand_ins({"instances": rows})
    assert together == [part for row in rows for part in stand_ins({"instances": [row]})]
    assert together[3] == together[4]
    assert len({fingerprint for fingerprint, _ in together}) == len(rows) - 1
    with_vector = [vector is not None for _, vector in together]
    assert with_vector == [True, True, False, True, True, False, False, False, True, True]


def test_columns_are_told_apart_although_their_numbers_are_the_same() -> None:
    rows = [
        {"a": 1, "b": 2},
        {"a": 1, "c": 2},
        {"a": 1, "b": "2"},
        {"a": "1", "b": 2},
        {"a": [1, 2]},
        {"a": [[1, 2]]},
        [1, 2],
    ]
    assert len({fingerprint for fingerprint, _ in stand_ins(rows)}) == len(rows)


def test_a_gap_leaves_a_fingerprint_and_no_vector() -> None:
    full, gap = fields(read_csv("1,2,3\n1,,3"))
    assert full.input_vec is not None
    assert gap.input_vec is None
    assert gap.input_fp is not None


def test_texts_go_by_their_text() -> None:
    assert fields(read_body({"instances": ["one", "two"]}))[1] == INPUTS.text("two", TIME)
    assert fields(read_csv("a phrase"))[0] == INPUTS.text("a phrase", TIME)
    assert fields(sent(b"a phrase", "text/plain"))[0] == INPUTS.text("a phrase", TIME)
    assert fields(sent(b"\xff\x00", "application/x-npy"))[0] == INPUTS.text("/wA=", TIME)
    assert fields(read_body({"b": 1, "a": []}))[0] == INPUTS.text('{"a":[],"b":1}', TIME)


def test_only_language_has_a_vector_of_its_text() -> None:
    prompt = "tell me where parcel seventeen of the third delivery is, and when it arrives at the depot"
    table = {"dataframe_records": [{"a column with a long name of its own": None, "another one with a long name": 1}]}
    assert fields(read_body({"instances": [prompt]}))[0].input_vec is not None
    assert fields(read_body({"inputs": prompt}))[0].input_vec is not None
    assert fields(read_body(table))[0].input_vec is None
    assert fields(sent(b"\xff" * 99))[0].input_vec is None
    assert fields(sent(b"{" * 99))[0].input_vec is None


def test_without_keys_rows_are_measured_only() -> None:
    assert input_fields(None, "m", read_body({"instances": ROWS}), TIME) == [InputFields(input_bytes=16)] * 3
    assert input_fields(None, "m", read_body("äb"), TIME) == [InputFields(input_bytes=3)]


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        ({"instances": [[1]] * (MAX_ROWS + 1)}, MAX_ROWS + 1),
        ({"instances": []}, 0),
        ({"inputs": {"a": [1] * (MAX_ROWS + 1), "b": [2] * (MAX_ROWS + 1)}}, MAX_ROWS + 1),
        (
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [MAX_ROWS + 1], "data": [0] * (MAX_ROWS + 1)}]},
            MAX_ROWS + 1,
        ),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [10**12, 4]}]}, 2**31),
    ],
)
def test_too_many_rows_stay_together(value: Any, rows: int) -> None:
    body = read_body(value)
    assert (body.rows, body.apart) == (rows, False)
    (only,) = fields(body)
    assert only.input_fp is not None
    assert only.input_vec is None


def test_a_row_that_is_too_wide_is_not_projected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_WIDTH >= 2 * 512 * 512  # images fit
    monkeypatch.setattr(bodies, "MAX_WIDTH", 64)
    wide = [0] * 65
    for value in ({"instances": [wide]}, {"instances": [{"a": wide}]}):
        ((fingerprint, vector),) = stand_ins(value)
        assert fingerprint
        assert vector is None
    oip = read_body({"inputs": [{"name": "x", "datatype": "INT8", "shape": [1, 65], "data": wide}]})
    assert not oip.apart


def test_a_malformed_oip_request_is_still_one_input() -> None:
    broken = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2]}]}
    ((fingerprint, vector),) = stand_ins(broken)
    assert fingerprint
    assert vector is None
    assert stand_ins({"id": "another", **broken}) == [(fingerprint, None)]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_deep_nesting_is_one_problem() -> None:
    assert len(stand_ins({"instances": nested(50)})) == 1
    with pytest.raises(BodyProblem, match="nested too deeply"):
        read_body({"instances": [nested(100_000), "x"]})
    with pytest.raises(RecursionError):
        open_payload(b"[" * 200_000, "application/json")


@settings(max_examples=80)
@given(BODIES)
def test_any_body_has_rows(value: Any) -> None:
    body = read_body(value)
    found = fields(body)
    assert len(found) == (body.rows if body.apart else 1)
    assert all(row.input_fp and row.input_bytes is not None for row in found)
    assert [row.input_fp for row in found] == [row.input_fp for row in fields(read_body(json.loads(json.dumps(value))))]


@settings(max_examples=80)
@given(
    st.binary(max_size=80) | BODIES.map(lambda v: json.dumps(v).encode()),
    st.sampled_from(["", "text/csv", "application/json"]),
)
def test_any_payload_has_rows(data: bytes, content_type: str) -> None:
    payload = open_payload(data, content_type)
    body = read_payload(payload)
    assert len(fields(body)) == (body.rows if body.apart else 1)
    read_answer(payload.value)


MULTI = {
    "inputs": [
        {"name": "z", "datatype": "FP32", "shape": [2, 2], "data": [[0.1, 0.2], [0.3, 0.4]]},
        {"name": "a", "datatype": "BYTES", "shape": [2], "data": ["left", "right"]},
        {"name": "k", "datatype": "INT64", "shape": [2, 1], "data": [3, 4]},
    ]
}
PLAIN = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2, 2, 2], "data": [0, 0.5, 1, 0.25, 1, 1, 0.125, 0]}]}


@pytest.mark.parametrize("request_body", [MULTI, PLAIN])
def test_a_row_is_the_same_through_the_gateway_and_in_a_capture(tmp_path: Path, request_body: dict[str, Any]) -> None:
    answer = {
        "model_name": "m",
        "outputs": [{"name": "scores", "datatype": "FP64", "shape": [2, 2], "data": [[0.25, 0.75], [1.0, 0.0]]}],
    }

    async def model(scope: Any, receive: Any, send: Any) -> None:
        raw = json.dumps(answer).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": raw})

    log = tmp_path / "gateway.jsonl"
    gateway = Gateway(model, GatewayConfig(system="s", log_path=log, secret=SECRET))

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=gateway), base_url="http://t") as client:
            assert (await client.post("/v2/models/m/infer", json=request_body)).status_code == 200

    asyncio.run(ask())
    gateway.close()
    lines = log.read_text().splitlines()
    reader = GatewayReader()
    logged = [event for line in lines for event in reader.parse(json.loads(line), Where())]
    captured = OipReader(OPTIONS).parse(
        {"time": ISO, "model_name": "m", "request": request_body, "response": answer}, Where()
    )
    assert len(logged) == len(captured) == 2
    for ours, theirs in zip(captured, logged, strict=True):
        for name in (
            "model",
            "row",
            "rows",
            "input_fp",
            "input_vec",
            "vec_scale",
            "vec_key",
            "output_label",
            "output_scores",
        ):
            assert getattr(ours, name) == getattr(theirs, name) is not None, name
