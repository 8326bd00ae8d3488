"""Gateway logs of our own: honest clients, and a HopSkipJump attacker, through the real gateway in this process."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from tests.emulate.helpers import D, half_space, inputs, procedure

from threatmatrix.emulate.reference.serving import oip_app
from threatmatrix.emulate.run import run_procedure
from threatmatrix.emulate.targets import InProcessTarget
from threatmatrix.gateway import Gateway, GatewayConfig, header_clock

START = 1_760_000_000_000_000
ACCOUNTS = {hashlib.sha256(name.encode()).hexdigest(): name for name in ["mallory", *(f"user{n}" for n in range(20))]}


class Street:
    """A model behind a gateway; everybody's requests turn the clock by a second."""

    inputs = D
    classes = 2

    def __init__(self, log: Path) -> None:
        config = GatewayConfig(
            system="digit-reader",
            log_path=log,
            secret=b"a secret of the tests, 32 bytes.",
            accounts=ACCOUNTS,
            clock=header_clock,
            seed=7,
            input_range=(0.0, 1.0),
        )
        self.gateway = Gateway(oip_app("digits", half_space()), config)
        self.now = START

    def scores(self, x: np.ndarray) -> np.ndarray:
        """The attacker's view: an :class:`InProcessTarget` asks this as its model."""
        tensor = {"name": "input", "shape": list(x.shape), "datatype": "FP64", "data": x.ravel().tolist()}
        answer = self.ask("POST", "/v2/models/digits/infer", "mallory", json.dumps({"inputs": [tensor]}).encode())
        outputs = {output["name"]: output for output in json.loads(answer)["outputs"]}
        return np.reshape(outputs["scores"]["data"], outputs["scores"]["shape"])

    def honest(self, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows = rng.uniform(0, 0.2, (n, D)) + 0.8 * rng.integers(0, 2, (n, D))  # far from the model's boundary
        for number, row in enumerate(rows):
            tensor = {"name": "input", "shape": [1, D], "datatype": "FP64", "data": row.tolist()}
            body = json.dumps({"inputs": [tensor]}).encode()
            self.ask("POST", "/v2/models/digits/infer", f"user{number % 20}", body, agent="DigitsApp/2.3")

    def attack(self) -> None:
        self.ask("GET", "/v2/models/digits", "mallory", b"")
        target = InProcessTarget(self)
        x, y = inputs(3, mean=0.3)
        run_procedure(procedure("hop_skip_jump", threshold=0.3), target, x, y, seed=1, confirm_target=target)

    def ask(self, method: str, path: str, key: str, body: bytes, agent: str = "python-requests/2.32") -> bytes:
        self.now += 1_000_000
        headers = {"x-api-key": key, "user-agent": agent, "x-event-time": str(self.now), "content-length": len(body)}
        scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "client": ("203.0.113.5", 4),
            "headers": [(name.encode(), str(value).encode()) for name, value in headers.items()],
        }  # fmt: skip
        said: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            said.append(message.get("body", b""))

        asyncio.run(self.gateway(scope, receive, send))
        return b"".join(said)


def write_logs(folder: Path) -> dict[str, Path]:
    """``reference``: 300 honest inputs. ``attack``: 60 more, then one attacker, in the same projection."""
    paths = {name: folder / f"{name}.jsonl" for name in ("reference", "attack")}
    for seed, (name, path) in enumerate(paths.items()):
        street = Street(path)
        street.honest(300 if name == "reference" else 60, seed)
        if name == "attack":
            street.attack()
        street.gateway.close()
    return paths
