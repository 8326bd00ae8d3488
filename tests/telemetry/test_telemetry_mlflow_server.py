"""A real MLflow server, where MLflow is installed: what it writes and sends is what the reader expects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from threatmatrix.model.event import Event
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.reading import read_events

pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'mlflow>=3.3'")

STEPS = """
from mlflow import MlflowClient
import mlflow, os, pathlib, sys, urllib.request

client = MlflowClient()
events = ["registered_model.created", "model_version.created", "model_version_tag.set", "model_version_alias.created",
          "model_version_alias.deleted"]
client.create_webhook(name="hook", url=sys.argv[1], events=events, secret="secret")
client.create_registered_model("labels")
with mlflow.start_run() as run:
    file = pathlib.Path(sys.argv[2]) / "weights.bin"
    file.write_bytes(b"1234")
    mlflow.log_artifact(str(file), "model")
version = client.create_model_version("labels", source=f"runs:/{run.info.run_id}/model", run_id=run.info.run_id)
client.set_registered_model_alias("labels", "champion", version.version)
client.set_model_version_tag("labels", version.version, "stage", "prod")
client.delete_registered_model_alias("labels", "champion")
mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="model", dst_path=sys.argv[2])
"""


@pytest.fixture
def webhooks(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a receiver, and the file that it appends to."""
    file = tmp_path / "webhooks.jsonl"

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            with file.open("a") as out:
                out.write(json.dumps({"headers": dict(self.headers), "body": body}) + "\n")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", file
        server.shutdown()
        thread.join()


def free_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return server.server_port


def wait(port: int) -> None:
    for _ in range(120):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail("MLflow did not start")


def test_a_real_server_and_a_real_webhook(tmp_path: Path, webhooks: tuple[str, Path]) -> None:
    address, hooks = webhooks
    port = free_port()
    env = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}",
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "NO_PROXY": "127.0.0.1",
        "TZ": "UTC",
    }
    start = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = ["--backend-store-uri", f"sqlite:///{tmp_path}/db.sqlite", "--artifacts-destination", str(tmp_path / "art")]
    log = tmp_path / "server.log"
    with log.open("w") as out:
        command = [sys.executable, "-m", "mlflow", *start, *store]
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env)
    try:
        wait(port)
        subprocess.run([sys.executable, "-c", STEPS, address, str(tmp_path)], env=env, check=True, timeout=300)
        for _ in range(60):
            if hooks.exists() and len(hooks.read_text().splitlines()) >= 5:
                break
            time.sleep(0.5)
    finally:
        server.terminate()
        server.wait(30)
    letters = DeadLetterFile()
    events = [event for batch in read_events([hooks, log], dead_letters=letters) for event in batch]
    assert letters.count == 0, letters.reasons
    assert {event.source for event in events} == {"mlflow"}
    check([event for event in events if event.outcome], [event for event in events if not event.outcome])


def check(changes: list[Event], requests: list[Event]) -> None:
    assert sorted(f"{event.operation} {event.object}" for event in changes) == [
        "model_version.created None",
        "model_version_alias.created champion",
        "model_version_alias.deleted champion",
        "model_version_tag.set stage",
        "registered_model.created None",
    ]
    assert {event.model for event in changes} == {"labels"}
    moved = {(event.operation, (event.object or "").rpartition("/")[2]) for event in requests if event.object}
    assert {("upload", "weights.bin"), ("download", "weights.bin"), ("list", "model")} <= moved
    assert "model_registry" in {event.category for event in requests}
    assert abs(changes[0].time - requests[-1].time) < 3600 * 10**6
