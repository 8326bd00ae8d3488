"""The processes of the crash trial: an external target, and a runner that may be killed at any moment."""

from __future__ import annotations

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.respond.examples import incident

from threatmatrix.model.response import ActionRecord
from threatmatrix.respond.actions import default_executors
from threatmatrix.respond.cacao import load_playbook
from threatmatrix.respond.runner import Runner
from threatmatrix.store import Store, open_store

NOW = 1_800_000_000_000_000


def clock() -> int:
    return NOW


def runner_at(folder: Path, checkpoint: Any = None) -> tuple[Store, Runner]:
    store = open_store(folder / "store.db", clock=clock)
    executors = default_executors(store, folder / "policy.json", clock)
    return store, Runner(store, executors, clock, checkpoint=checkpoint)


def respond(folder: Path, ready: Connection, kill_at: int | None) -> None:
    """Resume what is there, then start; SIGKILL itself at the ``kill_at``-th checkpoint."""
    passed = 0

    def checkpoint(_point: str, _record: ActionRecord) -> None:
        nonlocal passed
        if passed == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1

    ready.send("ready")
    store, runner = runner_at(folder, checkpoint)
    runner.resume()
    runner.start(load_playbook(folder / "playbook.json"), incident())
    store.close()


def target(log: Path, ready: Connection) -> None:
    """Append every call to ``log``; a repeated Idempotency-Key below /keyed has no second effect."""
    lock = threading.Lock()
    seen: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            scenario, kind = self.path.strip("/").split("/")
            key = f"{scenario} {self.headers['Idempotency-Key']}"
            with lock:
                effect = kind != "keyed" or key not in seen
                seen.add(key)
                with log.open("a") as file:
                    file.write(json.dumps({"scenario": scenario, "kind": kind, "key": key, "effect": effect}) + "\n")
            self.send_response(204)
            self.end_headers()

        def do_GET(self) -> None:
            scenario, _kind, key = unquote(self.path).strip("/").split("/")
            with lock:
                there = f"{scenario} {key}" in seen
            self.send_response(204 if there else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        ready.send(server.server_address[1])
        server.serve_forever()
