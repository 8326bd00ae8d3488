"""An emulation that is killed while it poisons a model: clean-up, in another process, leaves the model as it was."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from threatmatrix.emulate.reference import build_reference

SEED = 3


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "threatmatrix",
        "--home",
        str(tmp_path_factory.mktemp("served")),
        "emulate",
        "serve",
    ]
    with subprocess.Popen(
        [*command, "phishing", "--port", "0", "--seed", str(SEED)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        target = process.stdout.readline().strip()
        assert target.startswith("oip:http://127.0.0.1:"), target
        yield target
        process.send_signal(signal.SIGINT)


def answers(target: str, rows: np.ndarray) -> bytes:
    """Everything that the model says, to the last digit."""
    url = target.removeprefix("oip:")
    tensor = {"name": "input", "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel().tolist()}
    request = urllib.request.Request(f"{url}/infer", json.dumps({"inputs": [tensor]}).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.dumps(json.loads(answer.read())["outputs"]).encode()


def test_a_killed_poisoning_is_taken_back(served: str, tmp_path: Path) -> None:
    reference = build_reference("phishing", SEED)
    reports = reference.known["reports"]
    np.savez(tmp_path / "mine.npz", x=reference.attacker.x, y=reference.attacker.y)
    np.savez(tmp_path / "reports.npz", x=reports.x, y=reports.y)
    (tmp_path / "scope.yaml").write_text(
        "owner: Ada\nexpires: 2999-01-01\nhosts: [127.0.0.1]\nmodels: [phishing]\ntechniques: [data-poisoning]\n"
        "max_queries: 100000\nrps: 100000\n"
    )
    before = answers(served, reference.calibration)
    program = [sys.executable, "-m", "threatmatrix", "--home", "home"]
    run = [*program, "emulate", "run", "feedback-poisoning", "--target", served, "--scope", "scope.yaml"]
    run += [
        "--samples-file",
        "mine.npz",
        "--input",
        "reports=reports.npz",
        "--input",
        f"taught={reference.known['taught']}",
    ]
    attack = subprocess.Popen(run, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = tmp_path / "home/emulations/feedback-poisoning-1"
    deadline = time.monotonic() + 60
    while attack.poll() is None and time.monotonic() < deadline:
        journal = folder / "journal.jsonl"
        if journal.exists() and journal.read_text().count('"acted"') >= 3:
            break
        time.sleep(0.02)
    os.kill(attack.pid, signal.SIGKILL)
    attack.wait()
    assert answers(served, reference.calibration) != before, "it was killed with lies in the model"
    status = subprocess.run(
        [*program, "emulate", "status", "--format", "json"], cwd=tmp_path, capture_output=True, check=True
    )
    (open_one,) = json.loads(status.stdout)
    assert open_one["state"] == "detonating"
    assert open_one["pending"] >= 3
    for _ in range(2):  # doing it twice is doing it once
        done = subprocess.run(
            [*program, "emulate", "clean-up", open_one["name"]], cwd=tmp_path, capture_output=True, check=True
        )
        assert b"taken back" in done.stdout
        assert answers(served, reference.calibration) == before
    assert not re.search(
        r'"(acted|undone)"', (folder / "journal.jsonl").read_text() if (folder / "journal.jsonl").exists() else ""
    )
