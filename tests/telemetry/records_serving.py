"""Made-up records of the sources that capture model servers, shaped as their documentation has them."""

from __future__ import annotations

import base64
import json
from typing import Any

from threatmatrix.telemetry.inputs.inputs import Inputs
from threatmatrix.telemetry.inputs.keys import Key, Keyring
from threatmatrix.telemetry.messages import HttpMessage
from threatmatrix.telemetry.readers.base import Options

SECRET = b"a secret of the tests, 32 bytes."
INPUTS = Inputs(Keyring(Key("k1", SECRET)))
OPTIONS = Options(inputs=INPUTS, principal_header="x-user")
TIME = 1_767_225_600_250_000
ISO = "2026-01-01T00:00:00.250000Z"

REQUEST_TYPE = "org.kubeflow.serving.inference.request"
RESPONSE_TYPE = "org.kubeflow.serving.inference.response"
TENSORS: dict[str, Any] = {
    "id": "client-1",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 3], "data": [[0.25, 0.5, 0.75], [0.5, 0.25, 0.125]]}],
}
ANSWER: dict[str, Any] = {
    "model_name": "sorter",
    "model_version": "4",
    "id": "client-1",
    "outputs": [
        {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["box", "bag"]},
        {"name": "scores", "datatype": "FP32", "shape": [2, 2], "data": [[0.75, 0.25], [0.125, 0.875]]},
    ],
}
METADATA = {"X-Request-Id": ["req-9"], "X-User": ["scanner"], "User-Agent": ["Scanner/4.1"]}


def cloud_event(kind: str = REQUEST_TYPE, **changes: Any) -> dict[str, Any]:
    """A structured-mode event of the inference logger; ``...`` removes a key."""
    event = {
        "specversion": "1.0",
        "id": "0f3c",
        "type": kind,
        "source": "http://localhost:9081/",
        "time": ISO,
        "inferenceservicename": "sorter",
        "namespace": "parcels",
        "component": "predictor",
        "endpoint": "",
        "metadata": json.dumps(METADATA),
        "datacontenttype": "application/json",
        "data": TENSORS if kind == REQUEST_TYPE else ANSWER,
        **changes,
    }
    return {key: value for key, value in event.items() if value is not ...}


def message(event: dict[str, Any], *, length: bool = True) -> bytes:
    """The same event in binary content mode, as it arrives at the receiver."""
    event = dict(event)
    data, kind = event.pop("data", None), event.pop("datacontenttype", "")
    body = b"" if data is None else data if isinstance(data, bytes) else json.dumps(data).encode()
    lines = [
        "POST / HTTP/1.1",
        "Host: receiver",
        *(f"Ce-{name.capitalize()}: {value}" for name, value in event.items()),
    ]
    lines += [f"Content-Type: {kind}", *([f"Content-Length: {len(body)}"] if length else []), "", ""]
    return "\r\n".join(lines).encode() + body


def stored(event: dict[str, Any]) -> dict[str, Any]:
    """The same event as a small receiver would keep it on a line."""
    event = dict(event)
    data, kind = event.pop("data", None), event.pop("datacontenttype", "")
    return {"headers": {"Content-Type": kind, **{f"Ce-{name}": value for name, value in event.items()}}, "body": data}


def capture(data: str, answer: str, encoding: str = "CSV", kind: str = "text/csv") -> dict[str, Any]:
    """A line of SageMaker Data Capture."""

    def side(mode: str, content: str) -> dict[str, Any]:
        text = base64.b64encode(content.encode()).decode() if encoding == "BASE64" else content
        return {"observedContentType": kind, "mode": mode, "data": text, "encoding": encoding}

    return {
        "captureData": {"endpointInput": side("INPUT", data), "endpointOutput": side("OUTPUT", answer)},
        "eventMetadata": {
            "eventId": "4d5b",
            "inferenceId": "order-17",
            "customAttributes": ["x-user=scanner;trace=77aa"],
            "inferenceTime": "2026-01-01T00:00:00Z",
        },
        "eventVersion": "0",
    }


AZURE_SOURCE = (
    "/subscriptions/0/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
    "/onlineEndpoints/parcels/deployments/blue"
)


def collected(kind: str = "request", **changes: Any) -> dict[str, Any]:
    """A line of Azure ML's data collector; ``...`` removes a key."""
    event = {
        "specversion": "1.0",
        "id": "9e1a",
        "source": AZURE_SOURCE,
        "type": f"azureml.inference.{kind}",
        "datacontenttype": "application/json",
        "time": "2026-01-01T00:00:00Z",
        "data": {"data": [[1, 2, 3], [4, 5, 6]]},
        "path": "/score?debug=1",
        "method": "POST",
        "contentrange": "bytes 0-59/60",
        "correlationid": "corr-1",
        "xrequestid": "xreq-1",
        **changes,
    }
    return {key: value for key, value in event.items() if value is not ...}


VERTEX: dict[str, Any] = {
    "endpoint": "projects/12/locations/europe-west4/endpoints/7700",
    "deployed_model_id": "88",
    "logging_time": "2026-01-01 00:00:00.25 UTC",
    "request_id": "901234567890123456",
    "request_payload": ["[0.5, 0.25]", "[0.125, 1]"],
    "response_payload": ["[0.75, 0.25]", "[0.125, 0.875]"],
}
PAIR: dict[str, Any] = {
    "time": ISO,
    "request_id": "req-9",
    "path": "/v2/models/sorter/infer",
    "status": 200,
    "latency_ms": 12.5,
    "headers": {"x-user": "scanner", "traceparent": f"00-{'1a' * 16}-{'2b' * 8}-01"},
    "request": TENSORS,
    "response": ANSWER,
}


HTTP = HttpMessage("POST / HTTP/1.1", {"ce-id": "1", "ce-type": REQUEST_TYPE, "ce-time": ISO}, b'{"instances":[[1]]}')
SHAPES: dict[str, list[Any]] = {
    "kserve": [cloud_event(), cloud_event(RESPONSE_TYPE), stored(cloud_event()), HTTP],
    "oip": [PAIR, {**TENSORS, "time": TIME / 1e6}, {**ANSWER, "timestamp": ISO}],
    "sagemaker": [
        capture("1,2\n3,4", "0.5\n0.25"),
        capture('{"instances": [[1, 2]]}', '{"predictions": [[0.5, 0.5]]}', "JSON", "application/json"),
        capture("1,a", "0.1", "BASE64"),
    ],
    "azureml": [collected(), collected("response", data=[0.5, 1.5]), collected("model_inputs", data=[{"a": 1}])],
    "vertex": [VERTEX, {**VERTEX, "full_request": {"contents": [{"parts": [{"text": "hello"}]}]}}],
}
"""Source → records that its reader takes, one of each shape."""

RECORDS: dict[str, Any] = {source: shapes[0] for source, shapes in SHAPES.items()}
"""Source → one record, for the tests that walk over all sources."""
