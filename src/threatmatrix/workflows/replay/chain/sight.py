"""What the logs of a scene show: read with their readers, judged by every rule and monitor of the library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from threatmatrix.detect.session import Session
from threatmatrix.knowledge import Library
from threatmatrix.model.detection import Calibration, Finding, Severity
from threatmatrix.model.event import Event
from threatmatrix.telemetry.reading import read_events
from threatmatrix.workflows.detect import build_session
from threatmatrix.workflows.replay.chain.lab import ChainLab
from threatmatrix.workflows.replay.chain.scene import Scene, is_measuring

__all__ = ["REFERENCE", "Detected", "Sight", "events_of", "judge", "look"]

REFERENCE = "reference"
"""The account whose traffic the monitors are calibrated on: it is no honest user's."""

_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Detected:
    """A detector that saw the attack: its title, the technique that it names, and after how many of its rows."""

    title: str
    technique: str
    after: int
    at: int  # µs of event time: the event that completed the evidence


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of the attacker, and of everybody else.

    ``detected``: the earliest finding of each detector on the attacker's events, of a severity above informational.
    ``ambiguous``: those whose detector also fired on honest events of the scene: they tell nobody apart. ``honest``:
    findings above informational on honest events alone.
    """

    detected: tuple[Detected, ...]
    ambiguous: tuple[Detected, ...]
    honest: int
    honest_events: int


def events_of(lab: ChainLab, scene: Scene) -> list[Event]:
    """Everything that the scene's logs hold in order of time, but for what only measures."""
    measuring = is_measuring(lab)
    events = [
        event
        for path, source in scene.logs
        if path.exists()
        for batch in read_events([path], source=source)
        for event in batch
        if not measuring(event)
    ]
    return sorted(events, key=lambda event: event.time)


def judge(library: Library, calibrations: Sequence[Calibration], events: Sequence[Event]) -> list[Finding]:
    """The findings of a fresh session over these events, with nobody acting on them."""
    session: Session = build_session(library, calibrations)[0]
    latest: dict[str, Finding] = {}
    for start in range(0, len(events), _AT_ONCE):
        latest.update((each.finding_id, each) for each in session.feed(events[start : start + _AT_ONCE]))
    return list(latest.values())


def look(lab: ChainLab, events: Sequence[Event], findings: Iterable[Finding]) -> Sight:
    """Whose events the findings rest on: the attacker's carry the correlation of the replay in their user agent.

    What rests on reference traffic alone says nothing about honest users.
    """
    mine = lab.accounts.correlation()
    reference = {event.event_id for event in events if event.principal == REFERENCE}
    attacks = [event for event in events if mine in (event.user_agent or "")]
    place = {event.event_id: number for number, event in enumerate(attacks, 1)}
    loud = [finding for finding in findings if finding.severity is not Severity.informational]
    on_honest = [f for f in loud if f.alarm_event not in place and f.alarm_event not in reference]
    unsure = {finding.detector for finding in on_honest}
    first: dict[str, tuple[Detected, bool]] = {}
    for finding in sorted(loud, key=lambda f: place.get(f.alarm_event, 0)):
        if finding.alarm_event in place and finding.detector not in first:
            number = place[finding.alarm_event]
            seen = Detected(finding.title, finding.technique, number, attacks[number - 1].time)
            first[finding.detector] = (seen, finding.detector in unsure)
    return Sight(
        detected=tuple(seen for seen, ambiguous in first.values() if not ambiguous),
        ambiguous=tuple(seen for seen, ambiguous in first.values() if ambiguous),
        honest=len(on_honest),
        honest_events=len(events) - len(place) - len(reference),
    )
