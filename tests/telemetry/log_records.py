"""One valid record of each source, with values of our own; ``EVERY`` has those of the other modules as well."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.telemetry.records_cloud import RECORDS as CLOUD
from tests.telemetry.records_serving import SHAPES as SERVING

from threatmatrix.telemetry.inputs.inputs import Inputs
from threatmatrix.telemetry.inputs.keys import Key, Keyring
from threatmatrix.telemetry.messages import HttpMessage
from threatmatrix.telemetry.readers import Options
from threatmatrix.telemetry.readers.mapping_file import parse_mapping

GATEWAY: dict[str, Any] = {
    "v": 1,
    "time": 1_767_225_600_250_000,
    "event_id": "req-7:2",
    "category": "inference",
    "operation": "infer",
    "system": "parcel-sorter",
    "tenant": "north",
    "principal": "acct-scanner",
    "key_id": "key_b2",
    "src_ip": "198.51.100.7",
    "host": "models.example",
    "user_agent": "Scanner/4.1",
    "method": "POST",
    "endpoint": "/v2/models/labels/infer",
    "object": "tool-3",
    "model": "labels",
    "model_version": "3",
    "request_ref": "req-7",
    "row": 2,
    "rows": 5,
    "input_fp": "00ff" * 8,
    "input_vec": base64.b64encode(bytes([1, 255, 128, 0])).decode(),
    "vec_scale": 0.05,
    "vec_key": "k1",
    "input_fp_prev": "ff00" * 8,
    "input_vec_prev": base64.b64encode(bytes([2, 3])).decode(),
    "vec_key_prev": "k0",
    "input_bytes": 256,
    "input_raw": "[0.5]",
    "output_label": "parcel",
    "output_scores": [0.75, 0.25],
    "tokens_in": 8,
    "tokens_out": 1,
    "latency_ms": 2.5,
    "status": 200,
    "outcome": "success",
    "decision": "allow",
    "policy_ref": "p-9",
    "session": "s-1",
    "trace_id": "ab" * 16,
}
NGINX: dict[str, Any] = {
    "time": "2026-01-01T00:00:00+00:00",
    "msec": 1767225600.25,
    "request_id": "9f0c2e",
    "src_ip": "203.0.113.9",
    "xff": "",
    "user": "",
    "key_id": "key_b2",
    "method": "POST",
    "host": "somewhere.example",
    "server_name": "models.example",
    "uri": "/v2/models/labels/versions/3/infer?debug=1",
    "status": 429,
    "bytes_in": 812,
    "bytes_out": 40,
    "rt": 0.125,
    "upstream": "10.0.0.4:8000",
    "urt": "0.120",
    "ua": "Scanner/4.1",
    "traceparent": "00-" + "1a" * 16 + "-" + "2b" * 8 + "-01",
    "decision": "deny",
}
LITELLM: dict[str, Any] = {
    "id": "resp-1",
    "litellm_call_id": "call-77",
    "trace_id": "trace-5",
    "session_id": "chat-3",
    "call_type": "acompletion",
    "status": "success",
    "status_fields": {"llm_api_status": "success", "guardrail_status": "success"},
    "startTime": 1767225600.25,
    "endTime": 1767225601.75,
    "response_time": 1.5,
    "model": "house-model",
    "metadata": {
        "user_api_key_hash": "hash-1",
        "user_api_key_alias": "billing-bot",
        "user_api_key_team_id": "team-4",
        "user_api_key_request_route": "/v1/chat/completions",
        "requester_ip_address": "192.0.2.44",
        "user_agent": "house-sdk/2",
    },
    "prompt_tokens": 12,
    "completion_tokens": 34,
    "messages": [{"role": "user", "content": "where is parcel seventeen"}],
    "response": {"model": "house-model-2026-01", "choices": [{"message": {"content": "in the van"}}]},
    "error_information": {"error_code": ""},
    "model_map_information": None,
}
ENVOY: dict[str, Any] = {
    "start_time": "2026-01-01T00:00:00.250Z",
    "method": "POST",
    "path": "/v2/models/labels/versions/3/infer?debug=1",
    "protocol": "HTTP/2",
    "response_code": 403,
    "response_flags": "UAEX",
    "response_code_details": "rbac_access_denied_matched_policy[ns[models]-policy[block]-rule[0]]",
    "bytes_received": 812,
    "bytes_sent": 40,
    "duration": 125,
    "x_forwarded_for": "192.0.2.66",
    "user_agent": "Scanner/4.1",
    "x_request_id": "5c0f7e",
    "key_id": "key_b2",
    "authority": "models.example:8443",
    "upstream_host": "10.0.0.4:8000",
    "upstream_cluster": "outbound|80||labels.models.svc.cluster.local",
    "downstream_remote_address": "203.0.113.9:40000",
    "downstream_peer_uri_san": "spiffe://house/ns/shop/sa/scanner",
    "traceparent": "00-" + "1a" * 16 + "-" + "2b" * 8 + "-01",
    "stream_id": "77aa",
}
# Envoy's command operators under the names that Istio gives them when a mesh logs JSON and nothing else is said.
ISTIO: dict[str, Any] = {
    "authority": "labels.models.svc.cluster.local",
    "bytes_received": 54,
    "bytes_sent": 40,
    "connection_termination_details": None,
    "downstream_local_address": "10.0.0.4:8080",
    "downstream_remote_address": "[2001:db8::7]:40000",
    "duration": 3,
    "method": "POST",
    "path": "/v1/models/labels:predict",
    "protocol": "HTTP/1.1",
    "request_id": "5c0f7e",
    "requested_server_name": None,
    "response_code": 200,
    "response_code_details": "via_upstream",
    "response_flags": "-",
    "route_name": "default",
    "start_time": "2026-01-01T00:00:00.250Z",
    "upstream_cluster": "inbound|8080||",
    "upstream_host": "10.0.0.4:8080",
    "upstream_local_address": "127.0.0.6:40001",
    "upstream_service_time": "2",
    "upstream_transport_failure_reason": None,
    "user_agent": "Scanner/4.1",
    "x_forwarded_for": None,
}
WEBHOOK: dict[str, Any] = {
    "headers": {"Content-Type": "application/json", "X-MLflow-Delivery-Id": "d-9", "X-MLflow-Timestamp": "1767225600"},
    "body": json.dumps(
        {
            "entity": "model_version_alias",
            "action": "created",
            "timestamp": "2026-01-01T00:00:00.250000+00:00",
            "data": {"name": "labels", "alias": "champion", "version": "3"},
        }
    ),
}
MLFLOW = (
    '2026/01/01 00:00:00 INFO:     203.0.113.9:48822 - "GET /api/2.0/mlflow-artifacts/artifacts/1/ab12/artifacts/model/'
    'weights.bin HTTP/1.1" 200 OK'
)
MLFLOW_COMMON = (
    '203.0.113.9 - ana [01/Jan/2026:00:00:00 +0000] "GET /model-versions/get-artifact?path=w&name=labels&version=3 '
    'HTTP/1.1" 200 12 "-" "Scanner/4.1"'
)
LINUX = (
    "2026-01-01T00:00:00.250000+00:00 train-1 sshd[4711]: Accepted publickey for ana from 203.0.113.9 port 50022 ssh2: "
    "ED25519 SHA256:Zm9vYmFyYmF6"
)
OWN_LOG: dict[str, Any] = {
    "ts": 1767225600.25,
    "req": {"id": "r-7", "user": {"id": 42}, "ip": "203.0.113.9", "path": "/score?x=1", "took": 0.0025},
    "answer": [{"label": "parcel", "p": [0.75, 0.25]}],
    "ok": True,
    "features": [0.5, 0.25],
    "more": 1,
}
MAPPING = """\
category: inference
time: {field: ts, unit: s}
id: req.id
model: labels
constants: {operation: infer, tenant: north}
fields:
  principal: req.user.id
  src_ip: req.ip
  endpoint: req.path
  request_ref: req.id
  output_label: answer[0].label
  output_scores: answer[0].p
  latency_ms: {field: req.took, scale: 1000}
  outcome: {field: ok, values: {"true": success, "false": failure}}
