"""An emulation that is killed while it poisons a model: clean-up, in another process, leaves the model as it was."""

from __future__ import annotations

import json
import os
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
from threatmatrix.emulate.reference.base import Reference
from threatmatrix.knowledge import load_library
from threatmatrix.workflows.emulation import clean_up, find, served
from threatmatrix.workflows.home import Home

SEED = 3


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Served by a process of its own: what it has learnt outlives whoever taught it."""
    with served("phishing", SEED, tmp_path_factory.mktemp("served")) as address:
        yield f"{address}/v2/models/phishing"


def answers(url: str, rows: np.ndarray) -> bytes:
    """Everything that the model says, to the last digit."""
    tensor = {"name": "input", "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel().tolist()}
    request = urllib.request.Request(f"{url}/infer", json.dumps({"inputs": [tensor]}).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.dumps(json.loads(answer.read())["outputs"]).encode()


def attack(url: str, reference: Reference, folder: Path) -> subprocess.Popen[bytes]:
    """``emulate run`` of a poisoning, on its way."""
    reports = reference.known["reports"]
    np.savez(folder / "mine.npz", x=reference.attacker.x, y=reference.attacker.y)
    np.savez(folder / "reports.npz", x=reports.x, y=reports.y)
    (folder / "scope.yaml").write_text(
        "owner: Ada\nexpires: 2999-01-01\nhosts: [127.0.0.1]\nmodels: [phishing]\ntechniques: [data-poisoning]\n"
        "max_queries: 100000\nrps: 100000\n"
    )
    run = [sys.executable, "-m", "threatmatrix", "--home", "home", "emulate", "run", "feedback-poisoning"]
    run += ["--target", f"oip:{url}", "--scope", "scope.yaml", "--samples-file", "mine.npz"]
    run += ["--input", "reports=reports.npz", "--input", f"taught={reference.known['taught']}"]
    return subprocess.Popen(run, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_killed_poisoning_is_taken_back(url: str, tmp_path: Path) -> None:
    reference = build_reference("phishing", SEED)
    before = answers(url, reference.calibration)
    process = attack(url, reference, tmp_path)
    journal = tmp_path / "home/emulations/feedback-poisoning-1/journal.jsonl"
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if journal.exists() and journal.read_text().count('"acted"') >= 3:
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert answers(url, reference.calibration) != before, "it was killed with lies in the model"
    home, library = Home(tmp_path / "home"), load_library()
    killed = find(home, "feedback-poisoning-1")
    assert killed.state == "detonating"
    assert killed.pending >= 3
    for _ in range(2):  # doing it twice is doing it once
        assert clean_up(find(home, killed.name), library).done
        assert answers(url, reference.calibration) == before
    assert (find(home, killed.name).state, find(home, killed.name).pending) == ("clean", 0)
