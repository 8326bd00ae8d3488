"""A furnished artefact store, served or not, and what tests do to it; a store in memory that can be cut off."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from threatmatrix.emulate.reference.artefact_contents import Furnished, furnish
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.reference.serving import listen
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import StoredObject
from threatmatrix.model.errors import TargetError, UnknownNameError

D, CLASSES = 6, 3


def small_model() -> MLP:
    """Class = which third of the values is largest; one unit of its hidden layer does little."""
    through = np.hstack([np.eye(D), np.full((D, 1), 1e-3)])
    thirds = np.kron(np.eye(CLASSES), np.ones((D // CLASSES, 1)))
    return MLP.of([through, np.vstack([thirds, np.full((1, CLASSES), 1e-3)])], [np.zeros(D + 1), np.zeros(CLASSES)])


def rows(n: int, seed: int = 0) -> Samples:
    x = np.random.default_rng(seed).uniform(0.0, 1.0, (n, D)).round(3)
    return Samples(x, small_model().labels(x))


def furnished(kind: str, folder: Path) -> Furnished:
    return furnish(kind, folder / "root", seed=7, model=small_model(), training=rows(120), name="digits")


def config_of(store: Furnished, folder: Path) -> dict[str, Any]:
    return {**store.config, "audit_log": str(folder / "audit.jsonl"), "access_log": str(folder / "access.jsonl")}


def tree(root: Path) -> dict[str, str]:
    """Path → SHA-256 of every file: two states that are equal are equal byte for byte."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The application behind a real uvicorn on loopback, in a thread."""
    settings = uvicorn.Config(app, access_log=False, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(settings)
    with listen() as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def ask(
    app: Any, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, whole: bool = True
) -> tuple[int, Any]:
    """One request without a network: status and JSON, or bytes. ``whole`` False: the client goes away in the middle."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if whole or not hasattr(receive, "begun"):
            receive.begun = True  # type: ignore[attr-defined]
            return {"type": "http.request", "body": body, "more_body": not whole}
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw, "client": ("127.0.0.1", 5)}
    asyncio.run(app(scope, receive, send))
    kind = dict(sent[0]["headers"])[b"content-type"]
    content = sent[1]["body"]
    return sent[0]["status"], json.loads(content) if kind == b"application/json" else content


class Cut(BaseException):
    """The process dies here."""


class MemoryStore:
    """A store in memory that dies at a chosen moment: before or after a change takes effect."""

    def __init__(self, world: dict[str, Any]) -> None:
        self.world = world
        self.account = self.credential = ""
        self.queries = 0
        self.left: int | None = None  # moments until it dies; None: never
        self.down = False

    def _moment(self) -> None:
        if self.down:
            raise TargetError("the store is down")
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Cut

    def sign_up(self, account: str, password: str) -> bool:
        self._moment()
        if account in self.world["accounts"]:
            return False
        self.world["accounts"][account] = password
        self.account = self.credential = account
        self._moment()
        return True

    def sign_in(self, account: str, password: str) -> bool:
        self.account = self.credential = account
        return self.world["accounts"].get(account) == password

    def use_key(self, key_id: str, secret: str) -> None:
        self.account, self.credential = key_id, key_id

    def buckets(self) -> tuple[str, ...]:
        return ("data",)

    def objects(self, bucket: str) -> tuple[StoredObject, ...]:
        return tuple(StoredObject(key, len(value), "") for key, value in self.world["objects"].items())

    def get(self, bucket: str, key: str) -> bytes:
        self._moment()
        if key not in self.world["objects"]:
            raise UnknownNameError("object", key, ())
        return self.world["objects"][key]

    def put(self, bucket: str, key: str, content: bytes) -> None:
        self._moment()
        self.world["objects"][key] = content
        self._moment()

    def peek(self, bucket: str, key: str) -> bytes | None:
        self._moment()
        return self.world["objects"].get(key)

    def restore(self, bucket: str, key: str, content: bytes | None) -> None:
        self._moment()
        if content is None:
            self.world["objects"].pop(key, None)
        else:
            self.world["objects"][key] = content
        self._moment()

    def close_account(self, account: str, password: str) -> bool:
        self._moment()
        if self.world["accounts"].get(account) != password:
            return False
        del self.world["accounts"][account]
        self.world["keys"] = {k: v for k, v in self.world["keys"].items() if v != account}
        self._moment()
        return True

    def access_keys(self) -> tuple[str, ...]:
        self._moment()
        return tuple(key for key, owner in self.world["keys"].items() if owner == self.credential)

    def make_key(self) -> tuple[str, str]:
        self._moment()
        key = f"key-{len(self.world['keys'])}-{self.credential}"
        self.world["keys"][key] = self.credential
        self._moment()
        return key, "secret"

    def drop_key(self, key_id: str) -> None:
        self._moment()
        self.world["keys"].pop(key_id, None)
        self._moment()

    # a teacher as well

    def teach(self, x: np.ndarray, labels: np.ndarray) -> None:
        self._moment()
        self.world["lessons"] += [("emulation", int(label)) for label in labels]
        self._moment()

    def forget(self) -> int:
        self._moment()
        before = len(self.world["lessons"])
        self.world["lessons"] = [lesson for lesson in self.world["lessons"] if lesson[0] != "emulation"]
        self._moment()
        return before - len(self.world["lessons"])
