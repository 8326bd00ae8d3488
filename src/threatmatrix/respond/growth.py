"""What of a plan is new, when its incident was answered before and has grown since."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from threatmatrix.model.response import ActionState, PolicyEntry
from threatmatrix.respond.actions import entry_id_of
from threatmatrix.respond.plan import POLICY_KINDS, PlannedAction, identity
from threatmatrix.store import Store

__all__ = ["what_is_new"]

_TRIES = 3  # failures of the same action after which only a person tries again


@dataclasses.dataclass(frozen=True, slots=True)
class _Past:
    key: str
    action: PlannedAction
    state: ActionState | None  # None: planned, never begun
    decided: bool  # by a human, and therefore not to be tried again


def what_is_new(store: Store, incident_id: str, planned: Sequence[PlannedAction], now: int) -> list[PlannedAction]:
    """The actions that no earlier run of the incident has planned, and those that are due again.

    A policy entry that has run out is due again; one in its second half is prolonged instead of
    doubled; one that was withdrawn or undone stays so. An entry of the same content that somebody
    else put in force counts. A failed action is tried again, three times in all, unless a human decided on it.
    """
    history: dict[str, list[_Past]] = {}
    for past in _history(store, incident_id):
        history.setdefault(identity(past.action.action, past.action.params), []).append(past)
    in_force: dict[str, list[PolicyEntry]] = {}
    if any(item.action in POLICY_KINDS for item in planned):
        for entry in store.policy.active(now):
            in_force.setdefault(_content(entry.kind, entry.principal, entry.model, entry.params), []).append(entry)
    due: list[PlannedAction] = []
    for item in planned:
        past_items = history.get(identity(item.action, item.params), [])
        if item.action in POLICY_KINDS:
            found = _policy_due(store, item, past_items, in_force, now)
        else:
            found = item if _may_try(past_items) else None
        if found is not None:
            due.append(found)
    return due


def _history(store: Store, incident_id: str) -> Iterable[_Past]:
    for run_id, plan, begun in store.ledger.history(incident_id):
        for item in plan:
            action = PlannedAction(**item)
            key = f"{run_id}:{action.step_id}:{action.n}"
            record = begun.get(key)
            yield _Past(key, action, record.state if record else None, bool(record and record.decided_by))


def _may_try(past: Sequence[_Past]) -> bool:
    return len(past) < _TRIES and all(one.state is ActionState.failed and not one.decided for one in past)


def _policy_due(
    store: Store, item: PlannedAction, past: Sequence[_Past], in_force: Mapping[str, Sequence[PolicyEntry]], now: int
) -> PlannedAction | None:
    if any(one.state not in {ActionState.done, ActionState.failed} for one in past):
        return None  # under way, or undone
    own = {entry_id_of(one.key, one.action.params) for one in past if one.state is ActionState.done}
    params = item.params
    same = in_force.get(_content(params["kind"], params["principal"], params["model"], params["params"]), ())
    if any(store.policy.status(entry_id, now) == "withdrawn" for entry_id in own - {e.entry_id for e in same}):
        return None
    if same:
        longest = max(same, key=lambda entry: entry.expires_at)
        if longest.expires_at - now >= item.params["ttl_seconds"] * 1_000_000 / 2:
            return None
        if longest.entry_id in own:
            return dataclasses.replace(item, params={**item.params, "extends": longest.entry_id})
        return item
    failures = [one for one in past if one.state is ActionState.failed]
    return item if len(failures) < _TRIES else None


def _content(kind: str, principal: str | None, model: str | None, params: Mapping[str, Any]) -> str:
    """Equal for entries that enforce the same thing."""
    return json.dumps([kind, principal, model, params], sort_keys=True)
