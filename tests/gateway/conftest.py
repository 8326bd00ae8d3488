from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from threatmatrix.gateway import Gateway, GatewayConfig, header_clock

SECRET = b"a secret of the tests, 32 bytes."
KEYS = {"alice": "alice-key-000", "bob": "bob-key-000"}
ACCOUNTS = {hashlib.sha256(key.encode()).hexdigest(): name for name, key in KEYS.items()}
START = 1_700_000_000_000_000
INFER = "/v2/models/digits/infer"


class Model:
    """An Open Inference Protocol app that remembers what reached it and answers label and scores."""

    def __init__(self) -> None:
        self.inputs: list[np.ndarray] = []
        self.bodies: list[bytes] = []
        self.scopes: list[Any] = []
        self.status = 200
        self.answer: Callable[[np.ndarray], list[dict[str, Any]]] = self.label_and_scores

    @staticmethod
    def label_and_scores(x: np.ndarray) -> list[dict[str, Any]]:
        scores = [[0.123456789, 0.6543210987, 0.2222221123] for _ in x]
        return [
            {"name": "label", "datatype": "INT64", "shape": [len(x)], "data": [1] * len(x)},
            {"name": "scores", "datatype": "FP64", "shape": [len(x), 3], "data": scores},
        ]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.bodies.append(body)
        answer: dict[str, Any] = {"name": "digits"}
        if scope["path"].endswith("/infer"):
            try:
                tensor = json.loads(body)["inputs"][0]
                x = np.array(tensor["data"], dtype=float).reshape(tensor["shape"])
            except (ValueError, KeyError):
                x = np.zeros((1, 1))
            self.inputs.append(x)
            answer = {"model_name": "digits", "outputs": self.answer(x)}
        raw = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(raw))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": raw})


def entry(kind: str, entry_id: str = "p1", **more: Any) -> dict[str, Any]:
    base = {"entry_id": entry_id, "kind": kind, "owner": "soc", "reason": "test", "created_at": START}
    return {**base, "expires_at": START + 10**12, "principal": None, "model": None, "params": {}, **more}


def infer_body(x: Any, datatype: str = "FP64", *, flat: bool = False) -> dict[str, Any]:
    array = np.asarray(x)
    data = array.ravel().tolist() if flat else array.tolist()
    return {"inputs": [{"name": "image", "shape": list(array.shape), "datatype": datatype, "data": data}]}


class Bench:
    """A gateway around a :class:`Model`, driven in process, with its log and its policy file."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.log_path = folder / "gateway.jsonl"
        self.policy_path = folder / "policy.json"
        self.version = 0
        self.model = Model()
        self.now = START
        self.config = GatewayConfig(
            **{
                "system": "digits",
                "log_path": self.log_path,
                "policy_path": self.policy_path,
                "secret": SECRET,
                "accounts": ACCOUNTS,
                "clock": header_clock,
                "seed": 7,
                **settings,
            }
        )
        self.gateway = Gateway(self.model, self.config)

    def publish(self, *entries: dict[str, Any]) -> None:
        self.version += 1
        text = json.dumps({"version": self.version, "published_at": START, "entries": entries})
        draft = self.policy_path.with_suffix(".tmp")
        draft.write_text(text)
        draft.rename(self.policy_path)

    def ask(self, method: str, path: str, *, who: str | None = None, **more: Any) -> httpx.Response:
        return asyncio.run(self.ask_async(method, path, who=who, **more))

    async def ask_async(self, method: str, path: str, *, who: str | None = None, **more: Any) -> httpx.Response:
        headers = {"x-event-time": str(self.now), "user-agent": "DigitsApp/2.3", **more.pop("headers", {})}
        if who:
            headers["x-api-key"] = KEYS.get(who, who)
        transport = httpx.ASGITransport(app=self.gateway, client=("127.0.0.1", 4))
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            return await client.request(method, path, headers=headers, **more)

    def infer(self, x: Any, *, who: str | None = "alice", **more: Any) -> httpx.Response:
        return self.ask("POST", INFER, who=who, json=infer_body(x), **more)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, input_range=(0.0, 1.0))
    yield made
    made.gateway.close()


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**settings: Any) -> Bench:
        folder = tmp_path / str(len(made))
        folder.mkdir(exist_ok=True)
        made.append(Bench(folder, **settings))
        return made[-1]

    yield make
    for each in made:
        each.gateway.close()


def image(seed: int = 0, rows: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 17, (rows, 8, 8)) / 16
