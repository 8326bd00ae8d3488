"""A watch that is killed at every step, on a full disk, or told to stop: nothing lost, nothing twice.

benchmarks/bench_watch.py kills it a hundred times at random moments.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import uncounted


def tried(folder: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.workflows.watch_child", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=uncounted())
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return tried(tmp_path_factory.mktemp("watch"))


def is_as_if_nobody_had_killed_it(trial: dict[str, Any], kills: int) -> None:
    assert trial["codes"] == [-signal.SIGKILL] * kills
    assert trial["rotations"] >= kills - 2
    assert trial["events"] > 50 * kills
    assert trial["findings"] >= 2
    assert set(trial["differences"].values()) == {0}, trial["differences"]


def test_killed_wherever_something_was_written_it_is_as_if_nobody_had_killed_it(trials: dict[str, Any]) -> None:
    is_as_if_nobody_had_killed_it(trials["killed_at_every_step"], 5)


@pytest.mark.nightly
def test_killed_after_every_step_it_is_as_if_nobody_had_killed_it(tmp_path: Path) -> None:
    trial = tried(tmp_path, "all")["killed_at_every_step"]
    is_as_if_nobody_had_killed_it(trial, 8)
    assert (trial["events"], trial["dead letters"]) == (672, 1)


def test_a_full_disk_is_waited_for_and_nothing_is_read_meanwhile(trials: dict[str, Any]) -> None:
    trial = trials["on_a_full_disk"]
    assert trial["first"].startswith("Waiting")
    assert trial["more"] is False
    assert trial["code"] == 0
    assert "Recovered" in trial["rest"]
    assert trial["rows"] == 240


def test_told_to_stop_it_finishes_what_it_has_in_hand(trials: dict[str, Any]) -> None:
    assert trials["stopped_by_a_signal"] == {"code": 0, "journal": 0, "rows": 40}
