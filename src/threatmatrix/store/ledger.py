"""The ledger: runs, their plans, and each action from intent to outcome.

Every change of state is a compare-and-set in SQL, so that of two processes only one makes it::

    intent ──► done ──► undone
      │ ▲  └─► failed
      ▼ │
    unknown ─► done | failed        (a human decides, or the process that acted comes back late)

``unknown → intent`` is the human's "it did not happen: do it". ``intent → undone`` is an undo that
comes before the outcome.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, insert, select, update

from threatmatrix.model.errors import StoreError, UnknownNameError
from threatmatrix.model.response import ActionRecord, ActionState, RunRecord, RunState
from threatmatrix.store.codec import canonical
from threatmatrix.store.database import Database
from threatmatrix.store.schema import actions, runs

__all__ = ["ACTION_MOVES", "RUN_MOVES", "Ledger", "Past"]

ACTION_MOVES: Mapping[ActionState, frozenset[ActionState]] = {
    ActionState.intent: frozenset({ActionState.done, ActionState.failed, ActionState.unknown, ActionState.undone}),
    ActionState.unknown: frozenset({ActionState.done, ActionState.failed, ActionState.intent}),
    ActionState.done: frozenset({ActionState.undone}),
    ActionState.failed: frozenset(),
    ActionState.undone: frozenset(),
}
"""From → the states that may follow."""

RUN_MOVES: Mapping[RunState, frozenset[RunState]] = {
    RunState.running: frozenset({RunState.done, RunState.failed, RunState.waiting}),
    RunState.waiting: frozenset({RunState.running, RunState.failed}),
    RunState.done: frozenset(),
    RunState.failed: frozenset(),
}

_PLANS = 2_000  # decoded plans kept in memory
_IN = 500  # ids per query: databases limit the number of bound values
_RUN_COLUMNS = [column for column in runs.c if column.name != "plan"]


class Past(NamedTuple):
    """One planned action of an earlier run, and what became of it."""

    key: str
    item: dict[str, Any]  # as it was planned: step_id, n, action, params, title. Not to be changed
    state: ActionState | None  # None: planned, never begun
    decided: bool  # by a human, and therefore not to be tried again
    facts: dict[str, Any]  # for what the caller works out of ``item``; kept as long as the plan is in memory


class Ledger:
    """Runs and actions; a method returns when its change is on disk."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._plans: dict[str, list[tuple[str, dict[str, Any], dict[str, Any]]]] = {}  # run id -> key, action, facts

    def start_run(self, run: RunRecord, plan: Sequence[Mapping[str, Any]]) -> bool:
        """Keep a run with its rendered plan before anything is done; False where the run id exists."""

        def work(connection: Connection) -> bool:
            if connection.execute(select(runs.c.run_id).where(runs.c.run_id == run.run_id)).first():
                return False
            values = {name: getattr(run, name) for name in run.__dataclass_fields__}
            connection.execute(insert(runs).values(**values, plan=canonical(list(plan))))
            return True

        return self._database.write(work)

    def adopt(self, run: RunRecord, plan: Sequence[Mapping[str, Any]], done: Sequence[ActionRecord]) -> bool:
        """Keep a run of another store with its actions, just as they stand; False where the run id exists."""

        def work(connection: Connection) -> bool:
            if connection.execute(select(runs.c.run_id).where(runs.c.run_id == run.run_id)).first():
                return False
            values = {name: getattr(run, name) for name in run.__dataclass_fields__}
            connection.execute(insert(runs).values(**values, plan=canonical(list(plan))))
            for position, record in enumerate(done):
                row = {name: getattr(record, name) for name in record.__dataclass_fields__}
                row.update(params=canonical(record.params), state=record.state.value, position=position)
                connection.execute(insert(actions).values(**row))
            return True

        return self._database.write(work)

    def run(self, run_id: str) -> RunRecord:
        """Raises UnknownNameError."""
        row = self._database.read(
            lambda connection: connection.execute(select(*_RUN_COLUMNS).where(runs.c.run_id == run_id)).first()
        )
        if row is None:
            raise UnknownNameError("run", run_id, [run.run_id for run in self.runs()[-200:]])
        return _run(row)

    def runs(self, incident_ids: str | Sequence[str] | None = None, states: Sequence[RunState] = ()) -> list[RunRecord]:
        """In the order in which they were started; all, or those of an incident or of several."""
        query = select(*_RUN_COLUMNS).order_by(runs.c.started, runs.c.run_id)
        if incident_ids is not None:
            query = query.where(
                runs.c.incident_id.in_([incident_ids] if isinstance(incident_ids, str) else incident_ids)
            )
        if states:
            query = query.where(runs.c.state.in_([state.value for state in states]))
        return [_run(row) for row in self._database.read(lambda connection: connection.execute(query).all())]

    def plan(self, run_id: str) -> list[dict[str, Any]]:
        """The rendered plan as it was stored. Raises UnknownNameError."""
        query = select(runs.c.plan).where(runs.c.run_id == run_id)
        text = self._database.read(lambda connection: connection.scalar(query))
        if text is None:
            self.run(run_id)  # for its error
        return list(json.loads(str(text)))

    def move_run(self, run_id: str, to: RunState, *, at: int | None = None) -> bool:
        """Compare-and-set a run's state; True where this call made the change, False where it stood already.

        ``at`` (µs) becomes ``finished`` for done and failed. Raises StoreError for an illegal move.
        """
        sources = [state.value for state, targets in RUN_MOVES.items() if to in targets]
        ended = to in {RunState.done, RunState.failed}
        change = (
            update(runs)
            .where(runs.c.run_id == run_id, runs.c.state.in_(sources))
            .values(state=to.value, finished=at if ended else None)
        )
        if self._database.write(lambda connection: connection.execute(change).rowcount):
            return True
        now = self.run(run_id).state
        if now is to:
            return False
        raise self._illegal(f"run {run_id}", now.value, to.value)

    def intent(self, record: ActionRecord, position: int) -> bool:
        """Commit that an action is about to happen; False where its key is there already.

        ``position`` is its place in the run's plan. Refused with StoreError where the run is over.
        """

        def work(connection: Connection) -> bool:
            key = actions.c.idempotency_key == record.idempotency_key
            if connection.execute(select(actions.c.idempotency_key).where(key)).first():
                return False
            # Locks the run's row on servers: an undo that ends the run comes before or after, not between.
            live = (runs.c.run_id == record.run_id) & (runs.c.state == RunState.running.value)
            if not connection.execute(update(runs).where(live).values(state=runs.c.state)).rowcount:
                raise self._illegal(f"run {record.run_id}", "over or waiting", "acting")
            values = {name: getattr(record, name) for name in record.__dataclass_fields__}
            values.update(params=canonical(record.params), state=record.state.value, position=position)
            connection.execute(insert(actions).values(**values))
            return True

        return self._database.write(work)

    def count_attempt(self, key: str) -> bool:
        """One more attempt at an action that is still an intent; False where it is not."""
        open_intent = (actions.c.idempotency_key == key) & (actions.c.state == ActionState.intent.value)
        change = update(actions).where(open_intent).values(attempts=actions.c.attempts + 1)
        return bool(self._database.write(lambda connection: connection.execute(change).rowcount))

    def move(self, key: str, to: ActionState, *, outcome: str, at: int, by: str = "") -> bool:
        """Compare-and-set an action's state; True where this call made the change, False where it stood already.

        ``at`` in µs; ``by`` names the human who decided. Raises StoreError for an illegal move.
        """
        sources = [state.value for state, targets in ACTION_MOVES.items() if to in targets]
        values: dict[str, Any] = {"state": to.value, "outcome": outcome, "outcome_at": at}
        if to is ActionState.intent:
            values["outcome_at"] = None
        if by:
            values["decided_by"] = by
        change = update(actions).where(actions.c.idempotency_key == key, actions.c.state.in_(sources)).values(**values)
        if self._database.write(lambda connection: connection.execute(change).rowcount):
            return True
        now = self.action(key).state
        if now is to:
            return False
        raise self._illegal(f"action {key}", now.value, to.value)

    def action(self, key: str) -> ActionRecord:
        """Raises UnknownNameError."""
        query = select(actions).where(actions.c.idempotency_key == key)
        row = self._database.read(lambda connection: connection.execute(query).first())
        if row is None:
            waiting = [record.idempotency_key for record in self.waiting()]
            raise UnknownNameError("action", key, waiting)
        return _action(row)

    def actions(self, run_id: str) -> list[ActionRecord]:
        """Those that were begun, in the order of the plan."""
        query = select(actions).where(actions.c.run_id == run_id).order_by(actions.c.position)
        return [_action(row) for row in self._database.read(lambda connection: connection.execute(query).all())]

    def history(self, incident_ids: Sequence[str]) -> list[Past]:
        """Every planned action of the runs of some incidents, in the order of their start.

        Asked each time an incident grows: plans never change and are decoded once, and of the actions only
        what can change is read.
        """
        ours = runs.c.incident_id.in_(incident_ids)
        started = select(runs.c.run_id).where(ours).order_by(runs.c.started, runs.c.run_id)
        columns = (actions.c.idempotency_key, actions.c.state, actions.c.decided_by)
        begun = select(*columns).join(runs, runs.c.run_id == actions.c.run_id).where(ours)

        def work(connection: Connection) -> list[Past]:
            run_ids = connection.scalars(started).all()
            self._remember(connection, run_ids)
            rows = connection.execute(begun).all()
            state = {key: ActionState(value) for key, value, _ in rows}
            decided = {key for key, _, by in rows if by}
            return [
                Past(key, item, state.get(key), key in decided, facts)
                for run_id in run_ids
                for key, item, facts in self._plans[run_id]
            ]

        return self._database.read(work)

    def _remember(self, connection: Connection, run_ids: Sequence[str]) -> None:
        """Decode the plans of ``run_ids`` that are not in memory; at most twice :data:`_PLANS` stay there."""
        if len(self._plans) > max(_PLANS, len(run_ids)):
            self._plans.clear()
        new = [run_id for run_id in run_ids if run_id not in self._plans]
        for start in range(0, len(new), _IN):
            query = select(runs.c.run_id, runs.c.plan).where(runs.c.run_id.in_(new[start : start + _IN]))
            for run_id, plan in connection.execute(query):
                self._plans[run_id] = [
                    (f"{run_id}:{item['step_id']}:{item['n']}", item, {}) for item in json.loads(plan)
                ]

    def waiting(self) -> list[ActionRecord]:
        """Actions that wait for a human: nobody knows whether they happened."""
        query = select(actions).where(actions.c.state == ActionState.unknown.value).order_by(actions.c.intent_at)
        return [_action(row) for row in self._database.read(lambda connection: connection.execute(query).all())]

    def _illegal(self, what: str, now: str, to: str) -> StoreError:
        return StoreError(
            f"{self._database.where}: {what} is {now}: it cannot become {to}",
            hint="Another process may be working on it; look at the incident again",
        )


def _run(row: Row[Any]) -> RunRecord:
    data = dict(row._mapping)
    data["state"] = RunState(data["state"])
    return RunRecord(**data)


def _action(row: Row[Any]) -> ActionRecord:
    data = dict(row._mapping)
    del data["position"]
    data["state"] = ActionState(data["state"])
    data["params"] = json.loads(data["params"])
    return ActionRecord(**data)
