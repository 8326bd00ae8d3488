"""Each reader: what it makes of a record, and what it refuses by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from threatmatrix.model.errors import FormatError, UnknownNameError
from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.readers import SOURCES, Where, detect_reader, get_reader
from threatmatrix.telemetry.readers.litellm import LiteLLMReader

Build = Callable[..., dict[str, Any]]
SHARED = Path(__file__).resolve().parents[3] / "shared" / "samples"


def parse(source: str, obj: dict[str, Any]) -> Event:
    (event,) = get_reader(source).parse(obj, Where("log", 4))
    return event


def test_gateway_gives_every_field(record: Build) -> None:
    event = parse("gateway", record("gateway"))
    expected = record("gateway")
    expected.pop("v")
    expected.update(source="gateway", input_vec=bytes([1, 255, 128, 0]), output_scores=(0.75, 0.25))
    assert {name: getattr(event, name) for name in EVENT_COLUMNS} == expected
    assert event == Event(**expected)
    assert hash(event) == hash(Event(**expected))


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
        src_ip="203.0.113.9",
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
    assert parse("nginx", record("nginx", user="ana")).principal == "ana"
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


def test_litellm_event(record: Build) -> None:
    event = parse("litellm", record("litellm"))
    assert event == Event(
        event_id="litellm:call-77",
        time=1_767_225_600_250_000,
        source="litellm",
        category="inference",
        operation="chat",
        tenant="team-4",
        principal="billing-bot",
        src_ip="192.0.2.44",
        user_agent="house-sdk/2",
        endpoint="/v1/chat/completions",
        model="house-model",
        model_version="house-model-2026-01",
        request_ref="call-77",
        input_bytes=len('[{"content":"where is parcel seventeen","role":"user"}]'),
        tokens_in=12,
        tokens_out=34,
        latency_ms=1500.0,
        status=200,
        decision="allow",
        session="chat-3",
        trace_id="trace-5",
    )


def test_litellm_fingerprint_needs_a_secret_and_depends_on_it(record: Build) -> None:
    def fingerprint(secret: bytes | None, **changes: Any) -> str | None:
        (event,) = LiteLLMReader(secret).parse(record("litellm", **changes), Where())
        return event.input_fp

    assert fingerprint(None) is None
    assert fingerprint(b"one") == fingerprint(b"one")
    assert fingerprint(b"one") != fingerprint(b"two")
    assert fingerprint(b"one") != fingerprint(b"one", messages=[{"role": "user", "content": "other"}])
    hidden = [{"role": "user", "content": "redacted-by-litellm"}]
    assert fingerprint(b"one", messages=hidden) is None


def test_litellm_keeps_no_text(record: Build) -> None:
    (event,) = LiteLLMReader(b"secret").parse(record("litellm"), Where())
    assert "parcel" not in repr(event)
    assert "van" not in repr(event)


@pytest.mark.parametrize(
    ("changes", "status", "decision"),
    [
        ({"status": "failure", "error_information": {"error_code": "429"}}, 429, "allow"),
        ({"status": "failure", "error_information": None}, 500, "allow"),
        ({"status_fields": {"guardrail_status": "guardrail_intervened"}}, 200, "deny"),
        ({"status_fields": {"guardrail_status": "not_run"}}, 200, None),
        ({"status": ...}, None, "allow"),
    ],
)
def test_litellm_status(record: Build, changes: dict[str, Any], status: int | None, decision: str | None) -> None:
    event = parse("litellm", record("litellm", **changes))
    assert (event.status, event.decision) == (status, decision)


def test_litellm_spend_log_times_and_missing_alias(record: Build) -> None:
    metadata = {**record("litellm")["metadata"], "user_api_key_alias": None}
    changes = {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T00:00:02Z", "response_time": ...}
    event = parse("litellm", record("litellm", metadata=metadata, **changes))
    assert (event.time, event.latency_ms, event.principal) == (1_767_225_600_000_000, 2000.0, "hash-1")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("startTime", ...),
        ("startTime", "soon"),
        ("startTime", "12-13"),
        ("startTime", 1e300),
        ("metadata", []),
        ("prompt_tokens", "many"),
        ("completion_tokens", -3),
        ("status", "maybe"),
        ("model", 4),
        ("call_type", []),
    ],
)
def test_litellm_refuses_by_key(record: Build, key: str, value: Any) -> None:
    with pytest.raises(FormatError) as error:
        parse("litellm", record("litellm", **{key: value}))
    assert error.value.key == key


@pytest.mark.parametrize("source", SOURCES)
def test_detection_knows_its_own_and_only_its_own(record: Build, source: str) -> None:
    lines = ["", "garbage", json.dumps(record(source))]
    assert [name for name, reader in SOURCES.items() if reader.recognises(lines)] == [source]


@pytest.mark.parametrize("source", SOURCES)
def test_a_reader_gives_only_the_fields_it_names(record: Build, source: str) -> None:
    reader = get_reader(source, b"secret")
    (event,) = reader.parse(record(source), Where())
    given = {name for name in EVENT_COLUMNS if getattr(event, name) is not None}
    assert given <= reader.fields
    assert given >= reader.fields - {"tenant"}, "the sample shows every field that the reader names"
    assert reader.fields <= set(EVENT_COLUMNS)


def test_unknown_source_names_the_valid_ones() -> None:
    with pytest.raises(UnknownNameError) as error:
        get_reader("apache")
    assert error.value.choices == ("gateway", "nginx", "litellm")


@pytest.mark.parametrize(("source", "file"), [("nginx", "nginx.jsonl"), ("litellm", "litellm.json")])
def test_records_written_by_the_real_programs(source: str, file: str) -> None:
    path = SHARED / file
    if not path.exists():
        pytest.skip(f"no sample of the real {source} beside the checkout")
    obj = json.loads(path.read_text())
    assert detect_reader(path, [json.dumps(obj)]).name == source
    event = parse(source, obj)
    assert event.principal in obj.values() or event.principal == obj["metadata"]["user_api_key_hash"]
    assert (event.category, event.status, event.source) == ("inference", 200, source)
