"""The replay with few samples: what is refused, what is repeatable, what is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from threatmatrix.knowledge import load_library
from threatmatrix.model.errors import ScopeError, UnknownNameError
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.replay.loop import ReplayReport, plan, replay

LIBRARY = load_library()
NOW = time.time_ns() // 1000
SCOPE = """\
owner: Ada
expires: "{expires}"
hosts: [{host}]
models: [{model}]
techniques: [{techniques}]
max_queries: {max_queries}
rps: 100000
"""


class Stages:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def stage(self, text: str) -> None:
        self.seen.append(text)


def run(home: Path, *, seed: int = 7, samples: int = 3, scope: Path | None = None) -> ReplayReport:
    return replay(
        plan(LIBRARY, "microsoft-edge-ai", samples=samples),
        Home(home),
        LIBRARY,
        seed=seed,
        scope_file=scope,
        progress=Stages(),
        now=NOW,
    )


def figures(report: ReplayReport) -> dict[str, Any]:
    """Everything but ids of the record chain, paths and the wall clock."""
    data = asdict(report)
    for name in ("workspace", "seconds", "evidence"):
        del data[name]
    return data


@pytest.mark.replays
def test_the_same_seed_gives_the_same_table(tmp_path: Path) -> None:
    """One of the two as a program, whose whole standard output is its report."""
    program = [sys.executable, "-m", "threatmatrix", "-q", "--home", str(tmp_path / "b"), "replay", "microsoft-edge-ai"]
    said = subprocess.run(
        [*program, "--samples", "3", "--seed", "7", "--format", "json"], capture_output=True, text=True, check=True
    )
    assert said.stderr == ""
    second = json.loads(said.stdout)
    assert second["case"] == "microsoft-edge-ai"
    assert {row["procedure"] for row in second["attacks"]} == {"transfer", "hop-skip-jump", "square"}
    first = json.loads(json.dumps(figures(run(tmp_path / "a"))))
    assert first.pop("case")["slug"] == second["case"]
    assert {name: second[name] for name in first} == first


@pytest.mark.nightly
def test_another_seed_gives_another_table(tmp_path: Path) -> None:
    first, other = run(tmp_path), run(tmp_path, seed=8)
    assert figures(other)["attacks"] != figures(first)["attacks"]
    assert other.workspace != first.workspace


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"expires": "2020-01-01"}, "expired"),
        ({"host": "192.0.2.7"}, "not on this machine"),
        ({"host": "127.0.0.2"}, "hosts: '127.0.0.1' is not in scope"),
        ({"model": "fraud"}, "models: 'digits' is not in scope"),
        ({"max_queries": "100"}, "max_queries: 100 do not reach"),
        ({"techniques": "ml-model-discovery"}, "techniques: 'offline-evasion' is not in scope"),
    ],
)
def test_an_emulation_outside_its_scope_is_refused(tmp_path: Path, change: dict[str, str], said: str) -> None:
    values = {
        "expires": "2999-01-01",
        "host": "127.0.0.1",
        "model": "digits",
        "techniques": "ml-model-discovery, offline-evasion, online-evasion",
        "max_queries": "1000000",
    }
    scope = tmp_path / "scope.yaml"
    scope.write_text(SCOPE.format(**values | change))
    with pytest.raises(ScopeError, match=said):
        run(tmp_path / "home", scope=scope)
    assert not (tmp_path / "home").exists()  # nothing was sent, nothing was begun


def test_the_dry_run_bounds_what_is_sent(tmp_path: Path) -> None:
    planned = plan(LIBRARY, "microsoft-edge-ai", samples=3)
    assert planned.max_queries == sum(stage.max_queries for stage in planned.stages)
    assert plan(LIBRARY, "microsoft-edge-ai", samples=6).max_queries > planned.max_queries
    with pytest.raises(UnknownNameError, match="Did you mean microsoft-edge-ai"):
        plan(LIBRARY, "microsoft-edge")


def processes() -> dict[int, str]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
    return found


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to look for processes")
def test_a_killed_replay_leaves_no_process_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "threatmatrix", "--home", str(tmp_path), "replay", "microsoft-edge-ai"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert running.stderr is not None
    for line in running.stderr:
        if "unhindered: hop-skip-jump" in line:
            break
    session = os.getsid(running.pid)
    mine = {pid for pid in processes() if pid != running.pid and sid(pid) == session}
    assert mine, "the replay has a server and a second process"
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    running.stderr.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(sid(pid) == session for pid in mine):
        time.sleep(0.1)
    assert not {pid: text for pid, text in processes().items() if pid in mine and sid(pid) == session}


def sid(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1
