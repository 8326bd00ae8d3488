"""What detection says: findings, and where it is blind."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

__all__ = ["Calibration", "Finding", "NoVisibility", "PrincipalShare", "Severity"]


class Severity(IntEnum):
    """Sigma's levels, ordered; OCSF severity_id is ``value + 1``."""

    informational = 0
    low = 1
    medium = 2
    high = 3
    critical = 4


@dataclass(frozen=True, slots=True)
class PrincipalShare:
    """A principal's part in a finding: distinct (non-identical) probes, and their share of all."""

    principal: str
    probes: int
    share: float  # 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule or monitor says: this technique, these events, this confidence, this explanation.

    ``finding_id`` is stable: the same evidence gives the same id, and a finding that grows (a
    cluster that gains probes) keeps its id, with ``last_time``, ``event_ids`` and ``principals``
    brought up to date. A store replaces by id.
    """

    finding_id: str
    detector: str  # "rule:<sigma id>" or "monitor:<name>"
    title: str
    technique: str  # slug
    severity: Severity
    confidence: float  # 0..1
    explanation: str  # one sentence for an analyst who has never trained a model
    event_ids: tuple[str, ...]  # at most 1000, the newest; event_count has the true number
    event_count: int
    first_time: int  # µs, of the first event
    last_time: int  # µs, of the last event
    alarm_event: str  # the event that completed the evidence: detection latency counts up to it
    principals: tuple[PrincipalShare, ...] = ()
    system: str | None = None
    model: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoVisibility:
    """A rule or monitor that cannot see: never to be shown as clean."""

    detector: str
    title: str
    technique: str
    needs: tuple[str, ...]  # the missing fields, or "calibration"
    reason: str  # "no visibility: needs …"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A threshold that was learnt from reference traffic, and from how much of it."""

    monitor: str
    model: str
    vec_key: str
    threshold: float  # in input units
    quantile: float  # of the nearest-neighbour distances
    inputs: int  # reference events read
    distinct: int  # of them with a different input: what the quantile was taken over
    created: int  # µs
