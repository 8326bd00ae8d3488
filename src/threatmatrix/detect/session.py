"""One detection session: the rules and the monitors over one stream of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from threatmatrix.detect.monitors import Monitor
from threatmatrix.model.detection import Finding, NoVisibility
from threatmatrix.model.event import EVENT_COLUMNS, Event

__all__ = ["Detector", "Session"]


class Detector(Protocol):
    """What a session asks of the rule engine; every monitor offers it too."""

    def feed(self, events: Sequence[Event]) -> list[Finding]: ...

    def visibility(self, seen_fields: Mapping[str, set[str]], /) -> list[NoVisibility]: ...


class Session:
    """Feeds every batch to the rule engine and to each monitor, and knows which fields it has seen."""

    def __init__(self, rule_engine: Detector | None = None, monitors: Sequence[Monitor] = ()) -> None:
        self._detectors: tuple[Detector, ...] = ((rule_engine,) if rule_engine is not None else ()) + tuple(monitors)
        self._unseen: dict[str, tuple[str, ...]] = {}
        self.events = 0

    def feed(self, events: Sequence[Event]) -> list[Finding]:
        """Findings that are new or grew, of the rules first; the newer one stands where two share an id."""
        self.events += len(events)
        for event in events:
            self._note(event)
        found: dict[str, Finding] = {}
        for detector in self._detectors:
            for finding in detector.feed(events):
                found[finding.finding_id] = finding
        return list(found.values())

    @property
    def seen_fields(self) -> dict[str, set[str]]:
        """Category → fields that were not None in at least one event of it so far."""
        return {category: set(EVENT_COLUMNS).difference(unseen) for category, unseen in self._unseen.items()}

    def visibility(self) -> list[NoVisibility]:
        """Which rules and monitors cannot see, given the events so far: never to be shown as clean."""
        seen = self.seen_fields
        return [blind for detector in self._detectors for blind in detector.visibility(seen)]

    def _note(self, event: Event) -> None:
        unseen = self._unseen.get(event.category)
        if unseen is None:
            unseen = tuple(EVENT_COLUMNS)
        elif not unseen:
            return
        # Shrinks within a few events to the fields that the source never gives, so this stays cheap.
        if any(getattr(event, name) is not None for name in unseen):
            unseen = tuple(name for name in unseen if getattr(event, name) is None)
        self._unseen[event.category] = unseen
