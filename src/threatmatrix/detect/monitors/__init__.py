"""Monitors: stateful detectors that see what a log rule cannot. One file each, registered here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import isnan
from types import MappingProxyType
from typing import Protocol

from threatmatrix.detect.monitors.explain import describe
from threatmatrix.detect.monitors.near_duplicates import NearDuplicateMonitor
from threatmatrix.detect.state import State
from threatmatrix.detect.visibility import Sighting
from threatmatrix.model.detection import Calibration, Finding, NoVisibility, Severity
from threatmatrix.model.errors import UnknownNameError, UsageError
from threatmatrix.model.event import Event
from threatmatrix.model.matrix import MonitorSpec

__all__ = ["MONITORS", "Monitor", "NearDuplicateMonitor", "build_monitor", "describe"]


class Monitor(Protocol):
    """What every monitor offers."""

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Event fields without which it sees nothing."""

    @property
    def identity(self) -> str:
        """Its name and all its numbers: whose state it may take over."""

    def feed(self, events: Sequence[Event], *, revised: Sequence[tuple[Event, Event]] = ()) -> list[Finding]:
        """Findings that are new or grew; the same ids however the events are cut into batches."""

    def visibility(self, seen_fields: Mapping[str, set[str]] | None = None) -> list[NoVisibility]:
        """Where it is blind, given the fields seen non-null for each event category."""

    def sight(self, seen_fields: Mapping[str, Collection[str]]) -> list[Sighting]:
        """What it needs, and what of that is missing."""

    def snapshot(self) -> State:
        """What it remembers between two feeds."""

    def restore(self, state: State) -> tuple[str, ...]:
        """Go on from a snapshot of the same identity; what starts anew."""


MONITORS: Mapping[str, Callable[..., Monitor]] = MappingProxyType({NearDuplicateMonitor.name: NearDuplicateMonitor})
"""Name, as ``monitors[].use`` of a technique.yaml says it → the monitor's class."""


def build_monitor(spec: MonitorSpec, technique: str, calibrations: Iterable[Calibration] = ()) -> Monitor:
    """The monitor that the library asks for, with its numbers.

    Raises UnknownNameError for a monitor, parameter or severity that does not exist, UsageError for
    numbers that make no sense.
    """
    if spec.use not in MONITORS:
        raise UnknownNameError("monitor", spec.use, MONITORS)
    if spec.severity not in Severity.__members__:
        raise UnknownNameError("severity", spec.severity, Severity.__members__)
    make = MONITORS[spec.use]
    valid = set(inspect.signature(make).parameters) - {"technique", "severity", "calibrations"}
    for name, value in spec.params.items():
        if name not in valid:
            raise UnknownNameError(f"parameter of monitor {spec.use}", name, sorted(valid))
        if isinstance(value, bool) or not isinstance(value, int | float) or isnan(value):
            raise UsageError(f"monitor {spec.use}: {name}={value!r} is not a number")
    return make(technique=technique, severity=Severity[spec.severity], calibrations=calibrations, **spec.params)
