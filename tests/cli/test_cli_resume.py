"""``threatmatrix respond resume`` after a process that died between intent and act."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from threatmatrix.cli.app import app
from threatmatrix.gateway.policy import load_snapshot
from threatmatrix.model.detection import PrincipalShare, Severity
from threatmatrix.model.response import ChainStep, Incident
from threatmatrix.store import open_store

NOW = 1_767_600_000_000_000
DIES = """
import os, signal, sys, time
from pathlib import Path
from threatmatrix.knowledge import load_library
from threatmatrix.respond.actions import default_executors
from threatmatrix.respond.cacao import load_playbook
from threatmatrix.respond.runner import Runner
from threatmatrix.store import open_store

home = Path(sys.argv[1])
store = open_store(home / "store.db")
clock = lambda: time.time_ns() // 1000
seen = []

def checkpoint(point, record):
    seen.append(point)
    if seen.count("intent") == 2 and point == "intent":
        os.kill(os.getpid(), signal.SIGKILL)

runner = Runner(store, default_executors(store, home / "policy.json", clock), clock, checkpoint=checkpoint)
playbook = load_playbook(load_library().technique("online-evasion").playbook)
runner.start(playbook, store.incidents.get("inc-1"))
"""


def test_what_a_killed_process_left_is_finished_once(tmp_path: Path) -> None:
    step = ChainStep("online-evasion", NOW, NOW, (), 20)
    incident = Incident(
        incident_id="inc-1",
        title="Online evasion against digits",
        severity=Severity.high,
        status="open",
        system=None,
        model="digits",
        first_time=NOW,
        last_time=NOW,
        chain=(step,),
        principals=(PrincipalShare("mallory", 20, 1.0),),
        finding_ids=(),
    )
    with open_store(tmp_path / "store.db") as store:
        store.incidents.save([incident])
    died = subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False, env=dict(os.environ))
    assert died.returncode == -signal.SIGKILL
    said = CliRunner().invoke(app, ["--home", str(tmp_path), "respond", "resume", "--format", "json"])
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout)
    assert [run["state"] for run in told["runs"]] == ["done"]
    assert [action["state"] for action in told["actions"]] == ["done"] * 3
    snapshot = load_snapshot(tmp_path / "policy.json")
    assert snapshot is not None
    assert sorted(entry.kind for entry in snapshot.entries) == ["block", "input_noise", "query_budget"]
    again = CliRunner().invoke(app, ["--home", str(tmp_path), "respond", "resume", "--format", "json"])
    assert json.loads(again.stdout)["runs"] == []
