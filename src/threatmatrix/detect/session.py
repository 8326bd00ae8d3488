"""One detection session: the rules and the monitors over one stream of events."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from threatmatrix.detect.monitors import Monitor
from threatmatrix.detect.repeats import Repeats
from threatmatrix.detect.state import State, check, header, understood
from threatmatrix.detect.visibility import Sighting, sight
from threatmatrix.model.detection import Finding, NoVisibility
from threatmatrix.model.event import EVENT_COLUMNS, Event

__all__ = ["Detector", "Revised", "Session"]


_KIND = "session"

Revised = Sequence[tuple[Event, Event]]
"""(before, after) of events that were judged already and have gained fields since, as the joiner gives them."""


class Detector(Protocol):
    """What a session asks of the rule engine; every monitor offers it too."""

    def feed(self, events: Sequence[Event], *, revised: Revised = ()) -> list[Finding]: ...

    def visibility(self, seen_fields: Mapping[str, set[str]], /) -> list[NoVisibility]: ...

    def sight(self, seen_fields: Mapping[str, Collection[str]], /) -> list[Sighting]: ...

    def snapshot(self) -> State: ...

    def restore(self, state: State, /) -> tuple[str, ...]: ...


class RuleDetector(Detector, Protocol):
    """The rule engine has something left to say when the events end."""

    def finish(self) -> list[Finding]: ...


class Session:
    """Feeds every batch to the rule engine and to each monitor, and knows which fields it has seen.

    What is found depends on the events and their order alone, never on where one batch ends and the next begins.
    """

    def __init__(self, rule_engine: RuleDetector | None = None, monitors: Sequence[Monitor] = ()) -> None:
        self._rules = rule_engine
        self._monitors = tuple(monitors)
        self._unseen: dict[str, tuple[str, ...]] = {}
        self._repeats = Repeats()
        self.events = 0
        self.repeats = 0

    @property
    def _detectors(self) -> tuple[Detector, ...]:
        return ((self._rules,) if self._rules is not None else ()) + self._monitors

    def feed(self, events: Sequence[Event], *, revised: Revised = ()) -> list[Finding]:
        """Findings that are new or grew, of the rules first; the newer one stands where two share an id.

        An event that is the same as one of the last few hundred thousand is not judged again (:class:`Repeats`); one
        of ``revised`` is judged by those detectors that could not use it before.
        """
        self.events += len(events)
        for event in events:
            self._note(event)
        for _, after in revised:
            self._note(after)
        fresh = self._repeats.fresh(events)
        self.repeats += len(events) - len(fresh)
        later = self._repeats.fresh_revisions(revised)
        found: dict[str, Finding] = {}
        for detector in self._detectors:
            for finding in detector.feed(fresh, revised=later) if later else detector.feed(fresh):
                found[finding.finding_id] = finding
        return list(found.values())

    def finish(self) -> list[Finding]:
        """No more events will come: what rules that wait for something *not* to follow have found by now.

        For a run over files. A stream that goes on is not finished, only snapshot: what waits there goes on waiting.
        """
        return self._rules.finish() if self._rules is not None else []

    def snapshot(self) -> State:
        """Everything that the session and its detectors remember, for :meth:`restore` in another process.

        Nested dicts and lists of JSON types, bytes and NumPy arrays of numbers; to be taken between two feeds.
        """
        return {
            **header(_KIND),
            "events": self.events,
            "repeats": self.repeats,
            "unseen": {category: list(names) for category, names in self._unseen.items()},
            "repeated": self._repeats.snapshot(),
            "rules": self._rules.snapshot() if self._rules is not None else None,
            "monitors": [monitor.snapshot() for monitor in self._monitors],
        }

    def restore(self, state: State) -> tuple[str, ...]:
        """Go on from :meth:`snapshot`, in a session that was not fed yet: the same findings as without the break.

        A rule or monitor that is new, or of which anything was changed since, starts with an empty memory; their
        names are returned. Raises FormatError for what is no snapshot of a session and of this version, or a damaged
        one; make a new session then.
        """
        check(state, _KIND)
        anew: list[str] = []
        with understood(_KIND):
            self.events, self.repeats = int(state["events"]), int(state["repeats"])
            self._unseen = {category: tuple(names) for category, names in state["unseen"].items()}
            self._repeats.restore(state["repeated"])
            if self._rules is not None:
                anew += self._rules.restore(state["rules"]) if state["rules"] else ("rules",)
            kept = {each["identity"]: each for each in state["monitors"]}
            for monitor in self._monitors:
                if monitor.identity in kept:
                    anew += monitor.restore(kept[monitor.identity])
                else:
                    anew.append(f"monitor:{monitor.name}")
        return tuple(anew)

    @property
    def seen_fields(self) -> dict[str, set[str]]:
        """Category → fields that were not None in at least one event of it so far."""
        return {category: set(EVENT_COLUMNS).difference(unseen) for category, unseen in self._unseen.items()}

    def visibility(self) -> list[NoVisibility]:
        """Which rules and monitors cannot see, given the events so far: never to be shown as clean."""
        seen = self.seen_fields
        return [blind for detector in self._detectors for blind in detector.visibility(seen)]

    def sight(self, seen_fields: Mapping[str, Collection[str]] | None = None) -> list[Sighting]:
        """Every rule and monitor, what it needs and what is missing of that; of the fields seen so far, or of these."""
        return sight(self._detectors, self.seen_fields if seen_fields is None else seen_fields)

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
