"""SIGKILL at any moment: every action's effect once, none lost, the doubtful one waits for a human."""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest
from tests.respond import crash_parts
from tests.respond.examples import BLOCK, BUDGET, action_id, http_command, playbook, write

from threatmatrix.model.response import ActionState, RunState
from threatmatrix.respond.cacao import EXTENSION_ID

KEYED, PLAIN, ASKED = action_id(2), action_id(3), action_id(4)
ACTIONS = 7  # two blocks, a budget, a keyed call, a plain call, one with a status address, noise
PRELOAD = [
    "tests.respond.crash_parts",
    "threatmatrix.respond.graph",
    "threatmatrix.respond.http_api",
    "alembic.command",
    "sqlalchemy.dialects.sqlite",
]
POINTS = ("intent", "acted", "outcome")


@dataclass(frozen=True)
class Trial:
    """The external target, its log, and how to start killable processes quickly."""

    context: ForkServerContext
    port: int
    log: Path

    def scenario(self, folder: Path) -> Path:
        folder.mkdir()
        keyed = {
            "commands": [http_command(f"/{folder.name}/keyed")],
            "step_extensions": {EXTENSION_ID: {"idempotent": True}},
        }
        noise = {
            "type": "x-threatmatrix-policy",
            "command": "set-input-noise",
            "ttl_seconds": 60,
            "params": {"sigma": 1},
        }
        asked = {
            "commands": [http_command(f"/{folder.name}/asked")],
            "step_extensions": {EXTENSION_ID: {"status": f"GET /{folder.name}/asked/__idempotency_key__:value"}},
        }
        steps = (BLOCK, BUDGET, keyed, http_command(f"/{folder.name}/plain"), asked, noise)
        write(folder, playbook(*steps, url=f"http://127.0.0.1:{self.port}"))
        return folder

    def child(self, folder: Path, kill_at: int | None = None) -> ForkServerProcess:
        here, there = self.context.Pipe()
        process = self.context.Process(target=crash_parts.respond, args=(folder, there, kill_at))
        process.start()
        assert here.poll(20)
        here.recv()
        here.close()
        there.close()
        return process

    def effects(self, folder: Path) -> Counter[str]:
        calls = [json.loads(line) for line in self.log.read_text().splitlines()]
        return Counter(call["kind"] for call in calls if call["scenario"] == folder.name and call["effect"])


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    log = tmp_path_factory.mktemp("target") / "calls.jsonl"
    log.touch()
    here, there = context.Pipe()
    server = context.Process(target=crash_parts.target, args=(log, there), daemon=True)
    server.start()
    assert here.poll(30)
    yield Trial(context, here.recv(), log)
    server.kill()
    server.join()
    here.close()
    there.close()


def finish(trial: Trial, folder: Path) -> bool:
    """Resume until nothing is left to do, then check everything; True where a human was needed."""
    process = trial.child(folder)
    process.join(20)
    assert process.exitcode == 0
    store, runner = crash_parts.runner_at(folder)
    with store:
        [run] = store.ledger.runs()
        waiting = store.ledger.waiting()
        if waiting:
            [doubtful] = waiting
            assert doubtful.step_id in {PLAIN, ASKED}
            assert run.state is RunState.waiting
            assert [again.state for again in runner.resume()] == [RunState.waiting]  # nobody but a human ends it
            happened = trial.effects(folder)["plain" if doubtful.step_id == PLAIN else "asked"] == 1
            run = runner.decide(doubtful.idempotency_key, happened, by="ann")
            assert store.ledger.action(doubtful.idempotency_key).decided_by == "ann"
        assert run.state is RunState.done
        records = store.ledger.actions(run.run_id)
        assert [record.state for record in records] == [ActionState.done] * ACTIONS
        published = json.loads((folder / "policy.json").read_text())
        in_force = Counter((entry["kind"], entry["principal"]) for entry in published["entries"])
        assert in_force == Counter(
            [("block", "mallory"), ("block", "mallory2"), ("query_budget", None), ("input_noise", None)]
        )
        assert published["version"] == len(published["entries"]) == 4
    assert trial.effects(folder) == Counter(keyed=1, plain=1, asked=1)
    return bool(waiting)


def test_sigkill_at_twenty_random_moments(trial: Trial, tmp_path: Path) -> None:
    undisturbed = trial.child(trial.scenario(tmp_path / "calm"))
    started = time.perf_counter()
    undisturbed.join(20)
    whole = time.perf_counter() - started
    assert not finish(trial, tmp_path / "calm")
    moments = random.Random(20)
    landed = 0
    for attempt in range(80):
        folder = trial.scenario(tmp_path / f"random{attempt}")
        kills = 0
        for _ in range(moments.choice([1, 2, 3])):
            process = trial.child(folder)
            time.sleep(moments.uniform(0, whole))
            process.kill()
            process.join()
            kills += process.exitcode == -signal.SIGKILL
        finish(trial, folder)
        landed += kills
        if landed >= 20:
            return
    pytest.fail(f"only {landed} of the kills came before the end of their run")


@pytest.mark.parametrize("point", POINTS)
def test_sigkill_between_intent_act_and_outcome_of_every_action(trial: Trial, tmp_path: Path, point: str) -> None:
    asked = []
    for number in range(ACTIONS):
        folder = trial.scenario(tmp_path / f"{point}{number}")
        process = trial.child(folder, kill_at=number * len(POINTS) + POINTS.index(point))
        process.join(20)
        assert process.exitcode == -signal.SIGKILL
        asked.append(finish(trial, folder))
    # Only the calls without a key are ever doubtful, and only as long as the outcome was not written. A status
    # address tells that one happened; that it has not, only a human can say: the request may be under way.
    doubtful = {"intent": {4, 5}, "acted": {4}, "outcome": set[int]()}[point]
    assert asked == [number in doubtful for number in range(ACTIONS)]
