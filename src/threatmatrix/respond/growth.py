"""What of a plan is new, when its incident was answered before and has grown since."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from threatmatrix.model.response import ActionState, PolicyEntry
from threatmatrix.respond.actions import entry_id_of
from threatmatrix.respond.plan import POLICY_KINDS, PlannedAction, identity
from threatmatrix.store import Store
from threatmatrix.store.ledger import Past

__all__ = ["what_is_new"]

_TRIES = 3  # failures of the same action after which only a person tries again


def what_is_new(store: Store, incident_id: str, planned: Sequence[PlannedAction], now: int) -> list[PlannedAction]:
    """The actions that no earlier run of the incident has planned, and those that are due again.

    A policy entry that has run out is due again; one in its second half is prolonged instead of
    doubled; one that was withdrawn or undone stays so. An entry of the same content that somebody
    else put in force counts. A failed action is tried again, three times in all, unless a human decided
    on it. What was done, or undone, for an incident that was merged into this one counts as well.
    """
    in_force = _longest(store.policy.active(now)) if any(item.action in POLICY_KINDS for item in planned) else {}
    due: list[PlannedAction] = []
    history: dict[Hashable, list[Past]] | None = None
    for item in planned:
        entry = in_force.get(_enforces(item.params)) if item.action in POLICY_KINDS else None
        if entry is not None and entry.expires_at - now >= item.params["ttl_seconds"] * 1_000_000 / 2:
            continue  # most of a grown incident's actions: the past need not be asked
        if history is None:
            history = _history(store, incident_id)
        past = history.get(identity(item.action, item.params), [])
        if item.action in POLICY_KINDS:
            found = _policy_due(store, item, past, entry, now)
        else:
            found = item if _may_try(past) else None
        if found is not None:
            due.append(found)
    return due


def _history(store: Store, incident_id: str) -> dict[Hashable, list[Past]]:
    history: dict[Hashable, list[Past]] = {}
    for past in store.ledger.history(store.incidents.family(incident_id)):
        if "identity" not in past.facts:
            past.facts["identity"] = identity(past.item["action"], past.item["params"])
        history.setdefault(past.facts["identity"], []).append(past)
    return history


def _may_try(past: Sequence[Past]) -> bool:
    return len(past) < _TRIES and all(one.state is ActionState.failed and not one.decided for one in past)


def _policy_due(
    store: Store, item: PlannedAction, past: Sequence[Past], entry: PolicyEntry | None, now: int
) -> PlannedAction | None:
    """``entry``: the one in force that enforces the same, in the second half of its life; None where there is none."""
    if any(one.state not in {ActionState.done, ActionState.failed} for one in past):
        return None  # under way, or undone
    own = {entry_id_of(one.key, one.item["params"]) for one in past if one.state is ActionState.done}
    if any(store.policy.status(one, now) == "withdrawn" for one in own if entry is None or one != entry.entry_id):
        return None
    if entry is not None:
        prolonged = {**item.params, "extends": entry.entry_id}
        return dataclasses.replace(item, params=prolonged) if entry.entry_id in own else item
    failures = [one for one in past if one.state is ActionState.failed]
    return item if len(failures) < _TRIES else None


def _longest(entries: Sequence[PolicyEntry]) -> dict[Hashable, PolicyEntry]:
    """What is enforced → the entry that enforces it longest."""
    found: dict[Hashable, PolicyEntry] = {}
    for entry in entries:
        what = entry.kind, entry.principal, entry.model, tuple(sorted(entry.params.items()))
        if what not in found or entry.expires_at > found[what].expires_at:
            found[what] = entry
    return found


def _enforces(params: Mapping[str, Any]) -> Hashable:
    return params["kind"], params["principal"], params["model"], tuple(sorted(params["params"].items()))
