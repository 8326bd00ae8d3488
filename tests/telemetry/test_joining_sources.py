"""Logs as their readers read them, joined."""

from __future__ import annotations

from typing import Any

from threatmatrix.model.event import Event
from threatmatrix.telemetry.joining import join
from threatmatrix.telemetry.readers import SOURCES
from threatmatrix.telemetry.readers.base import Where


def read(source: str, *records: dict[str, Any]) -> list[Event]:
    return [event for record in records for event in SOURCES[source].parse(record, Where("log", 1))]


def test_nginx_and_kserve() -> None:
    proxy = {
        "msec": 1767225602.250, "request_id": "7f0c", "src_ip": "203.0.113.9", "key_id": "key_b2", "method": "POST",
        "uri": "/v1/models/parcels:predict", "status": 200, "bytes_in": 812, "rt": 0.125, "ua": "Scanner/4.1",
    }  # fmt: skip
    logged = [
        {
            "specversion": "1.0", "id": "7f0c", "type": f"org.kubeflow.serving.inference.{role}", "time": time,
            "inferenceservicename": "parcels", "namespace": "prod", "metadata": {"X-Request-Id": ["7f0c"]},
            "data": data,
        }
        for role, time, data in (
            ("request", "2026-01-01T00:00:02.1Z", {"instances": [[0.5, 0.25], [1, 2]]}),
            ("response", "2026-01-01T00:00:02.2Z", {"predictions": [1, 0]}),
        )
    ]  # fmt: skip
    first, second = join([*read("nginx", proxy), *read("kserve", *logged)]).events
    assert (first.source, first.event_id, second.event_id) == ("kserve+nginx", "req:7f0c", "req:7f0c:1")
    assert (first.src_ip, first.principal, first.status, first.latency_ms) == ("203.0.113.9", "key_b2", 200, 125.0)
    assert (first.output_label, second.output_label, second.row, second.rows) == ("1", "0", 1, 2)
    assert first.host == second.host == "parcels.prod"


def test_bedrock_and_cloudtrail() -> None:
    arn = "arn:aws:sts::111122223333:assumed-role/app/run-7"
    call = {
        "schemaType": "ModelInvocationLog", "timestamp": "2026-01-01T00:00:17Z", "accountId": "111122223333",
        "identity": {"arn": arn}, "requestId": "915a", "operation": "Converse", "modelId": "house.model-v1:0",
        "input": {"inputTokenCount": 35}, "output": {"outputTokenCount": 46},
    }  # fmt: skip
    trail = {
        "eventVersion": "1.11", "userIdentity": {"type": "AssumedRole", "arn": arn, "accountId": "111122223333"},
        "eventTime": "2026-01-01T00:00:16Z", "eventSource": "bedrock.amazonaws.com", "eventName": "Converse",
        "sourceIPAddress": "198.51.100.4", "userAgent": "Boto3", "requestParameters": {"modelId": "house.model-v1:0"},
        "requestID": "915a", "eventID": "e1", "recipientAccountId": "111122223333",
    }  # fmt: skip
    (event,) = join([*read("cloudtrail", trail), *read("bedrock", call)]).events
    assert (event.source, event.category, event.operation) == ("bedrock+cloudtrail", "inference", "chat")
    assert (event.src_ip, event.user_agent, event.tokens_in, event.tokens_out) == ("198.51.100.4", "Boto3", 35, 46)


def test_nginx_and_a_gateway_that_makes_its_own_ids_are_joined_by_trace() -> None:
    proxy = {
        "msec": 1767225602.250, "request_id": "7f0c", "src_ip": "203.0.113.9", "method": "POST",
        "uri": "/v2/models/digits/infer", "status": 200,
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }  # fmt: skip
    own = {
        "v": 1, "category": "inference", "operation": "infer", "system": "s", "principal": "alice", "method": "POST",
        "endpoint": "/v2/models/digits/infer", "model": "digits", "time": 1767225602200000, "event_id": "a0:0",
        "request_ref": "a0", "row": 0, "rows": 1, "latency_ms": 2.5, "decision": "allow", "status": 200,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }  # fmt: skip
    (event,) = join([*read("nginx", proxy), *read("gateway", own)]).events
    assert (event.source, event.principal, event.src_ip) == ("gateway+nginx", "alice", "203.0.113.9")
