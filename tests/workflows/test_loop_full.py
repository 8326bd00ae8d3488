"""The whole loop (`make replays`) with two seeds, one of them at night: what the case must show, from measured figures.

The attacks were tuned on other seeds than these (docs/emulation.md).
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from threatmatrix.gateway.policy import load_snapshot
from threatmatrix.knowledge import Library, load_library
from threatmatrix.telemetry.lake import Lake
from threatmatrix.workflows.coverage import coverage, render
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.replay.loop import ReplayReport, plan, replay
from threatmatrix.workflows.replay.loop.report import AttackRow, DetectionRow
from threatmatrix.workflows.respond import story

SEEDS = (pytest.param(1, id="seed1"), pytest.param(5, id="seed5", marks=pytest.mark.nightly))
pytestmark = pytest.mark.replays


class Silent:
    def stage(self, text: str) -> None: ...


@dataclass(frozen=True)
class Done:
    report: ReplayReport
    home: Home
    library: Library


_DONE: dict[int, Done] = {}  # each seed once in a process, in whatever order its tests come


@pytest.fixture(params=SEEDS)
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Done:
    if request.param not in _DONE:
        _DONE[request.param] = full_replay(request.param, tmp_path_factory.mktemp("home"))
    return _DONE[request.param]


def full_replay(seed: int, folder: Path) -> Done:
    library, home = load_library(), Home(folder)
    with pytest.MonkeyPatch.context() as patch:
        # servers and helpers run at their own speed here; the small replays measure their coverage
        for name in [name for name in os.environ if name.startswith("COVERAGE_PROCESS")]:
            patch.delenv(name)
        report = replay(
            plan(library, "microsoft-edge-ai"),
            home,
            library,
            seed=seed,
            scope_file=None,
            progress=Silent(),
            now=time.time_ns() // 1000,
        )
    return Done(report, home, library)


def attack(done: Done, name: str) -> AttackRow:
    return next(row for row in done.report.attacks if row.procedure == name)


def detection(done: Done, name: str) -> DetectionRow:
    return next(row for row in done.report.detections if row.procedure == name)


def test_the_attacks_succeed_beyond_chance(done: Done) -> None:
    assert done.report.model_accuracy >= 0.95
    hop, square = attack(done, "hop-skip-jump"), attack(done, "square")
    assert hop.before.n >= 60
    assert hop.before.value >= 0.6
    assert (hop.norm, hop.threshold, square.norm, square.threshold) == ("l2", 1.0, "linf", 0.15)
    for row in done.report.attacks:
        assert row.before_vs_control.low > 0, row.procedure


def test_the_attacker_is_seen_and_stopped_while_attacking(done: Done) -> None:
    seen = detection(done, "hop-skip-jump")
    assert seen.live_alarm is not None
    assert seen.live_alarm <= 60
    assert seen.live_enforced is not None
    assert seen.live_alarm < seen.live_enforced <= 200
    assert seen.samples_by_60.value >= 0.8
    live = attack(done, "hop-skip-jump").live
    assert live is not None
    assert live.attempted < live.samples / 4  # one account did not get far


def test_honest_clients_are_left_alone(done: Done) -> None:
    honest = done.report.honest
    assert honest.clients >= 30
    assert honest.events > 3000
    assert honest.findings == 0
    assert honest.requests_defended > 500
    assert honest.refused == 0
    assert honest.accuracy_after.value > 0.9


def test_hard_negatives_are_reported(done: Done) -> None:
    assert len(done.report.hard_negatives) == 2
    assert all(case.inputs >= 100 for case in done.report.hard_negatives)


def test_the_same_attack_after_the_response(done: Done) -> None:
    for name in ("hop-skip-jump", "square"):
        row = attack(done, name)
        assert row.blocked.confirmed == 0
        assert row.before_vs_fresh.low > 0
        assert "adaptive-rotation+averaged" in row.adaptive
        assert all(rate.n == row.before.n for rate in row.adaptive.values())
    assert {"adaptive-rotation", "adaptive-oars"} <= set(attack(done, "hop-skip-jump").adaptive)
    transfer = attack(done, "transfer")
    assert (transfer.blocked.confirmed, transfer.blocked.attempted) == (0, 0)
    assert transfer.before_vs_adaptive is None


def test_after_the_response_every_sample_is_really_attacked(done: Done) -> None:
    with (done.report.workspace / "live.jsonl").open() as log:
        rows = [json.loads(line) for line in log]
    allowed = {row["principal"] for row in rows if row["decision"] == "allow"}
    crew = {f"fresh-hop-skip-jump-{number:03d}" for number in range(1, 61)}
    assert crew <= allowed


def test_evidence_says_what_was_measured_and_no_more(done: Done) -> None:
    marks = {e.technique: (e.emulated, e.detected, e.responded, e.remediated) for e in done.report.evidence}
    assert marks["ml-model-discovery"] == (True, True, False, False)  # seen; the playbook is online evasion's
    assert marks["offline-evasion"] == (True, False, False, False)  # no adaptive attacker was tried: nothing is proved
    assert marks["online-evasion"][:3] == (True, True, True)
    online = [row for row in done.report.attacks if row.technique == "online-evasion"]
    assert marks["online-evasion"][3] == all(
        row.before_vs_fresh.low > 0 and row.before_vs_adaptive is not None and row.before_vs_adaptive.low > 0
        for row in online
    )
    with done.home.open_store() as store:
        assert [e.digest for e in store.evidence.list()] == [e.digest for e in done.report.evidence]
        assert store.evidence.verify().intact


def test_the_story_is_in_the_users_store(done: Done) -> None:
    with done.home.open_store() as store:
        told = story(store, done.report.incident_id)
        assert store.policy.active() == []  # a replay's measures are nothing to the user's gateways
    assert [step.technique for step in told.incident.chain] == ["ml-model-discovery", "online-evasion"]
    assert told.incident.chain[0].first_time < told.incident.chain[1].first_time
    assert sum(share.share for share in told.incident.principals) == pytest.approx(1.0)
    by_run = {run.run_id for run in told.runs}
    assert {action.run_id for action in told.actions} <= by_run
    first = [action for action in told.actions if action.run_id == told.runs[0].run_id]
    assert [action.action for action in first] == ["block-principal", "set-query-budget", "set-input-noise"]
    assert first[0].params["principal"] == "mallory"


def test_every_logged_line_became_an_event_in_the_lake(done: Done) -> None:
    workspace = done.report.workspace
    lines = (workspace / "live.jsonl").read_bytes().count(b"\n")
    lake = Lake(workspace / "live" / "lake")
    assert lake.count() == lines
    lake.close()
    assert not list(workspace.rglob("dead-letters.jsonl"))
    snapshot = load_snapshot(workspace / "live.policy.json")
    assert snapshot is not None
    assert {"block", "query_budget", "input_noise"} == {entry.kind for entry in snapshot.entries}


def test_coverage_shows_the_cells(done: Done) -> None:
    with done.home.open_store() as store:
        report = coverage(done.library, store)
    cells = {(c["tactic"], c["technique"]): c for c in json.loads(render(report, "json"))["cells"]}
    assert len(cells) == len(done.library.cells())
    assert cells["model-evasion", "online-evasion"]["marks"]["detected"] is True
    assert sum(bool(cell["evidence"]) for cell in cells.values()) == len(done.report.evidence)
    page = render(report, "html")
    assert page.count("<html") == 1
    assert "Online evasion" in page


def test_no_raw_input_and_no_key_is_logged(done: Done) -> None:
    secret_free = (done.report.workspace / "live.jsonl").read_text()
    assert "tmk_" not in secret_free
    assert '"inputs"' not in secret_free
    assert not list(Path(done.report.workspace).glob("*.key"))
