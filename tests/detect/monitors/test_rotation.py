"""An attack that runs while the key changes: seen with an overlap, lost without one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.detect.frozen import freeze, thaw

from threatmatrix.detect.calibrate import calibrate
from threatmatrix.detect.monitors import NearDuplicateMonitor
from threatmatrix.model.detection import Calibration, Finding
from threatmatrix.model.event import Event
from threatmatrix.telemetry.inputs.inputs import Inputs
from threatmatrix.telemetry.inputs.keys import Key, Keyring
from threatmatrix.telemetry.inputs.oip import Tensor

SECOND = 1_000_000
OLD, NEW = Key("1", b"o" * 32), Key("2", b"n" * 32)
UNTIL = 100 * SECOND
ROTATED = Inputs(Keyring(NEW, OLD, UNTIL))
BEFORE, WITHOUT = Inputs(Keyring(OLD)), Inputs(Keyring(NEW))


def seen(inputs: Inputs, rows: np.ndarray, start: int, who: str = "mallory") -> list[Event]:
    """An event a second from second ``start`` on, fingerprinted as a reader does it."""
    events = []
    for second, row in enumerate(rows, start):
        tensor = Tensor("x", "FP64", (1, 64), row.reshape(1, -1), None, False)
        (fields,) = inputs.rows("digits", [tensor], 1, second * SECOND)
        base = Event(event_id=f"e{second}", time=second * SECOND, source="t", category="inference", model="digits")
        events.append(replace(base, principal=who, **fields._asdict()))
    return events


def probes(n: int, seed: int = 0) -> np.ndarray:
    return 0.5 + np.random.default_rng(seed).normal(0, 0.02, (n, 64))


def honest(inputs: Inputs, start: int = 0) -> list[Event]:
    return seen(inputs, np.random.default_rng(9).random((120, 64)), start, "honest")


@pytest.fixture(scope="module")
def learnt() -> dict[str, Calibration]:
    """What ``calibrate`` learns before the rotation, and from traffic of the overlap."""
    (old,), (new,) = calibrate(honest(BEFORE), created=1), calibrate(honest(ROTATED), created=2)
    return {"old": old, "new": new}


def last(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.finding_id: finding for finding in findings}


def test_thresholds_are_learnt_for_the_new_key_during_the_overlap(learnt: dict[str, Calibration]) -> None:
    assert learnt["new"].vec_key == seen(WITHOUT, probes(1), 0)[0].vec_key != learnt["old"].vec_key
    assert learnt["new"].threshold == pytest.approx(learnt["old"].threshold, rel=0.1)


@pytest.mark.parametrize("known", [["old"], ["old", "new"]])
def test_an_attack_across_the_rotation_is_caught_with_an_overlap(
    learnt: dict[str, Calibration], known: list[str]
) -> None:
    subject = NearDuplicateMonitor(calibrations=[learnt[name] for name in known])
    attack = probes(20)
    assert subject.feed(seen(BEFORE, attack[:10], 30)) == []
    found = last(subject.feed(seen(ROTATED, attack[10:], 40)))
    assert [f.event_count for f in found.values()] == [20]
    assert [f.alarm_event for f in found.values()] == ["e44"]


def test_the_same_attack_without_an_overlap_is_not(learnt: dict[str, Calibration]) -> None:
    subject = NearDuplicateMonitor(calibrations=learnt.values())
    attack = probes(20)
    assert subject.feed(seen(BEFORE, attack[:10], 30) + seen(WITHOUT, attack[10:], 40)) == []


@pytest.mark.parametrize("known", [["old"], ["old", "new"]])
def test_an_attack_across_the_end_of_the_overlap_is_caught_by_the_warmed_space(
    learnt: dict[str, Calibration], known: list[str]
) -> None:
    subject = NearDuplicateMonitor(calibrations=[learnt[name] for name in known])
    events = seen(ROTATED, probes(20), 90)
    assert [event.vec_key_prev is None for event in events] == [False] * 10 + [True] * 10
    assert subject.feed(events[:14]) == []
    restored = NearDuplicateMonitor(calibrations=[learnt[name] for name in known])
    assert restored.restore(thaw(freeze(subject.snapshot()))) == ()
    found = last(restored.feed(events[14:]))
    assert found == last(subject.feed(events[14:]))
    assert [(f.event_count, f.alarm_event) for f in found.values()] == [(20, "e104")]
    borrowed = [f.details.get("calibrated_under") for f in found.values()]
    assert borrowed == [None if "new" in known else learnt["old"].vec_key]


def test_an_attack_within_the_overlap_is_told_once_and_goes_on_under_its_id(learnt: dict[str, Calibration]) -> None:
    subject = NearDuplicateMonitor(calibrations=learnt.values())
    events = seen(ROTATED, probes(40), 70)
    (during,) = subject.feed(events[:30])
    (after,) = subject.feed(events[30:])
    assert (during.finding_id, during.event_count) == (after.finding_id, 30)
    assert after.event_count == 40
    assert subject.stats()["retries"] == 0


def test_honest_traffic_across_a_rotation_raises_nothing(learnt: dict[str, Calibration]) -> None:
    subject = NearDuplicateMonitor(calibrations=learnt.values())
    assert subject.feed(honest(BEFORE) + honest(ROTATED) + honest(WITHOUT)) == []
    assert subject.visibility() == []


def test_an_event_of_a_gateway_that_was_not_rotated_yet_joins_in(learnt: dict[str, Calibration]) -> None:
    subject = NearDuplicateMonitor(calibrations=learnt.values())
    attack = probes(16)
    events = [seen((BEFORE, ROTATED)[n % 2], attack[n : n + 1], 40 + n)[0] for n in range(16)]
    assert [f.event_count for f in subject.feed(events)] == [16]
