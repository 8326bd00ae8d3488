"""Run playbooks through the ledger: intent (committed) → act → verify → outcome.

After a crash an intent without an outcome is settled by reading the state back; where its effect is not
seen, by acting again with the same idempotency key; where the other side takes none, by a human.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from threatmatrix.model.errors import UnknownNameError, UsageError
from threatmatrix.model.response import ActionRecord, ActionState, Incident, RunRecord, RunState
from threatmatrix.respond.actions import DidNotHappen, Doubtful, Executor, NeedsHuman
from threatmatrix.respond.cacao import Playbook
from threatmatrix.respond.growth import what_is_new
from threatmatrix.respond.plan import PlannedAction, plan_hash, render
from threatmatrix.store import Store

__all__ = ["Checkpoint", "Runner"]

_TRIES = 3  # doubtful attempts in one go


class Checkpoint(Protocol):
    """Told where an action stands: "intent", "acted" or "outcome". For tests that stop there."""

    def __call__(self, point: str, record: ActionRecord, /) -> None: ...


class Runner:
    """``executors``: one per kind of action (:func:`~threatmatrix.respond.actions.default_executors`);
    ``clock`` gives now in µs since 1970-01-01 UTC.
    """

    def __init__(
        self,
        store: Store,
        executors: Mapping[str, Executor],
        clock: Callable[[], int],
        *,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self._store = store
        self._executors = executors
        self._clock = clock
        self._checkpoint = checkpoint or (lambda _point, _record: None)
        self._begun: set[str] = set()  # runs of this process that an error left unfinished

    def plan(
        self, playbook: Playbook, incident: Incident, *, variables: Mapping[str, str] | None = None, again: bool = False
    ) -> list[PlannedAction]:
        """What :meth:`start` would do now; nothing is done. Raises FormatError, UnknownNameError."""
        planned = render(playbook, incident, variables)
        for item in planned:
            if item.action not in self._executors:
                raise UnknownNameError("kind of action", item.action, sorted(self._executors))
        return planned if again else what_is_new(self._store, incident.incident_id, planned, self._clock())

    def start(
        self, playbook: Playbook, incident: Incident, *, variables: Mapping[str, str] | None = None, again: bool = False
    ) -> RunRecord:
        """Run what is new for the incident; where nothing is, the incident's latest run is returned.

        Call it as often as the incident grows: the new run holds only new actions, no policy entry
        is doubled, and what was undone stays undone unless ``again``. Raises FormatError,
        UnknownNameError, and StoreError (call again, or ``resume``, once it is mended).
        """
        ledger = self._store.ledger
        for run in [ledger.run(run_id) for run_id in sorted(self._begun)]:
            if run.state is RunState.running:
                self._carry_on(run)
        planned = self.plan(playbook, incident, variables=variables, again=again)
        earlier = ledger.runs([incident.incident_id])
        if earlier and not planned:
            return earlier[-1]
        try:
            self._store.incidents.get(incident.incident_id)
        except UnknownNameError:
            self._store.incidents.save([incident])
        run = RunRecord(
            run_id=f"{incident.incident_id}-r{len(earlier) + 1}",
            incident_id=incident.incident_id,
            playbook_id=playbook.id,
            plan_hash=plan_hash(planned),
            state=RunState.running,
            started=self._clock(),
        )
        if not ledger.start_run(run, [dataclasses.asdict(item) for item in planned]):
            return ledger.run(run.run_id)  # another process answers the same incident at this moment
        return self._carry_on(run)

    def resume(self) -> list[RunRecord]:
        """Finish every run that a crash left behind; returns them as they are now, the waiting ones too.

        Meant for when no other process is running playbooks on this store. Should one be, keys and
        compare-and-set still keep every effect single; an action of its that takes no key may then
        be shown as unknown until that process reports.
        """
        unfinished = self._store.ledger.runs(states=[RunState.running, RunState.waiting])
        return [self._go_on(run.run_id) for run in unfinished]

    def decide(self, idempotency_key: str, happened: bool, by: str) -> RunRecord:
        """A human says whether an unknown action happened; the run goes on.

        If it did not happen it is done now (a manual step then counts as failed). Raises
        UnknownNameError, and UsageError where there is nothing to decide or nobody is named.
        """
        ledger = self._store.ledger
        record = ledger.action(idempotency_key)
        if not by.strip():
            raise UsageError("a decision needs a name", hint="Say who decides")
        if record.state is not ActionState.unknown:
            raise UsageError(
                f"action {idempotency_key} is {record.state}: there is nothing to decide",
                hint="Only an unknown action waits for a human",
            )
        run_id, at = record.run_id, self._clock()
        by_hand = self._executor(record).by_hand
        if happened:
            ledger.move(idempotency_key, ActionState.done, outcome=f"{by} says that it happened", at=at, by=by)
        elif by_hand:
            ledger.move(idempotency_key, ActionState.failed, outcome=f"{by} says that it was not done", at=at, by=by)
        elif ledger.run(run_id).state is RunState.waiting:
            said = f"{by} says that it had not happened"
            ledger.move(idempotency_key, ActionState.intent, outcome=said, at=at, by=by)
            if self._reopen(run_id) and ledger.count_attempt(idempotency_key):
                self._pursue(ledger.action(idempotency_key))
        else:
            said = f"{by} says that it had not happened; its run was stopped"
            ledger.move(idempotency_key, ActionState.failed, outcome=said, at=at, by=by)
        return self._go_on(run_id)

    def undo(self, incident_id: str, by: str) -> list[ActionRecord]:
        """Withdraw everything that the incident's runs put into policy; returns those actions as they are now.

        The runs of incidents that were merged into it count as its own. Runs that are not finished are
        stopped. What has no undo (a message that was sent) stays as it is.
        """
        undone: list[ActionRecord] = []
        for run in reversed(self._store.ledger.runs(self._store.incidents.family(incident_id))):
            if run.state in {RunState.running, RunState.waiting}:
                self._store.ledger.move_run(run.run_id, RunState.failed, at=self._clock())
            for record in reversed(self._store.ledger.actions(run.run_id)):
                if record.state in {ActionState.done, ActionState.intent}:
                    said = self._executor(record).undo(record, by)
                    if said is not None:
                        undone.append(self._settle(record, ActionState.undone, f"{said} by {by}"))
                    elif record.state is ActionState.intent and self._look(record, "its run was stopped") is None:
                        self._settle(record, ActionState.unknown, "its run was stopped before the outcome was known")
        return undone

    def _executor(self, record: ActionRecord) -> Executor:
        if record.action not in self._executors:
            raise UnknownNameError("kind of action", record.action, sorted(self._executors))
        return self._executors[record.action]

    def _carry_on(self, run: RunRecord) -> RunRecord:
        """Every action of the plan that has no outcome yet, in order; stops at an unknown one."""
        ledger = self._store.ledger
        self._begun.add(run.run_id)
        known = {record.idempotency_key: record for record in ledger.actions(run.run_id)}
        states: set[ActionState] = set()
        for position, item in enumerate(ledger.plan(run.run_id)):
            key = f"{run.run_id}:{item['step_id']}:{item['n']}"
            record = known.get(key)
            if record is None:
                record = self._intent(run.run_id, key, item)
                if not ledger.intent(record, position):
                    break  # another process has taken this run over
                self._checkpoint("intent", record)
                record = self._pursue(record)
            elif record.state is ActionState.intent:
                record = self._recover(record)
            states.add(record.state)
            if record.state is ActionState.undone:
                break  # somebody undid it while it was under way, and ended the run
            if record.state is ActionState.unknown:
                ledger.move_run(run.run_id, RunState.waiting)
                break
        else:
            ended = RunState.failed if ActionState.failed in states else RunState.done
            ledger.move_run(run.run_id, ended, at=self._clock())
        self._begun.discard(run.run_id)
        return ledger.run(run.run_id)

    def _intent(self, run_id: str, key: str, item: Mapping[str, Any]) -> ActionRecord:
        return ActionRecord(
            idempotency_key=key,
            run_id=run_id,
            step_id=item["step_id"],
            action=item["action"],
            params=item["params"],
            state=ActionState.intent,
            intent_at=self._clock(),
            attempts=1,
        )

    def _pursue(self, record: ActionRecord) -> ActionRecord:
        """Act; a doubtful attempt is looked at and, where that is safe, repeated."""
        executor = self._executor(record)
        why = ""
        for attempt in range(_TRIES):
            if attempt and not self._store.ledger.count_attempt(record.idempotency_key):
                break
            try:
                said = executor.act(record)
            except DidNotHappen as failure:
                return self._settle(record, ActionState.failed, str(failure))
            except NeedsHuman as request:
                return self._settle(record, ActionState.unknown, str(request))
            except Doubtful as doubt:
                why = str(doubt)
                self._checkpoint("acted", record)
                settled = self._look(record, why)
                if settled is not None:
                    return settled
            else:
                self._checkpoint("acted", record)
                return self._verify(record, said)
        return self._settle(record, ActionState.unknown, f"{why}; tried {_TRIES} times")

    def _recover(self, record: ActionRecord) -> ActionRecord:
        """An intent whose process is gone: look, or act again, or ask a human."""
        settled = self._look(record, "the process ended between intent and outcome")
        if settled is not None:
            return settled
        if not self._store.ledger.count_attempt(record.idempotency_key):
            return self._store.ledger.action(record.idempotency_key)
        return self._pursue(record)

    def _look(self, record: ActionRecord, why: str) -> ActionRecord | None:
        """The outcome, if reading the state tells it or a human must; None: act again."""
        executor = self._executor(record)
        seen = executor.observe(record)
        if seen.happened:
            return self._settle(record, ActionState.done, f"{seen.text} ({why})")
        if not executor.repeatable(record):  # "not there" may only be "not there yet": the request was sent, or may be
            return self._settle(record, ActionState.unknown, f"{why}, and {seen.text}")
        return None

    def _verify(self, record: ActionRecord, said: str) -> ActionRecord:
        executor = self._executor(record)
        seen = executor.observe(record)
        if seen.happened is False and not executor.repeatable(record):
            return self._settle(record, ActionState.unknown, f"{said}, but {seen.text}")
        if seen.happened is False:
            return self._settle(record, ActionState.failed, f"{said}, but {seen.text}")
        return self._settle(record, ActionState.done, f"{said}; {seen.text}" if seen.happened else said)

    def _settle(self, record: ActionRecord, state: ActionState, outcome: str) -> ActionRecord:
        """Write the outcome. Another process may have settled the same action first: then that stands."""
        ledger = self._store.ledger
        before = ledger.action(record.idempotency_key)
        if before.state in {ActionState.intent, ActionState.unknown} or state is ActionState.undone:
            ledger.move(record.idempotency_key, state, outcome=outcome, at=self._clock())
            if before.state is ActionState.unknown:
                self._reopen(record.run_id)
        self._checkpoint("outcome", record)
        return ledger.action(record.idempotency_key)

    def _reopen(self, run_id: str) -> bool:
        """A run whose last doubt is gone is running again; True where it is."""
        ledger = self._store.ledger
        doubts = any(record.state is ActionState.unknown for record in ledger.actions(run_id))
        if ledger.run(run_id).state is RunState.waiting and not doubts:
            ledger.move_run(run_id, RunState.running)
        return ledger.run(run_id).state is RunState.running

    def _go_on(self, run_id: str) -> RunRecord:
        running = self._reopen(run_id)
        run = self._store.ledger.run(run_id)
        return self._carry_on(run) if running else run
