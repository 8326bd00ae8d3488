"""The decision: who may ask what now, and under which controls. Standard library only, usable without ASGI.

The gateway never judges a single query. A visible refusal of single suspicious queries is an oracle against
which an attack can be tuned; so only principals, budgets and whole answers are acted upon.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from threatmatrix.model.response import PolicyEntry, PolicySnapshot

__all__ = ["ALLOW", "BudgetMeter", "Decision", "Policy", "decide", "decide_unread"]

_SECOND = 1_000_000
_Key = tuple[str | None, str | None]  # (principal, model); None stands for every one


class Decision(NamedTuple):
    """What to do with one request. ``status``: 200 go on, 400 not understood, 403 blocked, 429 budget exhausted.

    ``policy_ref`` is the id of the entry that denies, or the ids of the controls in force, comma-separated.
    """

    allow: bool = True
    status: int = 200
    policy_ref: str | None = None
    retry_after: int = 0  # seconds, with 429
    sigma: float = 0.0  # input noise, input units
    decimals: int | None = None
    top1: bool = False
    budgeted: bool = False

    @property
    def controls_output(self) -> bool:
        """True if the answer has to be changed before it leaves."""
        return self.top1 or self.decimals is not None

    @property
    def needs_rows(self) -> bool:
        """True if a body that cannot be read must not pass: it would slip by a control."""
        return self.controls_output or self.budgeted or self.sigma > 0


ALLOW = Decision()


class Policy:
    """A snapshot indexed for lookup: the cost of a decision does not depend on the number of entries."""

    __slots__ = ("_blocks", "_models", "_rules", "version")

    def __init__(self, snapshot: PolicySnapshot | None = None) -> None:
        self.version = snapshot.version if snapshot else 0
        self._blocks: dict[_Key, tuple[int, str]] = {}  # → (expires_at of the longest block, its entry_id)
        self._models: dict[str | None, set[str]] = {}  # principal → the models that its entries name
        rules: dict[_Key, list[PolicyEntry]] = {}
        for entry in snapshot.entries if snapshot else ():
            key = (entry.principal, entry.model)
            if entry.model is not None:
                self._models.setdefault(entry.principal, set()).add(entry.model)
            if entry.kind == "block":
                known = self._blocks.get(key)
                if known is None or known[0] < entry.expires_at:
                    self._blocks[key] = (entry.expires_at, entry.entry_id)
            else:
                rules.setdefault(key, []).append(entry)
        self._rules = rules

    def blocked_by(self, principal: str, model: str | None, now: int) -> str | None:
        """Id of the block in force for this principal and model at ``now`` (µs), or None."""
        blocks = self._blocks
        if blocks:
            for key in ((principal, None), (principal, model), (None, model), (None, None)):
                found = blocks.get(key)
                if found is not None and now < found[0]:
                    return found[1]
        return None

    def rules_for(self, principal: str, model: str | None, now: int) -> Sequence[PolicyEntry]:
        """The budgets and controls in force for this principal and model at ``now`` (µs)."""
        rules = self._rules
        if not rules:
            return ()
        keys = {(principal, None), (principal, model), (None, model), (None, None)}
        return [entry for key in keys for entry in rules.get(key, ()) if now < entry.expires_at]

    def models_of(self, principal: str) -> list[str]:
        """The models that an entry for this principal, or for everybody, names."""
        return sorted(self._models.get(principal, set()) | self._models.get(None, set()))


class _Window:
    """Rows of one principal under one budget; entries are (µs, rows), oldest first."""

    __slots__ = ("ends", "entries", "total")

    def __init__(self) -> None:
        self.entries: deque[tuple[int, int]] = deque()
        self.total = 0
        self.ends = 0  # when the newest entry leaves the window, µs


class BudgetMeter:
    """Sliding windows of rows per (budget, principal), in memory, of this process alone.

    A row counts for ``window_seconds`` after the event time of its request. A clock that steps back never
    frees a budget. Beyond ``max_windows`` principals the stalest are forgotten.
    """

    def __init__(self, max_windows: int = 100_000) -> None:
        self._windows: dict[tuple[str, str], _Window] = {}
        self._max = max_windows

    def __len__(self) -> int:
        """Windows kept."""
        return len(self._windows)

    def wait(self, entry: PolicyEntry, principal: str, rows: int, now: int) -> int:
        """µs until ``rows`` more fit into this budget; 0 if they fit now, the whole window if they never do."""
        length = _window_length(entry)
        limit: int = entry.params["queries"]
        if rows > limit:
            return length
        window = self._windows.get((entry.entry_id, principal))
        if window is None:
            return 0
        entries = window.entries
        while entries and entries[0][0] + length <= now:
            window.total -= entries.popleft()[1]
        excess = window.total + rows - limit
        if excess <= 0:
            return 0
        for time, counted in entries:
            excess -= counted
            if excess <= 0:
                return max(1, time + length - now)
        return length

    def charge(self, entry: PolicyEntry, principal: str, rows: int, now: int) -> None:
        """Count ``rows`` at ``now`` against this budget."""
        key = (entry.entry_id, principal)
        window = self._windows.pop(key, None) or _Window()  # put back at the end: the dict is ordered by last use
        if len(self._windows) >= self._max:
            self._forget(now)
        if window.entries and window.entries[-1][0] >= now:
            now = window.entries[-1][0]
            window.entries[-1] = (now, window.entries[-1][1] + rows)
        else:
            window.entries.append((now, rows))
        window.total += rows
        window.ends = now + _window_length(entry)
        self._windows[key] = window

    def _forget(self, now: int) -> None:
        self._windows = {key: window for key, window in self._windows.items() if window.ends > now}
        surplus = len(self._windows) - self._max * 9 // 10
        for key in list(self._windows)[: max(0, surplus)]:
            del self._windows[key]


def _window_length(entry: PolicyEntry) -> int:
    return max(1, int(entry.params["window_seconds"] * _SECOND))


def decide(policy: Policy, budgets: BudgetMeter, *, principal: str, model: str | None, rows: int, now: int) -> Decision:
    """Decide on one request of ``rows`` inference rows (0: not an inference) at event time ``now`` (µs).

    An allowed request is charged to every budget that applies; one that would pass any of them is denied
    whole and charged to none. Of several noises the largest applies, of several roundings the coarsest.
    """
    block = policy.blocked_by(principal, model, now)
    if block is not None:
        return Decision(False, 403, block)
    rules = policy.rules_for(principal, model, now) if rows else ()
    if not rules:
        return ALLOW
    waits = [
        (budgets.wait(entry, principal, rows, now), entry.entry_id) for entry in rules if entry.kind == "query_budget"
    ]
    longest = max(waits, default=(0, ""))
    if longest[0]:
        return Decision(False, 429, longest[1], retry_after=math.ceil(longest[0] / _SECOND))
    return _allow(rules, budgets, principal, rows, now)


def _allow(rules: Sequence[PolicyEntry], budgets: BudgetMeter, principal: str, rows: int, now: int) -> Decision:
    sigma, decimals, top1, budgeted = 0.0, None, False, False
    for entry in rules:
        if entry.kind == "query_budget":
            budgets.charge(entry, principal, rows, now)
            budgeted = True
        elif entry.kind == "input_noise":
            sigma = max(sigma, float(entry.params["sigma"]))
        elif entry.kind == "round_scores":
            wanted: int = entry.params["decimals"]
            decimals = wanted if decimals is None else min(decimals, wanted)
        elif entry.kind == "top1":
            top1 = True
    names = ",".join(sorted({entry.entry_id for entry in rules if entry.kind != "query_budget"}))
    return Decision(True, 200, names or None, 0, sigma, decimals, top1, budgeted)


def decide_unread(policy: Policy, *, principal: str, model: str | None, now: int) -> Decision:
    """Decide on a request that may be an inference and cannot be read; ``model`` None: it may be of any model.

    A budget or a control that is in force cannot be applied to it, so it must not pass.
    """
    models = [None, *policy.models_of(principal)] if model is None else [model]
    for each in models:
        block = policy.blocked_by(principal, each, now)
        if block is not None:
            return Decision(False, 403, block)
    names = {entry.entry_id for each in models for entry in policy.rules_for(principal, each, now)}
    return Decision(False, 400, ",".join(sorted(names))) if names else ALLOW
