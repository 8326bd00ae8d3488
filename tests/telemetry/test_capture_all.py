"""All readers of captures: told apart, honest about their fields, and calm whatever a record holds."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.records_serving import (
    ISO,
    PAIR,
    SHAPES,
    TIME,
    VERTEX,
    capture,
    cloud_event,
    collected,
    message,
)
from tests.telemetry.serving_reading import PATH, READERS, SHARED, fields_of, parse

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.columns import to_table
from threatmatrix.telemetry.decoding import decode_whole
from threatmatrix.telemetry.inputs.answers import MAX_ROWS
from threatmatrix.telemetry.messages import HttpMessage, split_http
from threatmatrix.telemetry.readers.base import Options, Where


@pytest.mark.parametrize("source", READERS)
def test_recognised_by_its_own_reader_alone(source: str) -> None:
    for record in SHAPES[source]:
        text = message(cloud_event()).decode() if isinstance(record, HttpMessage) else json.dumps(record)
        assert [name for name, reader in READERS.items() if reader.recognises(text.splitlines())] == [source]


def test_a_clients_text_does_not_choose_the_reader() -> None:
    assert not any(
        reader.recognises(['{"type": [], "request": 1, "time": {}}', "[1]", "{"]) for reader in READERS.values()
    )
    line = json.dumps({"time": ISO, "ua": '"type": "org.kubeflow.serving.inference.request"', "uri": "/captureData"})
    assert not any(reader.recognises([line]) for reader in READERS.values())


@pytest.mark.parametrize("source", READERS)
def test_gives_names_what_the_events_have(source: str) -> None:
    given = READERS[source].gives
    for record in SHAPES[source]:
        for event in parse(source, record, PATH):
            assert fields_of(event).keys() <= given[event.category].keys()


@pytest.mark.parametrize("source", READERS)
def test_without_keys_inputs_are_measured_only(source: str) -> None:
    bare = READERS[source].with_options(Options())
    events = [event for record in SHAPES[source] for event in bare.parse(record, Where())]
    assert all(event.input_fp is event.input_vec is event.input_raw is None for event in events)
    assert any(event.input_bytes for event in events)


def test_tokens_in_the_place_of_names_are_concealed() -> None:
    token = "sk-" + "Ab3" * 14
    metadata = json.dumps({"X-User": [f"Bearer {token}"], "User-Agent": [f"curl {token}"]})
    custom = capture("1", "2")
    custom["eventMetadata"]["customAttributes"] = [f"x-user={token}"]
    records = {
        "kserve": cloud_event(metadata=metadata),
        "oip": {**PAIR, "path": f"/v2/models/m/infer/{token}", "headers": {"x-user": token, "user-agent": token}},
        "sagemaker": custom,
        "azureml": collected(path=f"/score/{token}"),
    }
    for source, record in records.items():
        for reader in (READERS[source], READERS[source].with_options(Options(principal_header="x-user"))):
            events = reader.parse(record, Where())
            assert token not in repr(events)
            assert source == "azureml" or all(event.principal for event in events)


def test_a_huge_batch_is_one_event() -> None:
    (event,) = parse("kserve", cloud_event(data={"instances": [[0]] * (MAX_ROWS + 1)}))
    assert (event.rows, event.row, event.input_vec) == (MAX_ROWS + 1, None, None)
    assert event.event_id == f"kserve:0f3c:request:{TIME}"


@pytest.mark.parametrize("source", ["kserve", "sagemaker", "azureml"])
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared")
def test_samples(source: str) -> None:
    (path,) = SHARED.glob(f"{source}.*")
    data = path.read_bytes()
    reader = READERS[source]
    assert reader.recognises(data.decode().splitlines())
    records = [part for _, part, _ in split_http(data)] if source == "kserve" else map(json.loads, data.splitlines())
    events = [event for record in records for event in reader.parse(record, Where("log", 1))]
    assert events
    assert all(event.input_vec is not None and event.request_ref for event in events)


CON = duckdb.connect()
SQL_TYPES = {"VARCHAR": str, "BIGINT": int, "DOUBLE": float, "BLOB": bytes, "DOUBLE[]": tuple}
ODD = st.sampled_from(
    [
        "",
        "-",
        "1e999",
        "NaN",
        "{",
        '{"instances": [[1], 2, null]}',
        "[[[[]]]]",
        '"\\ud800"',
        "Ã=",
        "1,2\n,",
        10**30,
        -1,
        0.5,
        True,
        None,
        [],
        {},
    ]
)
VALUES = st.recursive(
    ODD | st.text(max_size=8) | st.integers() | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["data", "inputs", "outputs", "instances", "messages", "shape", "x"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


def mutated(draw: st.DrawFn, value: Any) -> Any:
    """The value with parts of it, at any depth, removed or exchanged for others."""
    if draw(st.integers(0, 9)) == 0:
        return draw(VALUES)
    if isinstance(value, dict):
        return {key: mutated(draw, part) for key, part in value.items() if draw(st.integers(0, 19))}
    if isinstance(value, list):
        return [mutated(draw, part) for part in value]
    return value


@st.composite
def almost_valid(draw: st.DrawFn, source: str) -> Any:
    record = draw(st.sampled_from(SHAPES[source]))
    if isinstance(record, HttpMessage):
        ((_, record, _),) = split_http(message(cloud_event())[: draw(st.integers(1, 500))])
        headers = mutated(draw, dict(record.headers)) if isinstance(record, HttpMessage) else {}
        strings = {name: str(value) for name, value in headers.items()} if isinstance(headers, dict) else {}
        return HttpMessage("POST / HTTP/1.1", strings, draw(st.binary(max_size=30)))
    return mutated(draw, record)


@st.composite
def as_decoded(draw: st.DrawFn, source: str) -> Any:
    """A record as the decoder hands it on."""
    record = draw(almost_valid(source) | st.dictionaries(st.sampled_from(list(SHAPES[source][0])), VALUES))
    if isinstance(record, HttpMessage):
        return record
    try:
        record = decode_whole(json.dumps(record))
    except ValueError:  # NaN
        record = {}
    return record if isinstance(record, dict) else {}


@pytest.mark.parametrize("source", READERS)
@settings(max_examples=20)
@given(data=st.data())
def test_any_record_is_events_or_a_format_error(source: str, data: st.DataObject) -> None:
    everything: list[Event] = []
    for record in data.draw(st.lists(as_decoded(source), min_size=1, max_size=5)):
        with suppress(FormatError):
            events = parse(source, record, PATH)
            assert len({event.event_id for event in events}) == len(events)
            everything += events
    for event in everything:
        for column, sql in EVENT_COLUMNS.items():
            value = getattr(event, column)
            assert value is None or type(value) is SQL_TYPES[sql], column
            assert not isinstance(value, int) or 0 <= value < 2**63, column
    to_table(CON, "t", everything)  # what a reader lets through, the database takes


@pytest.mark.parametrize("source", READERS)
def test_depth_is_a_format_error(source: str) -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    body = {"instances": [deep, "x"]}
    record = {
        "kserve": cloud_event(data=body),
        "oip": {"time": ISO, "request": body},
        "sagemaker": {**capture("1", "2"), "eventMetadata": {"inferenceTime": ISO}, "more": deep},
        "azureml": collected(data=body),
        "vertex": {**VERTEX, "request_payload": [], "full_request": body},
    }[source]
    with pytest.raises(FormatError, match="nested too deeply"):
        parse(source, record)
