"""The gateway's log and nginx's: what each record becomes, and what is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.telemetry.log_records import options

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.readers import Where, detect_reader, get_reader

Build = Callable[..., dict[str, Any]]


def parse(source: str, obj: dict[str, Any]) -> Event:
    (event,) = get_reader(source).parse(obj, Where("log", 4))
    return event


def test_gateway_gives_every_field(record: Build) -> None:
    event = parse("gateway", record("gateway"))
    expected = record("gateway")
    expected.pop("v")
    expected.update(source="gateway", input_vec=bytes([1, 255, 128, 0]), output_scores=(0.75, 0.25))
    expected["input_vec_prev"] = bytes([2, 3])
    assert expected.pop("input_raw")
    expected["input_raw"] = None  # kept only where somebody asks
    assert {name: getattr(event, name) for name in EVENT_COLUMNS} == expected
    assert event == Event(**expected)
    assert hash(event) == hash(Event(**expected))


def test_gateway_keeps_a_raw_input_only_where_somebody_asks(record: Build) -> None:
    (event,) = get_reader("gateway", options()).parse(record("gateway"), Where())
    assert event.input_raw == record("gateway")["input_raw"]


def test_gateway_null_and_unknown_keys_say_nothing(record: Build) -> None:
    event = parse("gateway", record("gateway", session=None, brand_new="x"))
    assert event.session is None


def test_gateway_makes_an_event_id_from_the_request(record: Build) -> None:
    assert parse("gateway", record("gateway", event_id=...)).event_id == "req-7:2"
    assert parse("gateway", record("gateway", event_id=..., row=...)).event_id == "req-7:0"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("time", ...),
        ("time", "2026"),
        ("time", 1.5),
        ("time", True),
        ("time", -1),
        ("time", 10**18),
        ("category", "gossip"),
        ("category", ...),
        ("v", 2),
        ("event_id", 7),
        ("row", -1),
        ("row", 2**63),
        ("rows", "5"),
        ("status", 200.5),
        ("principal", ["a"]),
        ("input_vec", "not base64!"),
        ("input_vec", [1, 2]),
        ("vec_scale", 0),
        ("vec_scale", "0.1"),
        ("latency_ms", 10**400),
        ("latency_ms", False),
        ("output_scores", [0.1, "0.2"]),
        ("output_scores", [True]),
        ("output_scores", [10**400]),
        ("output_scores", {}),
        ("outcome", "maybe"),
    ],
)
def test_gateway_refuses_by_key(record: Build, key: str, value: Any) -> None:
    with pytest.raises(FormatError) as error:
        parse("gateway", record("gateway", **{key: value}))
    assert error.value.key == key
    assert error.value.line == 4


def test_nginx_event(record: Build) -> None:
    event = parse("nginx", record("nginx"))
    assert event == Event(
        event_id="nginx:9f0c2e",
        time=1_767_225_600_250_000,
        source="nginx",
        category="inference",
        operation="infer",
        principal="key_b2",
        key_id="key_b2",
        src_ip="203.0.113.9",
        host="models.example",
        user_agent="Scanner/4.1",
        method="POST",
        endpoint="/v2/models/labels/versions/3/infer",
        model="labels",
        model_version="3",
        request_ref="9f0c2e",
        input_bytes=812,
        latency_ms=125.0,
        status=429,
        decision="deny",
        trace_id="1a" * 16,
    )


@pytest.mark.parametrize(
    ("changes", "time"),
    [
        ({"msec": "1767225600.007"}, 1_767_225_600_007_000),  # all values quoted
        ({"msec": 1767225600007}, 1_767_225_600_007_000),  # milliseconds
        ({"msec": ...}, 1_767_225_600_000_000),
        ({"msec": "", "time": "2026-01-01T02:00:00+02:00"}, 1_767_225_600_000_000),
        ({"msec": ..., "time": ..., "time_iso8601": "2026-01-01T00:00:01Z"}, 1_767_225_601_000_000),
    ],
)
def test_nginx_time(record: Build, changes: dict[str, Any], time: int) -> None:
    assert parse("nginx", record("nginx", **changes)).time == time


def test_nginx_user_comes_before_key_and_dash_is_nobody(record: Build) -> None:
    event = parse("nginx", record("nginx", user="ana"))
    assert (event.principal, event.key_id) == ("ana", "key_b2")
    assert parse("nginx", record("nginx", user="-", key_id="-")).principal is None


def test_nginx_variable_names_are_understood() -> None:
    obj = {
        "time_iso8601": "2026-01-01T00:00:00+00:00",
        "request_uri": "/healthz",
        "remote_addr": "192.0.2.1",
        "remote_user": "li",
        "request_method": "GET",
        "http_user_agent": "probe",
        "status": "200",
        "request_time": "0.002",
        "request_length": "90",
    }
    event = parse("nginx", obj)
    assert (event.src_ip, event.principal, event.method, event.user_agent) == ("192.0.2.1", "li", "GET", "probe")
    assert (event.status, event.latency_ms, event.input_bytes, event.category) == (200, 2.0, 90, "http")
    assert detect_reader("log", [json.dumps(obj)]).name == "nginx"


def test_nginx_believes_no_header_of_the_client(record: Build) -> None:
    event = parse("nginx", record("nginx", xff="198.51.100.1", host="bank.example", server_name=...))
    assert event.host is None
    assert event.src_ip == "203.0.113.9"


def test_nginx_in_front_of_mlflow(record: Build) -> None:
    event = parse("nginx", record("nginx", uri="/api/2.0/mlflow-artifacts/artifacts/1/ab/w.bin", method="GET"))
    assert (event.category, event.operation, event.object) == ("artifact_access", "download", "1/ab/w.bin")


@pytest.mark.parametrize("crooked", ["x", "00-" + "0" * 32 + "-" + "2b" * 8 + "-01", "00-" + "G" * 32 + "-1-01"])
def test_nginx_crooked_traceparent_hides_nothing(record: Build, crooked: str) -> None:
    event = parse("nginx", record("nginx", traceparent=crooked))
    assert event.trace_id is None
    assert event.category == "inference"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("uri", ...),
        ("uri", 5),
        ("status", "ok"),
        ("status", 2000),
        ("msec", [1]),
        ("msec", "nan"),
        ("msec", -1),
        ("rt", "fast"),
        ("bytes_in", 1.5),
        ("ua", {}),
    ],
)
def test_nginx_refuses_by_key(record: Build, key: str, value: Any) -> None:
    with pytest.raises(FormatError) as error:
        parse("nginx", record("nginx", **{key: value}))
    assert error.value.key == key


def test_nginx_without_any_time(record: Build) -> None:
    with pytest.raises(FormatError, match="missing, and so is msec"):
        parse("nginx", record("nginx", msec=..., time=...))


def test_same_record_same_id_and_another_record_another(record: Build) -> None:
    first, again = (parse("nginx", record("nginx", request_id=...)) for _ in range(2))
    other = parse("nginx", record("nginx", request_id=..., status=200))
    assert first.event_id == again.event_id != other.event_id
