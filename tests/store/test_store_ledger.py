"""The ledger's state machine: only legal moves, each made by one caller."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.respond.examples import incident

from threatmatrix.model.errors import StoreError, UnknownNameError
from threatmatrix.model.response import ActionRecord, ActionState, RunRecord, RunState
from threatmatrix.store import Store, open_store
from threatmatrix.store.ledger import ACTION_MOVES

RUN = RunRecord(
    run_id="r1", incident_id="inc-1", playbook_id="p", plan_hash="h", state=RunState.running, started=1, finished=None
)


def action(key: str = "r1:s:0") -> ActionRecord:
    return ActionRecord(
        idempotency_key=key,
        run_id="r1",
        step_id="s",
        action="manual",
        params={"instruction": "call\x00\ud800"},
        state=ActionState.intent,
        intent_at=2,
        attempts=1,
    )


def begin(store: Store) -> None:
    store.incidents.save([incident()])
    assert store.ledger.start_run(RUN, [{"step_id": "s", "n": 0}])


def test_a_run_and_its_action_from_intent_to_outcome(store: Store) -> None:
    begin(store)
    ledger = store.ledger
    assert not ledger.start_run(RUN, [])
    assert (ledger.run("r1"), ledger.plan("r1")) == (RUN, [{"step_id": "s", "n": 0}])
    assert ledger.intent(action(), 0)
    assert not ledger.intent(action(), 0)
    assert ledger.action("r1:s:0") == action()
    assert ledger.count_attempt("r1:s:0")
    assert ledger.move("r1:s:0", ActionState.unknown, outcome="who knows", at=5)
    assert not ledger.count_attempt("r1:s:0")
    assert [record.attempts for record in ledger.waiting()] == [2]
    assert ledger.move("r1:s:0", ActionState.done, outcome="ann saw it", at=6, by="ann")
    assert not ledger.move("r1:s:0", ActionState.done, outcome="again", at=7)
    [record] = ledger.actions("r1")
    assert (record.outcome, record.outcome_at, record.decided_by) == ("ann saw it", 6, "ann")
    assert ledger.move_run("r1", RunState.done, at=8)
    assert [run.finished for run in ledger.runs("inc-1", [RunState.done])] == [8]
    with pytest.raises(StoreError, match="run r1 is done: it cannot become waiting"):
        ledger.move_run("r1", RunState.waiting)
    with pytest.raises(StoreError, match="over or waiting"):
        ledger.intent(action("r1:s:1"), 1)


def test_unknown_names_and_missing_incidents(store: Store) -> None:
    with pytest.raises(UnknownNameError):
        store.ledger.run("r9")
    with pytest.raises(UnknownNameError):
        store.ledger.plan("r9")
    with pytest.raises(UnknownNameError):
        store.ledger.action("r9:s:0")
    with pytest.raises(StoreError):
        store.ledger.start_run(RUN, [])  # no such incident


def test_of_many_callers_one_makes_each_change(store: Store) -> None:
    begin(store)
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: store.ledger.intent(action(), 0), range(8))) == 1
        done = pool.map(lambda _: store.ledger.move("r1:s:0", ActionState.done, outcome="", at=3), range(8))
        assert sum(done) == 1


class LedgerMachine(RuleBasedStateMachine):
    """Any sequence of moves: the stored state follows ACTION_MOVES and nothing else."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = open_store(Path(self.folder.name) / "store.db")
        begin(self.store)
        self.store.ledger.intent(action(), 0)
        self.state = ActionState.intent

    @rule(to=st.sampled_from(ActionState))
    def move(self, to: ActionState) -> None:
        if to in ACTION_MOVES[self.state]:
            assert self.store.ledger.move("r1:s:0", to, outcome="x", at=9)
            self.state = to
        elif to is self.state:
            assert not self.store.ledger.move("r1:s:0", to, outcome="x", at=9)
        else:
            with pytest.raises(StoreError, match="cannot become"):
                self.store.ledger.move("r1:s:0", to, outcome="x", at=9)

    @invariant()
    def stored(self) -> None:
        if hasattr(self, "store"):
            assert self.store.ledger.action("r1:s:0").state is self.state

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=12, stateful_step_count=8, deadline=None, derandomize=True)
