"""The session: rules and monitors over one stream, and what was visible in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from tests.detect.monitors.samples import make_events

from threatmatrix.detect.monitors import NearDuplicateMonitor
from threatmatrix.detect.session import Session
from threatmatrix.model.detection import Calibration, Finding, NoVisibility, Severity
from threatmatrix.model.event import Event


class Rules:
    """A rule engine that matches every metadata read and asks for a user agent."""

    def feed(self, events: Sequence[Event]) -> list[Finding]:
        return [
            Finding(
                finding_id=f"r:{e.event_id}",
                detector="rule:r",
                title="r",
                technique="ml-model-discovery",
                severity=Severity.low,
                confidence=1.0,
                explanation="a read",
                event_ids=(e.event_id,),
                event_count=1,
                first_time=e.time,
                last_time=e.time,
                alarm_event=e.event_id,
            )
            for e in events
            if e.category == "model_access"
        ]

    def visibility(self, seen_fields: Mapping[str, set[str]]) -> list[NoVisibility]:
        if "user_agent" in seen_fields.get("model_access", set()):
            return []
        return [NoVisibility("rule:r", "r", "ml-model-discovery", ("user_agent",), "no visibility: needs user_agent")]


def read(**fields: str) -> Event:
    return Event(event_id="m1", time=5, source="test", category="model_access", **fields)  # type: ignore[arg-type]


def session() -> Session:
    calibration = Calibration(
        monitor=NearDuplicateMonitor.name,
        model="digits",
        vec_key="k1",
        threshold=0.5,
        quantile=0.001,
        inputs=60,
        distinct=60,
        created=0,
    )
    return Session(Rules(), [NearDuplicateMonitor(calibrations=[calibration])])


def test_both_kinds_of_finding_come_out_of_one_stream() -> None:
    subject = session()
    events = make_events(0.5 + np.random.default_rng(0).normal(0, 0.01, (20, 64)))
    found = subject.feed([read(user_agent="curl"), *events])
    assert [f.detector for f in found] == ["rule:r", "monitor:near-duplicate-clusters"]
    assert subject.visibility() == []
    assert subject.events == 21


def test_visibility_follows_the_fields_seen_so_far() -> None:
    subject = session()
    assert {v.detector for v in subject.visibility()} == {"rule:r", "monitor:near-duplicate-clusters"}
    subject.feed([read()])
    assert "user_agent" not in subject.seen_fields["model_access"]
    subject.feed([read(user_agent="curl")])
    assert "user_agent" in subject.seen_fields["model_access"]
    assert {v.detector for v in subject.visibility()} == {"monitor:near-duplicate-clusters"}
    subject.feed(make_events(np.zeros((1, 64))))
    assert subject.visibility() == []


def test_a_session_without_detectors_is_empty() -> None:
    assert Session().feed([read()]) == []
    assert Session().visibility() == []
