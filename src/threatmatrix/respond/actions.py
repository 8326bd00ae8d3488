"""Executors: how each kind of action is carried out, seen again, and undone."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from threatmatrix.model.response import ActionRecord, PolicyEntry
from threatmatrix.respond.plan import POLICY_KINDS
from threatmatrix.store import Store

__all__ = [
    "DidNotHappen",
    "Doubtful",
    "Executor",
    "ManualExecutor",
    "NeedsHuman",
    "Observation",
    "PolicyExecutor",
    "default_executors",
    "entry_id_of",
]


class DidNotHappen(Exception):
    """The action failed, and certainly had no effect. Never leaves the runner."""


class Doubtful(Exception):
    """The action may or may not have had its effect. Never leaves the runner."""


class NeedsHuman(Exception):
    """Only a person can carry this out. Never leaves the runner."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What reading the state back showed. ``happened`` None: the state cannot be read."""

    happened: bool | None
    text: str


class Executor(Protocol):
    """One kind of action. ``by_hand``: a person acts, so that "it did not happen" is final."""

    by_hand: bool

    def act(self, record: ActionRecord) -> str:
        """Carry it out; says what was done. Raises DidNotHappen, Doubtful or NeedsHuman."""

    def observe(self, record: ActionRecord) -> Observation:
        """Read back whether the action's effect is there. Never raises for a state that cannot be read."""

    def repeatable(self, record: ActionRecord) -> bool:
        """Whether acting again with the same idempotency key has no second effect."""

    def undo(self, record: ActionRecord, by: str) -> str | None:
        """Take the effect back; says what was done, or None where this kind has no undo. May be repeated."""


def entry_id_of(key: str, params: Mapping[str, Any]) -> str:
    """The policy entry that an action makes or prolongs: the same key always gives the same id."""
    prolonged = params.get("extends")
    return str(prolonged) if prolonged else "pol-" + hashlib.sha256(key.encode()).hexdigest()[:16]


class PolicyExecutor:
    """Puts an entry into the store's policy and publishes it; verified in the published file."""

    by_hand = False

    def __init__(self, store: Store, path: str | Path, clock: Callable[[], int]) -> None:
        self._store = store
        self._path = Path(path)
        self._clock = clock
        self._seen: tuple[tuple[int, ...], tuple[int, dict[str, int]]] | None = None

    def act(self, record: ActionRecord) -> str:
        entry = self._entry(record)
        if record.params.get("extends"):
            self._store.policy.extend(entry.entry_id, entry.expires_at)
        else:
            self._store.policy.add(entry)
        version = self._store.policy.publish(self._path, self._clock())
        return f"published as version {version}"

    def observe(self, record: ActionRecord) -> Observation:
        wanted = self._entry(record)
        try:
            version, ends = self._published()
        except (OSError, ValueError, KeyError, TypeError):
            return Observation(False, f"{self._path}: no policy is published there")
        if ends.get(wanted.entry_id, -1) < wanted.expires_at:
            return Observation(False, f"{wanted.entry_id} is not in force in version {version}")
        return Observation(True, f"{wanted.entry_id} is in force in version {version}")

    def repeatable(self, record: ActionRecord) -> bool:
        return True

    def undo(self, record: ActionRecord, by: str) -> str | None:
        entry_id = entry_id_of(record.idempotency_key, record.params)
        self._store.policy.withdraw(entry_id, by)
        version = self._store.policy.publish(self._path, self._clock())
        return f"{entry_id} withdrawn, published as version {version}"

    def _published(self) -> tuple[int, dict[str, int]]:
        """The published version, and when each of its entries ends; a file that has not changed is parsed once."""
        found = self._path.stat()
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if self._seen is None or self._seen[0] != stamp:
            text = self._path.read_bytes()
            published = json.loads(text)
            ends = {entry["entry_id"]: int(entry["expires_at"]) for entry in published["entries"]}
            self._seen = (stamp, (int(published["version"]), ends))
        return self._seen[1]

    def _entry(self, record: ActionRecord) -> PolicyEntry:
        """The same record always gives the same entry: its time to live counts from the intent."""
        params = record.params
        return PolicyEntry(
            entry_id=entry_id_of(record.idempotency_key, params),
            kind=params["kind"],
            owner=params["incident"],
            reason=params["reason"],
            created_at=record.intent_at,
            expires_at=record.intent_at + round(params["ttl_seconds"] * 1_000_000),
            principal=params["principal"],
            model=params["model"],
            params=params["params"],
        )


class ManualExecutor:
    """A person does it, and says so with ``Runner.decide``."""

    by_hand = True

    def act(self, record: ActionRecord) -> str:
        raise NeedsHuman(f"to be done by a person: {record.params['instruction']}")

    def observe(self, record: ActionRecord) -> Observation:
        return Observation(None, "only a person can tell")

    def repeatable(self, record: ActionRecord) -> bool:
        return False

    def undo(self, record: ActionRecord, by: str) -> str | None:
        return None


def default_executors(
    store: Store,
    policy_path: str | Path,
    clock: Callable[[], int],
    *,
    allowed_hosts: Iterable[str] = ("127.0.0.1", "::1", "localhost"),
    environ: Mapping[str, str] | None = None,
) -> dict[str, Executor]:
    """Every kind of action that a playbook may ask for.

    ``policy_path``: the snapshot that gateways read. ``allowed_hosts``: ``host`` or ``host:port`` that
    http-api commands may reach. ``environ``: where their secrets come from (default: the process's).
    """
    from threatmatrix.respond.http_api import HttpExecutor

    policy = PolicyExecutor(store, policy_path, clock)
    executors: dict[str, Executor] = dict.fromkeys(POLICY_KINDS, policy)
    executors["http-api"] = HttpExecutor(allowed_hosts, os.environ if environ is None else environ)
    executors["manual"] = ManualExecutor()
    return executors
