"""Incidents, the ledger of actions, and the policy that a gateway enforces."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from threatmatrix.model.detection import PrincipalShare, Severity

__all__ = [
    "ActionRecord",
    "ActionState",
    "ChainStep",
    "Incident",
    "PolicyEntry",
    "PolicyKind",
    "PolicySnapshot",
    "RunRecord",
    "RunState",
]


@dataclass(frozen=True, slots=True)
class ChainStep:
    """One technique of an incident's chain, in the order of the first event seen."""

    technique: str
    first_time: int
    last_time: int
    finding_ids: tuple[str, ...]
    event_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Findings that belong together, as an ordered chain of techniques (OCSF 2005)."""

    incident_id: str
    title: str
    severity: Severity
    status: Literal["open", "contained", "closed"]
    system: str | None
    model: str | None
    first_time: int
    last_time: int
    chain: tuple[ChainStep, ...]
    principals: tuple[PrincipalShare, ...]  # largest share first
    finding_ids: tuple[str, ...]
    origin: str = "telemetry"  # or the run id of a replay


class RunState(StrEnum):
    """Where a playbook run stands."""

    running = "running"
    done = "done"
    failed = "failed"
    waiting = "waiting"  # for a human: some action is unknown


class ActionState(StrEnum):
    """``intent`` is written before the act; a crash leaves it there, and a resume decides."""

    intent = "intent"
    done = "done"
    failed = "failed"
    unknown = "unknown"  # it may or may not have happened: a human decides
    undone = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run of a playbook for an incident. ``plan_hash`` is over the rendered plan."""

    run_id: str
    incident_id: str
    playbook_id: str
    plan_hash: str
    state: RunState
    started: int
    finished: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRecord:
    """One action in the ledger: intent → act (with ``idempotency_key``) → verify → outcome."""

    idempotency_key: str  # "<run>:<step>:<n>"
    run_id: str
    step_id: str
    action: str  # block-principal | set-query-budget | set-input-noise | http-api
    params: dict[str, Any]
    state: ActionState
    intent_at: int
    outcome_at: int | None = None
    outcome: str = ""  # what verification saw, for a person
    attempts: int = 0
    decided_by: str = ""  # a human, where the state was unknown


PolicyKind = Literal["block", "query_budget", "input_noise", "round_scores", "top1"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyEntry:
    """One thing that the gateway enforces, with its owner, its end and the reason.

    ``params`` by kind: ``block`` {}; ``query_budget`` {"queries": int, "window_seconds": float};
    ``input_noise`` {"sigma": float, input units}; ``round_scores`` {"decimals": int}; ``top1`` {}.
    ``principal`` None: everybody (a budget is still counted for each principal by itself);
    ``model`` None: every model. Undo: withdraw the entry.
    """

    entry_id: str
    kind: PolicyKind
    owner: str
    reason: str
    created_at: int  # µs
    expires_at: int  # µs
    principal: str | None = None
    model: str | None = None
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PolicySnapshot:
    """All entries in force at ``published_at``; ``version`` only grows. JSON on disk: asdict()."""

    version: int
    published_at: int
    entries: tuple[PolicyEntry, ...] = ()
