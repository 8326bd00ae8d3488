"""What the commands in the docs are run on: three small logs, made by the real gateway around a real model."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.confirm import choose_samples
from threatmatrix.emulate.reference import digits
from threatmatrix.emulate.reference.hard_negatives import static_camera
from threatmatrix.emulate.reference.honest import honest_clients, honest_requests
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.reference.serving import oip_app
from threatmatrix.emulate.run import run_procedure
from threatmatrix.emulate.targets import InProcessTarget
from threatmatrix.gateway import Gateway, GatewayConfig, header_clock
from threatmatrix.knowledge import load_library

SEED = 1
SECRET = b"the secret of the documentation."
SECOND = 1_000_000
YESTERDAY = 1_795_078_800_000_000  # 2026-11-19 09:00:00 UTC
TODAY = YESTERDAY + 86_400 * SECOND
INFER = "/v2/models/digits/infer"
SCRIPT = "python-requests/2.32.3"


class Lobby:
    """Speaks to a gateway in process, with an account, a user agent and an event time of its choice."""

    def __init__(self, product: MLP, log: Path, accounts: list[str]) -> None:
        directory = {hashlib.sha256(name.encode()).hexdigest(): name for name in accounts}
        self.gateway = Gateway(
            oip_app("digits", product),
            GatewayConfig(
                system="digits-product", log_path=log, secret=SECRET, accounts=directory, seed=SEED,
                clock=header_clock, input_range=(0.0, 1.0),
            ),
        )  # fmt: skip
        self.loop = asyncio.new_event_loop()

    def close(self) -> None:
        self.gateway.close()
        self.loop.close()

    def call(self, account: str, agent: str, at: int, path: str, body: bytes = b"") -> dict[str, Any]:
        headers = {"x-api-key": account, "user-agent": agent, "x-event-time": str(at), "content-length": str(len(body))}
        scope = {
            "type": "http", "method": "POST" if body else "GET", "path": path, "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 4000), "extensions": {},
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        self.loop.run_until_complete(self.gateway(scope, receive, send))
        return json.loads(b"".join(message.get("body", b"") for message in sent[1:]))

    def infer(self, account: str, agent: str, at: int, x: np.ndarray) -> np.ndarray:
        tensor = {"name": "input", "shape": list(x.shape), "datatype": "FP64", "data": x.ravel().tolist()}
        answer = self.call(account, agent, at, INFER, json.dumps({"inputs": [tensor]}).encode())
        scores = next(output["data"] for output in answer["outputs"] if output["name"] == "scores")
        return np.reshape(scores, (len(x), -1))


class Mallory:
    """The model as the attacker sees it: through the gateway, three requests a second."""

    inputs, classes = digits.INPUTS, digits.CLASSES

    def __init__(self, lobby: Lobby, start: int) -> None:
        self.lobby, self.now = lobby, start

    def scores(self, x: np.ndarray) -> np.ndarray:
        self.now += SECOND // 3
        return self.lobby.infer("mallory", SCRIPT, self.now, x)


def write_logs(folder: Path) -> None:
    splits = digits.load_splits(SEED)
    product = digits.train_product(splits, SEED)
    clients = honest_clients(12, len(splits.honest), seed=SEED)
    names = [client.account for client in clients]
    lobby = Lobby(product, folder / "reference.jsonl", names)
    stock = np.concatenate([splits.calibration.x, splits.base.x, splits.product.x])
    for n, x in enumerate(stock):
        lobby.infer(names[n % len(names)], "DigitsApp/2.3 (Android 14)", YESTERDAY + n * 5 * SECOND, x[None])
    lobby.close()

    lobby = Lobby(product, folder / "gateway.jsonl", [*names, "mallory", "shelf-camera"])
    traffic = honest_requests(splits.honest.x, clients, seed=SEED)
    for request in traffic:
        if request.offset_us > 600 * SECOND:
            break
        lobby.infer(request.account, request.user_agent, TODAY + request.offset_us, request.rows)
    for frame in static_camera(splits.honest.x, 7, frames=30, seed=SEED, fps=0.1):
        lobby.infer("shelf-camera", frame.user_agent, TODAY + 600 * SECOND + frame.offset_us, frame.rows)
    for path in ("/v2", "/v2/models/digits"):
        lobby.call("mallory", SCRIPT, TODAY + 900 * SECOND, path)
    mallory = Mallory(lobby, TODAY + 920 * SECOND)
    target = InProcessTarget(mallory, accounts=AccountPool(["mallory"]))
    chosen = choose_samples(InProcessTarget(product), splits.attacker.x, splits.attacker.y, 2, seed=SEED)
    procedure = load_library().procedure("hop-skip-jump")
    run_procedure(
        procedure, target, splits.attacker.x[chosen], splits.attacker.y[chosen], seed=SEED,
        confirm_target=InProcessTarget(product), max_queries=200,
    )  # fmt: skip
    lobby.close()

    with (folder / "nginx.jsonl").open("w") as log:
        for n in range(120):
            line = {
                "time": "2026-11-20T09:00:00+00:00", "msec": (TODAY + n * SECOND // 3) / 1e6, "request_id": f"r{n:04}",
                "src_ip": "203.0.113.9", "user": "", "key_id": "key_b2", "method": "POST", "uri": INFER, "status": 200,
                "bytes_in": 812, "rt": 0.012, "ua": SCRIPT, "traceparent": "",
            }  # fmt: skip
            log.write(json.dumps(line) + "\n")
        log.write('{"time": "2026-11-20T09:01:00+00:00", "uri"\n')  # cut off while it was written


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """reference.jsonl: an honest day; gateway.jsonl: an attack, a fixed camera; nginx.jsonl: a burst, a torn line."""
    folder = tmp_path_factory.mktemp("logs")
    write_logs(folder)
    return folder


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Ours, without settings of whoever runs the tests; the program under test first on the path."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("THREATMATRIX_", "COLUMNS"))}
    return clean | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="session")
def replayed(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> str:
    """Standard output of a replay with few samples."""
    folder = tmp_path_factory.mktemp("replay")
    run = subprocess.run(
        ["threatmatrix", "--quiet", "replay", "microsoft-edge-ai", "--samples", "3"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout
