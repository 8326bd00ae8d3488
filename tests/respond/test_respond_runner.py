"""The runner: growth, prolonging, undo, decisions, failures; and HTTP as it really fails."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.respond.examples import BLOCK, BUDGET, http_command, incident, playbook, policy_command, write

from threatmatrix.model.errors import StoreError, UnknownNameError, UsageError
from threatmatrix.model.response import ActionRecord, ActionState, PolicyEntry, RunRecord, RunState
from threatmatrix.respond.actions import default_executors
from threatmatrix.respond.cacao import EXTENSION_ID, Playbook, load_playbook
from threatmatrix.respond.runner import Runner
from threatmatrix.store import Store, open_store

HOUR = 3_600_000_000
START_TIME = 1_800_000_000_000_000


class World:
    """A store, a runner, a clock that stands still, and a server that answers what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = START_TIME
        self.path = folder / "policy.json"
        self.store: Store = open_store(folder / "store.db", clock=lambda: self.now)
        self.environ = {"THREATMATRIX_TOKEN": "s3cret", "HOME": "/root"}
        self.answers: list[int] = []
        self.calls: list[tuple[str, str, dict[str, str], str]] = []
        self.runner = self.fresh_runner()

    def fresh_runner(self, checkpoint: Any = None) -> Runner:
        executors = default_executors(self.store, self.path, lambda: self.now, environ=self.environ)
        return Runner(self.store, executors, lambda: self.now, checkpoint=checkpoint)

    def book(self, *steps: dict[str, Any], **more: Any) -> Playbook:
        return load_playbook(write(self.folder, playbook(*steps, **more)))

    def published(self) -> list[tuple[str, str | None]]:
        return [(e["kind"], e["principal"]) for e in json.loads(self.path.read_text())["entries"]]

    def actions(self, run: RunRecord) -> list[ActionRecord]:
        return self.store.ledger.actions(run.run_id)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def server(world: World) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            world.calls.append((self.command, self.path, dict(self.headers), body))
            status = world.answers.pop(0) if world.answers else 204
            if status == 0:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        do_GET = do_POST = answer

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()


def keyed(command: dict[str, Any], **extension: Any) -> dict[str, Any]:
    return {"commands": [command], "step_extensions": {EXTENSION_ID: {"idempotent": True, **extension}}}


def test_a_playbook_becomes_policy_with_owner_end_and_reason(world: World) -> None:
    run = world.runner.start(world.book(BLOCK, BUDGET), incident())
    assert (run.state, run.run_id) == (RunState.done, "inc-1-r1")
    entries = json.loads(world.path.read_text())["entries"]
    block = next(entry for entry in entries if entry["principal"] == "mallory")
    assert (block["kind"], block["owner"], block["expires_at"]) == ("block", "inc-1", START_TIME + HOUR)
    assert "70% of the probes of inc-1" in block["reason"]
    assert sorted(world.published(), key=str) == [("block", "mallory"), ("block", "mallory2"), ("query_budget", None)]
    assert all(a.state is ActionState.done and a.attempts == 1 and "in force" in a.outcome for a in world.actions(run))


def test_a_grown_incident_gets_only_what_is_new(world: World) -> None:
    book = world.book(BLOCK, BUDGET)
    first = world.runner.start(book, incident({"a": 1.0}))
    assert world.runner.start(book, incident({"a": 1.0})) == first
    second = world.runner.start(book, incident({"a": 0.6, "b": 0.4}))
    assert [(a.action, a.params["principal"]) for a in world.actions(second)] == [("block-principal", "b")]
    assert world.runner.plan(book, incident({"a": 0.6, "b": 0.4})) == []
    assert sorted(world.published(), key=str) == [("block", "a"), ("block", "b"), ("query_budget", None)]


def test_an_entry_in_its_second_half_is_prolonged_and_one_that_ran_out_is_renewed(world: World) -> None:
    book = world.book(BLOCK)
    world.runner.start(book, incident({"a": 1.0}))
    world.now += HOUR // 2
    assert world.runner.plan(book, incident({"a": 1.0})) == []
    world.now += 1
    prolonged = world.runner.start(book, incident({"a": 1.0}))
    assert prolonged.run_id == "inc-1-r2"
    [entry] = world.store.policy.active()
    assert entry.expires_at == world.now + HOUR
    world.now += 2 * HOUR
    world.runner.start(book, incident({"a": 1.0}))
    [renewed] = world.store.policy.active()
    assert renewed.entry_id != entry.entry_id
    assert [a.state for a in world.runner.undo("inc-1", "ann")] == [ActionState.undone] * 3
    assert world.published() == []


