"""OCSF events of other products: what they become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.telemetry.cloud_reading import event_of
from tests.telemetry.records_cloud import (
    ACCOUNT,
    CLOUDTRAIL_INFERENCE,
    MODEL,
    OCSF_AI,
    OCSF_API,
    OCSF_BUCKET,
    OCSF_DESCRIBE,
    OCSF_HTTP,
    OCSF_LOGIN,
    OCSF_METADATA,
    OCSF_PAGE,
    OCSF_WEB,
    ROLE,
    TRACE,
    ocsf,
)

from threatmatrix.model.detection import Finding, PrincipalShare, Severity
from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.out.ocsf import finding_to_ocsf
from threatmatrix.telemetry.reading import read_events


def test_model_call() -> None:
    assert event_of("ocsf", OCSF_AI) == Event(
        event_id="ocsf:o-1",
        time=1_767_225_600_250_000,
        source="ocsf",
        category="inference",
        operation="chat.completions",
        tenant="north",
        principal="ana",
        key_id="key-4",
        src_ip="198.51.100.7",
        host="broker",
        user_agent="house-sdk/2",
        method="POST",
        endpoint="/v2/models/labels/versions/3/infer",
        model="sorter",
        model_version="2026-01",
        request_ref="req-chat.completions",
        tokens_in=12,
        tokens_out=34,
        latency_ms=125.0,
        status=429,
        outcome="failure",
        session="conv-3",
        trace_id=TRACE,
    )


@pytest.mark.parametrize(
    ("record", "category", "operation", "about"),
    [
        (OCSF_HTTP, "inference", "infer", None),
        (OCSF_METADATA, "model_access", "metadata", None),
        (OCSF_PAGE, "http", "other", None),
        (OCSF_LOGIN, "authentication", "Logon", "no mfa"),
        (OCSF_API, "api_activity", "CreateAccessKey", "ana"),
        (OCSF_DESCRIBE, "model_access", "metadata", "labels"),
        (OCSF_BUCKET, "artifact_access", "Read", "house-models/labels/3/model.onnx"),
        (OCSF_WEB, "artifact_access", "Export", "https://hub.example/labels"),
    ],
)
def test_classes(record: dict[str, Any], category: str, operation: str, about: str | None) -> None:
    event = event_of("ocsf", record)
    assert (event.category, event.operation, event.object) == (category, operation, about)


def test_the_agents_model_counts_too() -> None:
    agent = {"name": "sorter-agent", "ai_model": {"name": "sorter", "ai_provider": "House"}}
    event = event_of("ocsf", {**OCSF_AI, "ai_model": None, "ai_agent": agent})
    assert (event.category, event.model) == ("inference", "sorter")


def test_a_login_is_the_accounts_that_logs_in() -> None:
    event = event_of("ocsf", OCSF_LOGIN)
    assert (event.principal, event.key_id) == ("li", "key-5")
    assert event_of("ocsf", {**OCSF_LOGIN, "is_mfa": True}).object == "mfa"
    assert event_of("ocsf", {**OCSF_LOGIN, "is_mfa": None}).object is None


def test_a_call_is_the_same_call_in_security_lake_and_in_cloudtrail() -> None:
    lake = ocsf(
        6003,
        "e-1",
        actor={"user": {"uid": f"{ROLE}/worker-7", "name": "x", "account": {"uid": ACCOUNT}}},
        api={
            "operation": "ConverseStream",
            "service": {"name": "bedrock.amazonaws.com"},
            "request": {"uid": CLOUDTRAIL_INFERENCE["requestID"], "data": json.dumps({"modelId": MODEL})},
        },
        http_request={"user_agent": CLOUDTRAIL_INFERENCE["userAgent"]},
    )
    ours, trail = event_of("ocsf", lake), event_of("cloudtrail", CLOUDTRAIL_INFERENCE)
    agreed = ("category", "operation", "tenant", "principal", "session", "host", "model", "request_ref", "user_agent")
    assert {name: getattr(ours, name) for name in agreed} == {name: getattr(trail, name) for name in agreed}


def test_an_s3_object_has_the_name_that_cloudtrail_gives_it() -> None:
    api = {"operation": "GetObject", "service": {"name": "s3.amazonaws.com"}}
    record = ocsf(6003, "x", api=api, resources=[{"uid": "arn:aws:s3:::house-models/labels/3/model.onnx"}])
    event = event_of("ocsf", record)
    assert (event.category, event.object) == ("artifact_access", "house-models/labels/3/model.onnx")


@pytest.mark.parametrize(
    ("user", "principal"),
    [
        ({"uid": "0", "name": "root"}, "root"),
        ({"uid": "S-1-5-21-1", "email_addr": "ana@example.com"}, "ana@example.com"),
        ({"uid": "1007"}, "1007"),
        ({"uid": f"arn:aws:iam::{ACCOUNT}:user/ana", "name": "ana"}, f"arn:aws:iam::{ACCOUNT}:user/ana"),
        ({}, "batch"),
    ],
)
def test_principals(user: dict[str, str], principal: str) -> None:
    assert event_of("ocsf", {**OCSF_API, "actor": {"user": user, "app_name": "batch"}}).principal == principal


def test_the_query_stays_out_and_forwarded_addresses_are_not_believed() -> None:
    record = {**OCSF_PAGE, "http_request": {"url": {"url_string": "https://h.example/a/../b?key=sk-12345678"}}}
    event = event_of("ocsf", {**record, "src_endpoint": None})
    assert (event.endpoint, event.src_ip) == ("/b", None)
    assert "203.0.113.1" not in repr(event_of("ocsf", OCSF_PAGE))


def test_outcomes() -> None:
    for status_id, word, outcome in (
        (1, None, "success"),
        (99, "Failure", "failure"),
        (None, "success", "success"),
        (0, None, None),
    ):
        assert event_of("ocsf", {**OCSF_API, "status_id": status_id, "status": word}).outcome == outcome


def test_our_own_findings_are_no_telemetry() -> None:
    finding = Finding(
        finding_id="f-1",
        detector="rule:x",
        title="Burst",
        technique="online-evasion",
        severity=Severity.high,
        confidence=0.8,
        explanation="One client asks very often.",
        event_ids=("e1",),
        event_count=1,
        first_time=1_767_225_600_000_000,
        last_time=1_767_225_660_000_000,
        alarm_event="e1",
        principals=(PrincipalShare("ana", 1, 1.0),),
        system=None,
        model=None,
        details={},
    )
    with pytest.raises(FormatError, match="threatmatrix itself") as error:
        event_of("ocsf", finding_to_ocsf(finding))
    assert error.value.key == "class_uid"
    with pytest.raises(FormatError, match="another product"):
        event_of("ocsf", ocsf(2004, "f-2"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("class_uid", 1007),
        ("class_uid", "6003x"),
        ("class_uid", None),
        ("time", None),
        ("time", "2026-01-01"),
        ("time", 2**62),
        ("metadata", "x"),
        ("actor", []),
        ("api", 7),
    ],
)
def test_refuses_by_key(key: str, value: Any) -> None:
    with pytest.raises(FormatError) as error:
        event_of("ocsf", {**OCSF_API, key: value})
    assert (error.value.key, error.value.line) == (key, 4)


def test_lines_and_an_array(tmp_path: Path) -> None:
    records = [OCSF_API, OCSF_LOGIN, OCSF_BUCKET]
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, records)))
    (tmp_path / "array.json").write_text(json.dumps(records, indent=2))
    for path in tmp_path.iterdir():
        assert [event.source for batch in read_events([path], "auto") for event in batch] == ["ocsf"] * 3
