"""What an assessment says of a system: which techniques apply, which can be seen, what to switch on next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from threatmatrix.model.matrix import Technique
from threatmatrix.model.system import System

__all__ = ["SIGHTS", "Assessment", "Gain", "Lack", "Sight", "SightStatus", "SourceState"]

SightStatus = Literal["detected", "visible", "partial", "blind", "outside"]
"""``detected``: a rule or monitor runs on today's telemetry. ``visible``: no detector does, but the events and fields
that show the technique arrive, so a person can look. ``partial``: the events arrive without some of the fields.
``blind``: a reader exists for such events, and none is fed. ``outside``: only records that no reader knows of would
show it.
"""

SIGHTS: tuple[SightStatus, ...] = get_args(SightStatus)


@dataclass(frozen=True, slots=True)
class Lack:
    """A trace or a detector that today's telemetry does not serve, and what it lacks."""

    what: str  # the source that would show it, or the title of the detector
    category: str  # of events, empty for a detector
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sight:
    """How well one technique that applies can be seen."""

    technique: Technique
    status: SightStatus
    detectors: tuple[str, ...] = ()  # titles of those that run on today's telemetry
    traces: tuple[str, ...] = ()  # sources that show it today
    lacks: tuple[Lack, ...] = ()
    elsewhere: tuple[str, ...] = ()  # sources that no reader knows


@dataclass(frozen=True, slots=True)
class Gain:
    """One thing to switch on, with what that changes; ``sources`` are alternatives that change the same."""

    sources: tuple[str, ...]
    how: str
    detected: tuple[str, ...] = ()  # slugs that a detector sees afterwards and did not before
    visible: tuple[str, ...] = ()  # slugs that become visible without a detector
    partial: tuple[str, ...] = ()  # slugs of which at least something arrives


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source that systems.yaml names, and whether events of it are in the lake."""

    source: str
    path: str
    events: int | None  # None: nothing is known, for there is no lake


@dataclass(frozen=True, slots=True)
class Assessment:
    """One system, assessed."""

    system: System
    basis: Literal["lake", "declared"]  # where ``fields`` comes from: what arrived, or what the readers can give
    sources: tuple[SourceState, ...]
    fields: Mapping[str, tuple[str, ...]]  # category → fields that its events have today
    sights: tuple[Sight, ...]  # of the techniques that apply, in the order of the matrix
    not_applicable: tuple[Technique, ...]
    gains: tuple[Gain, ...]  # the best first; each counted on top of those before it
    notes: tuple[str, ...] = field(default=())

    def count(self, status: SightStatus) -> int:
        """How many techniques have this status."""
        return sum(sight.status == status for sight in self.sights)