def test_somebody_elses_entry_counts(world: World) -> None:
    end = START_TIME + 10 * HOUR
    world.store.policy.add(
        PolicyEntry(
            entry_id="x", kind="block", owner="ann", reason="", created_at=1, expires_at=end, principal="a", params={}
        )
    )
    run = world.runner.start(world.book(BLOCK), incident({"a": 1.0}))
    assert (run.state, world.actions(run)) == (RunState.done, [])
    assert len(world.store.policy.active()) == 1


def test_what_was_undone_stays_so_unless_asked_again(world: World) -> None:
    book = world.book(BLOCK, BUDGET)
    run = world.runner.start(book, incident({"a": 1.0}))
    undone = world.runner.undo("inc-1", by="ann")
    assert {a.state for a in undone} == {ActionState.undone}
    assert all("by ann" in a.outcome for a in undone)
    assert world.published() == []
    assert world.runner.undo("inc-1", by="ann") == []
    assert world.runner.start(book, incident({"a": 1.0})) == run
    assert world.runner.start(book, incident({"a": 1.0}), again=True).run_id == "inc-1-r2"
    assert len(world.published()) == 2


def test_an_entry_withdrawn_by_hand_stays_so(world: World) -> None:
    book = world.book(BLOCK)
    world.runner.start(book, incident({"a": 1.0}))
    world.store.policy.withdraw(world.store.policy.active()[0].entry_id, by="ann")
    assert world.runner.plan(book, incident({"a": 1.0})) == []


def test_a_publication_that_fails_is_made_good_by_the_next_start(world: World) -> None:
    world.path.mkdir()
    book = world.book(BLOCK)
    with pytest.raises(StoreError, match="cannot be published"):
        world.runner.start(book, incident({"a": 1.0}))
    assert [run.state for run in world.store.ledger.runs()] == [RunState.running]
    world.path.rmdir()
    assert world.runner.start(book, incident({"a": 1.0})).state is RunState.done
    assert world.published() == [("block", "a")]


def test_a_manual_step_waits_for_a_person(world: World) -> None:
    book = world.book({"type": "manual", "command": "Call the owner of __system__:value"}, BUDGET)
    run = world.runner.start(book, incident())
    [call] = world.actions(run)
    assert (run.state, call.state) == (RunState.waiting, ActionState.unknown)
    assert call.outcome == "to be done by a person: Call the owner of edge"
    assert world.runner.start(book, incident()) == run
    with pytest.raises(UsageError, match="needs a name"):
        world.runner.decide(call.idempotency_key, True, " ")
    with pytest.raises(UnknownNameError, match="no action is called"):
        world.runner.decide("nothing", True, "ann")
    assert world.runner.decide(call.idempotency_key, True, "ann").state is RunState.done
    assert [a.state for a in world.actions(run)] == [ActionState.done] * 2
    with pytest.raises(UsageError, match="nothing to decide"):
        world.runner.decide(call.idempotency_key, True, "ann")


def test_a_manual_step_that_nobody_did_fails_the_run_but_not_the_rest(world: World) -> None:
    run = world.runner.start(world.book({"type": "manual", "command": "Call"}, BUDGET), incident())
    [call] = world.actions(run)
    assert world.runner.decide(call.idempotency_key, False, "ann").state is RunState.failed
    assert [a.state for a in world.actions(run)] == [ActionState.failed, ActionState.done]


def test_undo_stops_a_run_that_waits_and_nothing_follows(world: World) -> None:
    book = world.book(BLOCK, {"type": "manual", "command": "Call"}, BUDGET)
    run = world.runner.start(book, incident({"a": 1.0}))
    assert len(world.runner.undo("inc-1", "ann")) == 1
    call = world.actions(run)[1]
    assert world.runner.decide(call.idempotency_key, False, "ann").state is RunState.failed
    assert world.runner.resume() == []
    assert world.runner.plan(book, incident({"a": 1.0})) == []
    assert world.published() == []


