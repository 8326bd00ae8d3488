"""Envoy's access log: its own names, Istio's, and what a client cannot make us believe."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.telemetry.log_records import ENVOY, ISTIO

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.readers import Where, get_reader


def parse(base: dict[str, Any], **changes: Any) -> Event:
    obj = {key: value for key, value in {**copy.deepcopy(base), **changes}.items() if value is not ...}
    (event,) = get_reader("envoy").parse(obj, Where("log", 4))
    return event


def test_envoy_event() -> None:
    assert parse(ENVOY) == Event(
        event_id="envoy:77aa",
        time=1_767_225_600_250_000,
        source="envoy",
        category="inference",
        operation="infer",
        principal="spiffe://house/ns/shop/sa/scanner",
        key_id="key_b2",
        src_ip="203.0.113.9",
        host="models.example",
        user_agent="Scanner/4.1",
        method="POST",
        endpoint="/v2/models/labels/versions/3/infer",
        model="labels",
        model_version="3",
        request_ref="5c0f7e",
        input_bytes=812,
        latency_ms=125.0,
        status=403,
        decision="deny",
        policy_ref="ns[models]-policy[block]-rule[0]",
        trace_id="1a" * 16,
    )


def test_istio_default() -> None:
    event = parse(ISTIO)
    assert (event.src_ip, event.model, event.request_ref) == ("2001:db8::7", "labels", "5c0f7e")
    assert (event.host, event.decision) == ("labels.models.svc.cluster.local", None)


@pytest.mark.parametrize(
    ("start", "time"),
    [
        ("2026-01-01T00:00:00.123456789Z", 1_767_225_600_123_456),
        ("1767225600.123", 1_767_225_600_123_000),  # %START_TIME(%s.%3f)%
        (1767225600123, 1_767_225_600_123_000),
    ],
)
def test_times(start: Any, time: int) -> None:
    assert parse(ENVOY, start_time=start).time == time


@pytest.mark.parametrize(
    ("flags", "details", "decision"),
    [
        ("UAEX", "ext_authz_denied", "deny"),
        ("DC,UAEX", None, "deny"),
        ("-", "rbac_access_denied_matched_policy[none]", "deny"),
        ("-", "via_upstream", None),
        ("RL", "request_rate_limited", None),
        ("XUAEXX", None, None),
    ],
)
def test_who_said_no(flags: str, details: str | None, decision: str | None) -> None:
    assert parse(ENVOY, response_flags=flags, response_code_details=details).decision == decision


def test_an_authority_counts_only_where_a_route_was_found() -> None:
    assert parse(ENVOY, response_flags="NR", upstream_cluster=None, authority="bank.example").host is None
    assert parse(ENVOY, authority=None).host == "labels.models.svc.cluster.local"
    assert parse(ENVOY, authority=None, upstream_cluster="models_pool").host == "models_pool"
    assert parse(ISTIO, authority=None).host is None


def test_a_repeated_request_id_does_not_make_two_requests_one() -> None:
    first = parse(ENVOY, stream_id=...)
    again = parse(ENVOY, stream_id=..., start_time="2026-01-01T00:00:01Z")
    assert first.request_ref == again.request_ref
    assert first.event_id != again.event_id


def test_forwarded_for_is_not_believed_and_no_answer_has_no_status() -> None:
    event = parse(ENVOY, x_forwarded_for="198.51.100.1", response_code=0)
    assert (event.src_ip, event.status) == ("203.0.113.9", None)


def test_a_tcp_line_is_of_no_interest() -> None:
    line = {**ISTIO, "method": None, "path": None, "response_code": 0}
    assert get_reader("envoy").parse(line, Where()) == ()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("start_time", ...),
        ("start_time", "soon"),
        ("start_time", -1),
        ("path", ...),
        ("path", 7),
        ("response_code", 1000),
        ("response_code", "x"),
        ("duration", "long"),
        ("bytes_received", -1),
        ("response_flags", ["UAEX"]),
    ],
)
def test_refuses_by_key(key: str, value: Any) -> None:
    with pytest.raises(FormatError) as error:
        parse(ENVOY, **{key: value})
    assert (error.value.key, error.value.line) == (key, 4)
