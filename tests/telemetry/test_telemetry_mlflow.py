"""MLflow: webhooks of the registry and requests for artifacts, in the forms that a running server writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.telemetry.log_records import MLFLOW, WEBHOOK

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.readers import Where, detect_reader, get_reader
from threatmatrix.telemetry.reading import Progress, read_events

SERVER_LOG = f"""\
2026/01/01 00:00:00 INFO mlflow.store.db.utils: Updating database tables
2026/01/01 00:00:00 INFO:     Uvicorn running on http://127.0.0.1:5000 (Press CTRL+C to quit)
{MLFLOW}
2026/01/01 00:00:01 INFO:     203.0.113.9:48822 - "GET /get-artifact?path=../../etc/passwd HTTP/1.1" 400 Bad Request
2026/01/01 00:00:02 INFO:     [2001:db8::7]:48822 - "POST /api/2.0/mlflow/registered-models/alias HTTP/1.1" 200 OK
Traceback (most recent call last):
"""


def parse(line: str | dict[str, Any]) -> Event:
    (event,) = get_reader("mlflow").parse(line if isinstance(line, str) else json.dumps(line), Where("log", 4))
    return event


def hook(entity: str, action: str, **data: Any) -> dict[str, Any]:
    return {"entity": entity, "action": action, "timestamp": "2026-01-01T00:00:00.250000+00:00", "data": data}


def test_webhook_with_its_headers() -> None:
    assert parse(WEBHOOK) == Event(
        event_id="mlflow:d-9",
        time=1_767_225_600_250_000,
        source="mlflow",
        category="model_registry",
        operation="model_version_alias.created",
        object="champion",
        model="labels",
        model_version="3",
        outcome="success",
    )


@pytest.mark.parametrize(
    ("webhook", "operation", "about"),
    [
        (hook("registered_model", "created", name="labels", tags={}), "registered_model.created", None),
        (hook("model_version", "created", name="labels", version="3", tags={"a": "b"}), "model_version.created", None),
        (
            hook("model_version_tag", "set", name="labels", version="3", key="stage", value="x"),
            "model_version_tag.set",
            "stage",
        ),
        (hook("model_version_alias", "deleted", name="labels", alias="old"), "model_version_alias.deleted", "old"),
        (hook("prompt_version", "created", name="labels", version="1", template="t"), "prompt_version.created", None),
    ],
)
def test_webhooks_alone(webhook: dict[str, Any], operation: str, about: str | None) -> None:
    event = parse(webhook)
    assert (event.operation, event.object, event.model) == (operation, about, "labels")
    assert detect_reader("log", [json.dumps(webhook)]).name == "mlflow"
    assert "template" not in repr(event)


def test_a_retried_delivery_has_the_same_id() -> None:
    again = {**WEBHOOK, "headers": {"x-mlflow-delivery-id": ["d-9"]}}
    assert parse(again).event_id == parse(WEBHOOK).event_id


def test_server_log(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text(SERVER_LOG)
    seen: list[Progress] = []
    events = [event for batch in read_events([log], on_progress=seen.append) for event in batch]
    assert [(event.category, event.operation, event.object) for event in events] == [
        ("artifact_access", "download", "1/ab12/artifacts/model/weights.bin"),
        ("artifact_access", "download", "../../etc/passwd"),
        ("model_registry", "registered_model_alias.set", None),
    ]
    assert [event.src_ip for event in events] == ["203.0.113.9", "203.0.113.9", "[2001:db8::7]"]
    assert (seen[-1].events, seen[-1].passed, seen[-1].dead_letters) == (3, 3, 0)


def test_common_log_format() -> None:
    request = "GET /model-versions/get-artifact?path=w&name=m&version=3 HTTP/1.1"
    line = f'2001:db8::5:1 - ana [01/Jan/2026:02:00:00 +0200] "{request}" 200 12 "-" "curl \\"8\\""'
    event = parse(line)
    assert (event.time, event.principal, event.user_agent) == (1_767_225_600_000_000, "ana", 'curl \\"8\\"')
    assert (event.src_ip, event.object, event.model, event.model_version) == ("2001:db8::5:1", "w", "m", "3")


def test_the_log_in_the_journal() -> None:
    entry = {"__REALTIME_TIMESTAMP": "1767225600250000", "MESSAGE": MLFLOW.split(" ", 2)[2], "_HOSTNAME": "h"}
    assert parse(entry).time == 1_767_225_600_250_000
    assert get_reader("mlflow").parse(json.dumps({**entry, "MESSAGE": "hello"}), Where()) == ()


@pytest.mark.parametrize(
    ("record", "key"),
    [
        (hook("model version", "created"), "entity"),
        ({**hook("prompt", "created"), "action": 3}, "action"),
        ({**hook("prompt", "created"), "timestamp": None}, "timestamp"),
        ({**hook("prompt", "created"), "data": []}, "data"),
        ({"headers": {}, "body": 7}, "body"),
        (hook("prompt", "created", name=["x"]), "name"),
        ({"headers": {"X-MLflow-Delivery-Id": 5}, "body": hook("prompt", "created")}, "X-MLflow-Delivery-Id"),
        ('INFO:     127.0.0.1:5 - "GET /get-artifact?path=x HTTP/1.1" 200 OK', "time"),
        ('1.2.3.4 - - [99/Jan/2026:00:00:00 +0000] "GET /get-artifact HTTP/1.1" 200 1', "time"),
    ],
)
def test_refuses_by_key(record: Any, key: str) -> None:
    with pytest.raises(FormatError) as error:
        parse(record)
    assert (error.value.key, error.value.line) == (key, 4)