def test_http_carries_key_secret_and_content(world: World, server: str) -> None:
    command = http_command("/hook?x=1", '{"incident": "__incident_id__:value"}')
    command["headers"] = {"Authorization": ["Bearer ${THREATMATRIX_TOKEN}"]}
    run = world.runner.start(world.book(command, url=server), incident())
    [record] = world.actions(run)
    [(method, path, headers, body)] = world.calls
    assert (method, path, json.loads(body)) == ("POST", "/hook?x=1", {"incident": "inc-1"})
    assert headers["Idempotency-Key"] == record.idempotency_key
    assert headers["Authorization"] == "Bearer s3cret"
    assert record.outcome == "HTTP 204"
    files = [path.read_bytes() for path in world.folder.glob("store.db*")]
    assert not any(b"s3cret" in content for content in files)


@pytest.mark.parametrize(
    ("url", "headers", "problem"),
    [
        ("http://example.com", {}, "the host example.com is not allowed"),
        ("http://user:pw@127.0.0.1", {}, "password"),
        ("ftp://127.0.0.1", {}, "no http or https address"),
        ("http://127.0.0.1:1", {}, "no connection"),
        ("http://127.0.0.1:99999", {}, "no connection"),
        ("", {"X": ["${HOME}"]}, "named THREATMATRIX_… only, not HOME"),
        ("", {"X": ["${THREATMATRIX_OTHER}"]}, "THREATMATRIX_OTHER is not set"),
        ("", {"X": ["a\r\nEvil: 1"]}, "not sent"),
    ],
)
def test_http_that_certainly_did_not_happen_fails(
    world: World, server: str, url: str, headers: dict[str, list[str]], problem: str
) -> None:
    run = world.runner.start(world.book({**http_command(), "headers": headers}, url=url or server), incident())
    [record] = world.actions(run)
    assert (run.state, record.state) == (RunState.failed, ActionState.failed)
    assert problem in record.outcome
    assert world.calls == []


def test_a_refusal_and_a_redirect_fail_and_are_tried_three_times_in_all(world: World, server: str) -> None:
    book = world.book(keyed(http_command()), url=server)
    world.answers = [404, 302, 403]
    runs = [world.runner.start(book, incident()) for _ in range(5)]
    assert [run.run_id for run in runs] == ["inc-1-r1", "inc-1-r2", "inc-1-r3", "inc-1-r3", "inc-1-r3"]
    assert len(world.calls) == 3


@pytest.mark.parametrize("answer", [0, 500])
def test_a_doubtful_call_with_a_key_is_repeated_with_the_same_key(world: World, server: str, answer: int) -> None:
    world.answers = [answer, answer]
    run = world.runner.start(world.book(keyed(http_command()), url=server), incident())
    assert run.state is RunState.done
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in world.calls}) == 1
    assert [a.attempts for a in world.actions(run)] == [3]


def test_a_doubtful_call_without_a_key_waits_for_a_human_and_is_then_done_once(world: World, server: str) -> None:
    world.answers = [502]
    run = world.runner.start(world.book(http_command(), BUDGET, url=server), incident())
    [record] = world.actions(run)
    assert (run.state, record.state, len(world.calls)) == (RunState.waiting, ActionState.unknown, 1)
    assert "HTTP 502" in record.outcome
    assert world.runner.decide(record.idempotency_key, False, "ann").state is RunState.done
    assert len(world.calls) == 2
    assert [a.attempts for a in world.actions(run)] == [2, 1]


def test_a_key_that_never_gets_an_answer_ends_with_a_human(world: World, server: str) -> None:
    world.answers = [500] * 9
    run = world.runner.start(world.book(keyed(http_command()), url=server), incident())
    assert (run.state, len(world.calls)) == (RunState.waiting, 3)
    assert "tried 3 times" in world.actions(run)[0].outcome


@pytest.mark.parametrize(
    ("status", "idempotent", "calls"),
    [
        (200, False, ["POST", "GET"]),
        (404, True, ["POST", "GET", "POST", "GET"]),
        # "Not there" may be "not there yet": what takes no key is never sent twice unless a human says so.
        (404, False, ["POST", "GET"]),
    ],
)
def test_a_status_address_settles_the_doubt(
    world: World, server: str, status: int, idempotent: bool, calls: list[str]
) -> None:
    world.answers = [500, status, 200, 200]
    extension = {"idempotent": idempotent, "status": "GET /calls/__idempotency_key__:value"}
    run = world.runner.start(world.book(keyed(http_command(), **extension), url=server), incident())
    assert run.state is (RunState.done if idempotent or status == 200 else RunState.waiting)
    assert [call[0] for call in world.calls] == calls
    assert world.calls[1][1].startswith("/calls/inc-1-r1%3Aaction--")