inputs: {numeric: [features, more], datatype: FP32}
"""
RECORDS: dict[str, Any] = {
    "gateway": GATEWAY,
    "nginx": NGINX,
    "litellm": LITELLM,
    "envoy": ENVOY,
    "mlflow": MLFLOW,
    "linux-auth": LINUX,
    "mapping": OWN_LOG,
}
MORE: dict[str, list[Any]] = {
    "nginx": [{**NGINX, "uri": "/get-artifact?path=model/weights.bin&run_uuid=1"}, {**NGINX, "user": "ana"}],
    "envoy": [ISTIO, {**ENVOY, "path": "/api/2.0/mlflow/registered-models/alias?name=labels&alias=champion"}],
    "mlflow": [
        json.dumps(WEBHOOK),
        MLFLOW_COMMON,
    ],
    "linux-auth": [
        "Jan  1 00:00:00 train-1 sudo:      ana : TTY=pts/0 ; PWD=/home/ana ; USER=root ; COMMAND=/usr/bin/id",
        "Jan  1 00:00:00 h sshd[9]: message repeated 2 times: [ Failed password for root from 203.0.113.9 port 4 ssh2]",
        json.dumps(
            {
                "__CURSOR": "s=1;i=2",
                "__REALTIME_TIMESTAMP": "1767225600250000",
                "_HOSTNAME": "train-1",
                "SYSLOG_IDENTIFIER": "sshd",
                "MESSAGE": "Invalid user oracle from 203.0.113.9 port 40022",
            }
        ),
    ],
}


# Source → all the records that the tests have of it, whoever wrote them.
EVERY: dict[str, list[Any]] = {
    **{source: [record, *MORE.get(source, ())] for source, record in RECORDS.items()},
    **{source: [record] for source, record in CLOUD.items()},
    **SERVING,
}


def as_log(record: Any) -> bytes:
    """A record as it stands in a log: JSON of an object, a line of text, an HTTP message, or bytes as they are."""
    if isinstance(record, HttpMessage):
        headers = "".join(f"{name}: {value}\r\n" for name, value in record.headers.items())
        return f"{record.start}\r\n{headers}\r\n".encode() + record.body
    if isinstance(record, bytes):
        return record
    return (record if isinstance(record, str) else json.dumps(record)).encode()


def options() -> Options:
    """What makes every reader say all that it can: keys that overlap, inputs kept, a mapping."""
    keyring = Keyring(Key("new", b"n" * 32), Key("old", b"o" * 32), until=2**62)
    return Options(inputs=Inputs(keyring, keep_raw=True), mapping=parse_mapping(MAPPING, "mapping.yaml"))
