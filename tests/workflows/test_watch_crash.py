"""A watch that is killed at every step, on a full disk, or told to stop: nothing lost, nothing twice.

benchmarks/bench_watch.py kills it a hundred times at random moments.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.workflows.watch_child", str(tmp_path_factory.mktemp("watch"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_killed_after_every_step_it_is_as_if_nobody_had_killed_it(trials: dict[str, Any]) -> None:
    trial = trials["killed_at_every_step"]
    assert trial["codes"] == [-signal.SIGKILL] * 8
    assert trial["rotations"] >= 6
    assert (trial["events"], trial["findings"] >= 2, trial["dead letters"]) == (672, True, 1)
    assert set(trial["differences"].values()) == {0}, trial["differences"]


def test_a_full_disk_is_waited_for_and_nothing_is_read_meanwhile(trials: dict[str, Any]) -> None:
    trial = trials["on_a_full_disk"]
    assert trial["first"].startswith("Waiting")
    assert trial["more"] is False
    assert trial["code"] == 0
    assert "Recovered" in trial["rest"]
    assert trial["rows"] == 240


def test_told_to_stop_it_finishes_what_it_has_in_hand(trials: dict[str, Any]) -> None:
    assert trials["stopped_by_a_signal"] == {"code": 0, "journal": 0, "rows": 40}