@pytest.mark.parametrize("value", ["s3cret\n", "s3\r\ncret", "s3cret\u2603"])
def test_a_secret_that_no_header_can_carry_is_never_quoted(world: World, server: str, value: str) -> None:
    world.environ["THREATMATRIX_TOKEN"] = value
    command = {**http_command(), "headers": {"Authorization": ["Bearer ${THREATMATRIX_TOKEN}"]}}
    run = world.runner.start(world.book(command, url=server), incident())
    [record] = world.actions(run)
    assert record.state is (ActionState.done if value == "s3cret\n" else ActionState.failed)
    files = [path.read_bytes() for path in world.folder.glob("store.db*")]
    assert not any(b"s3" in content for content in files)


def test_telemetry_cannot_name_a_secret(world: World, server: str) -> None:
    command = {**http_command(), "headers": {"X-Model": ["__model__:value"]}}
    hostile = dataclasses.replace(incident(), model="${THREATMATRIX_TOKEN}")
    world.runner.start(world.book(command, url=server), hostile)
    assert world.calls[0][2]["X-Model"] == "${THREATMATRIX_TOKEN}"


def test_an_undo_between_intent_and_act_leaves_nothing_in_force(world: World) -> None:
    book = world.book(BLOCK)
    other = world.fresh_runner()

    def interfere(point: str, _record: ActionRecord) -> None:
        if point == "intent":
            other.undo("inc-1", "ann")

    run = world.fresh_runner(interfere).start(book, incident({"a": 1.0}))
    assert run.state is RunState.failed
    assert [a.state for a in world.actions(run)] == [ActionState.undone]
    assert world.published() == []
    assert world.store.policy.active() == []


def test_an_incident_without_a_single_model_acts_on_none_by_itself(world: World) -> None:
    nowhere = dataclasses.replace(incident({"a": 1.0}), model=None)
    run = world.runner.start(world.book(BLOCK, BUDGET), nowhere)
    assert world.published() == [("block", "a")]  # its command says "any" model
    [_, manual] = world.actions(run)
    assert (run.state, manual.action, manual.state) == (RunState.waiting, "manual", ActionState.unknown)
    assert "names no single model" in manual.outcome
    assert world.runner.plan(world.book(BLOCK, BUDGET), nowhere) == []


class Killed(BaseException):
    """Stands for a SIGKILL within this process (the real one is in test_respond_crash)."""


def test_a_decision_that_is_interrupted_is_asked_for_again(world: World, server: str) -> None:
    world.answers = [500]
    run = world.runner.start(world.book(http_command(), url=server), incident())
    [record] = world.actions(run)

    def die(point: str, _record: ActionRecord) -> None:
        if point == "acted":
            raise Killed

    with pytest.raises(Killed):
        world.fresh_runner(die).decide(record.idempotency_key, False, "ann")
    [resumed] = world.fresh_runner().resume()
    assert resumed.state is RunState.waiting
    assert world.runner.decide(record.idempotency_key, True, "ann").state is RunState.done
    assert len(world.calls) == 2


def test_an_undo_settles_an_intent_that_a_crash_left(world: World, server: str) -> None:
    def die(point: str, record: ActionRecord) -> None:
        if point == "acted" and record.action == "http-api":
            raise Killed

    with pytest.raises(Killed):
        world.fresh_runner(die).start(world.book(BLOCK, http_command(), url=server), incident({"a": 1.0}))
    assert [a.action for a in world.runner.undo("inc-1", "ann")] == ["block-principal"]
    [run] = world.store.ledger.runs()
    assert run.state is RunState.failed
    assert [a.state for a in world.actions(run)] == [ActionState.undone, ActionState.unknown]


def test_the_same_run_started_by_two_processes_is_run_by_one(world: World) -> None:
    book = world.book(BLOCK, policy_command("top1"), policy_command("round-scores", params={"decimals": 1}))
    other = world.fresh_runner()

    def interfere(point: str, record: ActionRecord) -> None:
        if point == "intent" and record.action == "block-principal":
            other.resume()

    run = world.fresh_runner(interfere).start(book, incident({"a": 1.0}))
    assert run.state is RunState.done
    assert sorted(kind for kind, _ in world.published()) == ["block", "round_scores", "top1"]
