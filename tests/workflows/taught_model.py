"""A model behind a real HTTP server that can be taught, refuse and misbehave; and emulations against it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests.emulate.small_server import Reply, Web, good

from threatmatrix.emulate.targets import parse_target
from threatmatrix.knowledge import load_library
from threatmatrix.workflows.emulation import EmulationReport, Request, emulate, emulations, prepare
from threatmatrix.workflows.home import Home

LIBRARY = load_library()
NOW = time.time_ns() // 1000
KEY = "sk-very-secret-0123456789"
CARD = {
    "name": "m", "inputs": [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}],
    "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]},
                {"name": "scores", "datatype": "FP64", "shape": [-1, 2]}],
}  # fmt: skip


class Taught:
    """A model on the other side of HTTP that says 1, and keeps what it is taught until it is told to forget."""

    def __init__(self, web: Web) -> None:
        self.web = web.renewed()
        self.lessons: list[list[int]] = []
        self.stubborn = False
        self.infer: Callable[[int], Reply] = lambda rows: (200, {}, good(rows, scores=True))
        web.say = self.say

    def say(self, path: str, body: dict) -> Reply:
        if path.endswith("/infer"):
            return self.infer(body["inputs"][0]["shape"][0])
        if not path.endswith("/feedback"):
            return 200, {}, json.dumps(CARD).encode()
        if body:
            self.lessons.append(body["labels"])
            return 200, {}, b"{}"
        if self.stubborn:
            return 403, {}, b"not you"
        forgotten, self.lessons = len(self.lessons), []
        return 200, {}, json.dumps({"forgotten": forgotten}).encode()


class Stages:
    """Does something as soon as a stage begins whose name holds a text."""

    def __init__(self, text: str = "", then: Callable[[], None] = lambda: None) -> None:
        self.text, self.then = text, then

    def stage(self, text: str) -> None:
        if self.text and self.text in text:
            self.then()


def sign(folder: Path, **changes: str) -> Path:
    values = {"expires": "2999-01-01", "models": "m", "max_queries": "100000"} | changes
    path = folder / "scope.yaml"
    path.write_text(
        f"owner: Ada\nexpires: {values['expires']}\nhosts: [127.0.0.1]\nmodels: [{values['models']}]\n"
        "techniques: [data-poisoning, online-evasion, execution-via-api, ml-model-discovery,"
        " defacement]\n"
        f"max_queries: {values['max_queries']}\nrps: 100000\n"
    )
    return path


def asked(model: Taught, folder: Path, *procedures: str, **changes: object) -> Request:
    rng = np.random.default_rng(1)
    np.savez(folder / "mine.npz", x=rng.random((4, 4)), y=np.ones(4, dtype=int))
    np.savez(folder / "reports.npz", x=rng.random((6, 4)), y=np.ones(6, dtype=int))
    values: dict[str, object] = {
        "procedures": procedures, "target": parse_target(f"oip:{model.web.url}/v2/models/m"),
        "scope_file": sign(folder), "samples_file": folder / "mine.npz", "samples": 4,
        "inputs": (f"reports={folder / 'reports.npz'}", "taught=9"), "keys": ("RED_TEAM_KEY",),
    }  # fmt: skip
    return Request(**(values | changes))  # type: ignore[arg-type]


def ran(request: Request, folder: Path, stages: Stages | None = None) -> EmulationReport:
    prepared = prepare(request, LIBRARY, NOW)
    return emulate(prepared, Home(folder / "home"), LIBRARY, progress=stages or Stages(), now=NOW)


def state(folder: Path) -> tuple[str, int]:
    (one,) = emulations(Home(folder / "home"))
    return one.state, one.pending


def answer(**outputs: object) -> Callable[[int], Reply]:
    data = [{"name": name, "data": value} for name, value in outputs.items()]
    return lambda rows: (200, {}, json.dumps({"outputs": data}).encode())
