"""An event: one record of telemetry, flat, the same whatever log it came from."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

__all__ = ["CATEGORIES", "EVENT_COLUMNS", "Category", "DeadLetter", "Event", "Outcome"]

Category = Literal[
    "inference",
    "model_access",
    "model_registry",
    "artifact_access",
    "tool_call",
    "authentication",
    "api_activity",
    "http",
]
"""What kind of record it is; the ``category`` of a Sigma rule's logsource selects on it (docs/telemetry.md)."""

CATEGORIES: tuple[Category, ...] = get_args(Category)

Outcome = Literal["success", "failure"]
"""How an attempt ended, where the source says so otherwise than by an HTTP status (OCSF ``status``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One record of telemetry: one inference row, one metadata request, one login …

    ``None`` always means "the source does not say". Times are microseconds since 1970-01-01 UTC.
    Names follow OCSF and OpenTelemetry GenAI where they have one; neither has classifier scores or
    input fingerprints, so those are ours (docs/telemetry.md lists every field with its meaning).
    """

    event_id: str
    time: int
    source: str
    category: Category
    operation: str | None = None  # infer | metadata | health | chat | …
    system: str | None = None
    tenant: str | None = None
    principal: str | None = None
    key_id: str | None = None  # id of the key or credential that was used, never the key
    src_ip: str | None = None
    host: str | None = None  # host or service that was addressed, as the server itself names it
    user_agent: str | None = None
    method: str | None = None
    endpoint: str | None = None  # path of the request, without the query string
    object: str | None = None  # what was acted upon besides a model: artifact, alias, tool, account, resource
    model: str | None = None
    model_version: str | None = None
    request_ref: str | None = None  # the request that this row belongs to
    row: int | None = None  # index of the row within its request, from 0
    rows: int | None = None  # rows in that request
    input_fp: str | None = None  # keyed hash of the exact input, hex
    input_vec: bytes | None = None  # keyed projection of the input, int8 components
    vec_scale: float | None = None  # input units per int8 step: distance = L2(int8) * vec_scale
    vec_key: str | None = None  # id of the projection; vectors of different keys never compare
    input_fp_prev: str | None = None  # the same under the key before, while keys overlap
    input_vec_prev: bytes | None = None
    vec_key_prev: str | None = None
    input_bytes: int | None = None
    input_raw: str | None = None  # the input itself; only where somebody asked to keep it
    output_label: str | None = None
    output_scores: tuple[float, ...] | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    latency_ms: float | None = None
    status: int | None = None
    outcome: Outcome | None = None
    decision: str | None = None  # allow | deny
    policy_ref: str | None = None  # the policy entry behind the decision
    session: str | None = None
    trace_id: str | None = None


EVENT_COLUMNS: MappingProxyType[str, str] = MappingProxyType(
    {
        "event_id": "VARCHAR",
        "time": "BIGINT",
        "source": "VARCHAR",
        "category": "VARCHAR",
        "operation": "VARCHAR",
        "system": "VARCHAR",
        "tenant": "VARCHAR",
        "principal": "VARCHAR",
        "key_id": "VARCHAR",
        "src_ip": "VARCHAR",
        "host": "VARCHAR",
        "user_agent": "VARCHAR",
        "method": "VARCHAR",
        "endpoint": "VARCHAR",
        "object": "VARCHAR",
        "model": "VARCHAR",
        "model_version": "VARCHAR",
        "request_ref": "VARCHAR",
        "row": "BIGINT",
        "rows": "BIGINT",
        "input_fp": "VARCHAR",
        "input_vec": "BLOB",
        "vec_scale": "DOUBLE",
        "vec_key": "VARCHAR",
        "input_fp_prev": "VARCHAR",
        "input_vec_prev": "BLOB",
        "vec_key_prev": "VARCHAR",
        "input_bytes": "BIGINT",
        "input_raw": "VARCHAR",
        "output_label": "VARCHAR",
        "output_scores": "DOUBLE[]",
        "tokens_in": "BIGINT",
        "tokens_out": "BIGINT",
        "latency_ms": "DOUBLE",
        "status": "BIGINT",
        "outcome": "VARCHAR",
        "decision": "VARCHAR",
        "policy_ref": "VARCHAR",
        "session": "VARCHAR",
        "trace_id": "VARCHAR",
    }
)
"""Field → SQL type, in the order of :class:`Event`; what rules may name and the lake stores."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A line that could not become an event: counted, with the reason and the place where it still stands."""

    file: str
    line: int  # 1-based
    reason: str
    text: str  # the line as read, undecodable bytes as \\xNN; truncated at 64 KiB
