"""Every case's chain in its small profile: it runs whole, tells what it did, and leaves evidence that holds."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from threatmatrix.knowledge import load_library
from threatmatrix.model.errors import ScopeError
from threatmatrix.model.procedure import ReplaySpec
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.reference_server import Host, Server
from threatmatrix.workflows.replay import CaseRow, plan, replay, replayable

LIBRARY = load_library()
CHAINS = [slug for slug in replayable(LIBRARY) if LIBRARY.case(slug).replay.judged]  # type: ignore[union-attr]
NOW = time.time_ns() // 1000


class Silent:
    def stage(self, text: str) -> None: ...


def spec(case: str) -> ReplaySpec:
    found = LIBRARY.case(case).replay
    assert found is not None
    return found


def test_every_case_of_2020_has_a_replay() -> None:
    assert len([case for case in LIBRARY.cases.values() if case.year == 2020]) == 13
    assert set(replayable(LIBRARY)) >= {slug for slug, case in LIBRARY.cases.items() if case.year == 2020}


@pytest.mark.parametrize("case", CHAINS)
def test_a_chain_says_what_it_mirrors_and_what_counts(case: str) -> None:
    told = spec(case)
    assert told.effect
    assert len(told.mirror) > 80
    assert told.small, "the tests' profile is declared"
    judged = LIBRARY.procedure(told.judged)
    assert judged.control, "success is compared with chance"
    planned = plan(LIBRARY, case)
    assert planned.samples >= 60 or not told.published, "fewer units prove little"
    assert plan(LIBRARY, case, small=True).max_queries < planned.max_queries or told.small


@pytest.mark.parametrize("case", CHAINS)
def test_a_chain_runs_whole(case: str, tmp_path: Path) -> None:
    planned = plan(LIBRARY, case, small=True)
    home = Home(tmp_path)
    row = replay(planned, home, LIBRARY, seed=1, scope_file=None, progress=Silent(), now=NOW).row
    study = LIBRARY.case(case)
    assert [step.technique for step in row.steps] == [step.technique for step in study.steps]
    assert row.attacked.n == row.control.n == row.after.n > 0
    assert row.honest_events > 0
    assert row.honest_blocked == ()
    assert 0 <= row.honest_refused <= row.honest_requests
    _queries_add_up(row, planned.max_queries)
    assert all(each.ours is not None for each in row.published), "what is published beside ours is measured"
    with home.open_store() as store:
        assert [each.digest for each in store.evidence.list()] == [each.digest for each in row.evidence]
        assert store.evidence.verify().intact
    carried = [step for step in study.steps if step.procedures]
    assert [each.technique for each in row.evidence] == [step.technique for step in carried]
    text = "".join(path.read_text() for path in Path(row.workspace).glob("*.jsonl"))
    assert "tmk_" not in text, "no key is logged"


def test_the_same_seed_gives_the_same_row_as_a_program_too(tmp_path: Path) -> None:
    """One of the two as a program, whose whole standard output is its row."""
    program = [sys.executable, "-m", "threatmatrix", "-q", "--home", str(tmp_path / "b"), "replay", "tay-poisoning"]
    said = subprocess.run(
        [*program, "--profile", "small", "--format", "json"], capture_output=True, text=True, check=True
    )
    assert said.stderr == ""
    planned = plan(LIBRARY, "tay-poisoning", small=True)
    row = replay(planned, Home(tmp_path / "a"), LIBRARY, seed=1, scope_file=None, progress=Silent(), now=NOW).row
    first, second = json.loads(json.dumps(asdict(row))), json.loads(said.stdout)
    for name in ("workspace", "seconds", "evidence"):
        del first[name]
    first["published"] = [
        each | {"reached": told.reached} for each, told in zip(first["published"], row.published, strict=True)
    ]
    assert {name: second[name] for name in first} == first


def _queries_add_up(row: CaseRow, limit: int) -> None:
    assert sum(step.queries for step in row.steps) == row.queries <= limit


def test_a_scope_that_does_not_reach_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    case = CHAINS[0]
    planned = plan(LIBRARY, case, small=True)
    scope = tmp_path / "scope.yaml"
    scope.write_text(
        f"owner: Ada\nexpires: 2999-01-01\nhosts: [127.0.0.1]\nmodels: [{spec(case).target}]\n"
        "techniques: [online-evasion]\nmax_queries: 1000000\nrps: 1000\n"
    )
    with pytest.raises(ScopeError, match="techniques"):
        replay(planned, Home(tmp_path / "home"), LIBRARY, seed=1, scope_file=scope, progress=Silent(), now=NOW)
    assert not (tmp_path / "home").exists()


def test_what_a_model_learns_in_one_scene_it_does_not_know_in_the_next(tmp_path: Path) -> None:
    rows = [0.0] * 9 + [1.0] * 9
    body = {"inputs": [{"name": "input", "shape": [2, 9], "datatype": "FP64", "data": rows}]}
    lies = {**body, "labels": [0, 0]}

    def told(url: str, verb: str, content: object) -> list[float]:
        headers = {"content-type": "application/json", "x-event-time": str(1_767_600_000_000_000)}
        request = Request(f"{url}/v2/models/phishing/{verb}", json.dumps(content).encode(), headers)
        with urlopen(request) as response:
            outputs = json.load(response).get("outputs", [])
        return [value for output in outputs if output["name"] == "scores" for value in output["data"]]

    def serving(host: Host, name: str) -> Server:
        app = {"reference": "phishing", "seed": 1, "params": {}}
        log, policy = tmp_path / f"{name}.jsonl", tmp_path / f"{name}.json"
        return Server(
            name="phishing", app=app, log=log, policy=policy, secret=b"s" * 32, accounts={}, seed=1, host=host
        )

    with Host(tmp_path / "server.txt") as host:
        with serving(host, "first") as first, serving(host, "beside") as beside:
            before = told(first.url, "infer", body)
            for _ in range(20):
                told(first.url, "feedback", lies)
            assert told(first.url, "infer", body) != before
            assert told(beside.url, "infer", body) == before
        with serving(host, "next") as after:
            assert told(after.url, "infer", body) == before
