"""The cluster monitor: what alarms, what must not, and that batches do not matter."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.monitors.samples import Make, make_events

from threatmatrix.detect.monitors import MONITORS, NearDuplicateMonitor, build_monitor
from threatmatrix.model.detection import Calibration, Finding, Severity
from threatmatrix.model.errors import UnknownNameError, UsageError
from threatmatrix.model.event import Event
from threatmatrix.model.matrix import MonitorSpec

CALIBRATION = Calibration(
    monitor="near-duplicate-clusters",
    model="digits",
    vec_key="k1",
    threshold=0.5,
    quantile=0.001,
    inputs=700,
    distinct=600,
    created=1,
)


def probes(n: int, spread: float = 0.02, seed: int = 0, centre: float = 0.5) -> np.ndarray:
    return centre + np.random.default_rng(seed).normal(0, spread, (n, 64))


def strangers(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 64))


def monitor(**params: float) -> NearDuplicateMonitor:
    return NearDuplicateMonitor(calibrations=[CALIBRATION], **params)


def last(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.finding_id: finding for finding in findings}


def test_the_fifteenth_near_duplicate_alarms_whoever_sent_it(make: Make) -> None:
    names = [f"acct{i}" for i in range(15)]
    subject = monitor()
    events = make(probes(15), names)
    assert subject.feed(events[:14]) == []
    (finding,) = subject.feed(events[14:])
    assert finding.alarm_event == "e14"
    assert finding.event_ids == tuple(f"e{i}" for i in range(15))
    assert (finding.event_count, finding.first_time, finding.last_time) == (15, 0, 14_000_000)
    assert {share.principal for share in finding.principals} == set(names)
    assert finding.technique == "online-evasion"
    assert finding.severity is Severity.high
    assert (finding.system, finding.model) == ("shop", "digits")
    assert finding.details["calibrated_on"] == 600


def test_two_techniques_with_numbers_of_their_own_make_findings_of_their_own(make: Make) -> None:
    loose = replace(CALIBRATION, quantile=0.01, threshold=0.6, created=2)
    both = [CALIBRATION, loose]  # as a file keyed by (monitor, model, vec_key, quantile) holds them
    specs = [("online-evasion", 0.001), ("model-stealing", 0.001), ("model-stealing", 0.01)]
    found = []
    for technique, quantile in specs:
        spec = MonitorSpec(use="near-duplicate-clusters", severity="high", params={"quantile": quantile})
        found += build_monitor(spec, technique, both).feed(make(probes(20)))
    assert len({finding.finding_id for finding in found}) == 3
    assert [finding.details["threshold"] for finding in found] == [0.5, 0.5, 0.6]


def test_an_honest_input_nearby_does_not_date_an_attack_back(make: Make) -> None:
    (finding,) = monitor().feed(make(probes(20), ["honest"] + ["mallory"] * 19))
    assert finding.first_time == 1_000_000
    assert "e0" in finding.event_ids


def test_exact_repeats_are_retries_not_probes(make: Make) -> None:
    events = make(np.repeat(probes(14), 20, axis=0), fingerprints=[f"fp{i // 20}" for i in range(280)])
    subject = monitor()
    assert subject.feed(events) == []
    assert subject.stats()["retries"] == 266


def test_unrelated_inputs_never_cluster(make: Make) -> None:
    subject = monitor()
    assert subject.feed(make(strangers(3000))) == []
    assert subject.stats()["clusters"] == 0


def test_a_finding_grows_under_one_id_once_for_each_feed(make: Make) -> None:
    subject = monitor()
    events = make(probes(63), ["mallory"] * 61 + ["bob", "carol"], step=2_096_775)
    (first,) = subject.feed(events[:20])
    (grown,) = subject.feed(events[20:])
    assert grown.finding_id == first.finding_id
    assert grown.alarm_event == first.alarm_event == "e14"
    assert grown.event_count == 63
    assert grown.confidence > first.confidence
    assert [(s.principal, s.probes) for s in grown.principals] == [("mallory", 61), ("bob", 1), ("carol", 1)]
    assert grown.explanation.startswith(
        "63 near-identical but non-identical inputs to model digits within 2 min 10 s "
        "from 3 accounts (97% from mallory)"
    )
    assert grown.details["probes_per_minute"] == pytest.approx(29.08, abs=0.01)
    assert subject.feed(make(strangers(5), start=900)) == []


def test_event_ids_are_the_thousand_newest(make: Make) -> None:
    (finding,) = monitor().feed(make(probes(2500)))
    assert finding.event_count == 2500
    assert finding.event_ids == tuple(f"e{i}" for i in range(1500, 2500))


def test_a_bridge_merges_two_alarms_into_the_older(make: Make) -> None:
    line = np.zeros((3, 64))
    line[:, 0] = [0.0, 0.4, 0.8]  # the ends are 0.8 apart, the middle 0.4 from both
    jitter = np.random.default_rng(3).normal(0, 0.005, (40, 64))
    subject = monitor()
    left, right = make(line[0] + jitter[:20], "a"), make(line[2] + jitter[20:], "b", start=20)
    findings = subject.feed(left + right)
    assert sorted(f.event_count for f in findings) == [20, 20]
    after = last(subject.feed(make(line[1:2], "c", start=40)))
    kept = next(f for f in after.values() if "merged_into" not in f.details)
    gone = next(f for f in after.values() if "merged_into" in f.details)
    assert gone.details["merged_into"] == kept.finding_id
    assert kept.alarm_event == "e14"
    assert kept.event_count == 41
    assert gone.event_count == 20


def test_inputs_expire_by_event_time(make: Make) -> None:
    slow = make(probes(40), step=10_000_000)
    assert monitor(window_seconds=100).feed(slow) == []
    assert len(monitor(window_seconds=150).feed(slow)) == 1


def test_an_input_is_new_again_once_it_has_expired(make: Make) -> None:
    subject = monitor(window_seconds=10)
    subject.feed(make(probes(2), times=[0, 5_000_000], fingerprints=["x", "x"]))
    assert subject.stats()["retries"] == 1
    subject.feed(make(probes(1), times=[10_000_000], fingerprints=["x"]))
    assert subject.stats()["retries"] == 1


def test_memory_is_bounded_by_max_entries_and_max_states(make: Make) -> None:
    subject = monitor(max_entries=500, max_states=3)
    for tenant in range(6):
        subject.feed(make(strangers(900, seed=tenant), tenant=f"t{tenant}"))
    stats = subject.stats()
    assert stats["states"] == 3
    assert stats["entries"] == 3 * 500
    assert subject.feed(make(probes(600), tenant="t5", start=5000))[0].event_count == 600


def test_tenants_models_and_projections_are_kept_apart(make: Make) -> None:
    events = make(probes(28))
    mixed = [replace(e, tenant="a" if i % 2 else "b") for i, e in enumerate(events)]
    assert monitor().feed(mixed) == []
    assert len(monitor().feed(events)) == 1


def test_late_events_are_taken_in_as_if_they_came_now(make: Make) -> None:
    times = [1_000_000_000, *range(14)]
    (finding,) = monitor(window_seconds=60).feed(make(probes(15), times=times))
    assert (finding.first_time, finding.last_time) == (0, 1_000_000_000)


def stream(seed: int, n: int) -> list[Event]:
    """Clusters that grow, touch and merge among strangers and retries, with times that go back and jump."""
    rng = np.random.default_rng(seed)
    centres = 0.5 + rng.normal(0, 0.06, (4, 64))
    kind = rng.integers(0, 6, n)
    inputs = np.where(kind[:, None] < 4, centres[kind % 4] + rng.normal(0, 0.03, (n, 64)), rng.random((n, 64)))
    times = np.cumsum(rng.integers(-2, 6, n) * 1_000_000).tolist()
    names = [f"p{i}" for i in rng.integers(0, 5, n)]
    repeat = [f"fp{i - int(rng.integers(1, 5))}" if rng.random() < 0.1 else f"fp{i}" for i in range(n)]
    return make_events(inputs, names, times=times, fingerprints=repeat)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    cuts=st.lists(st.integers(0, 500), max_size=8),
    window=st.sampled_from([40, 400, 2000]),
)
def test_batches_do_not_change_the_result(seed: int, cuts: list[int], window: int) -> None:
    events = stream(seed, 500)
    whole = monitor(window_seconds=window, max_entries=350)
    cut = monitor(window_seconds=window, max_entries=350)
    expected = last(whole.feed(events))
    borders = sorted({0, *cuts, 500})
    seen = last([f for a, b in pairwise(borders) for f in cut.feed(events[a:b])])
    assert seen == expected
    assert cut.stats() == whole.stats()


def test_one_by_one_is_the_same_as_all_at_once() -> None:
    events = stream(7, 800)
    whole, single = monitor(max_entries=350), monitor(max_entries=350)
    expected = last(whole.feed(events))
    assert expected
    assert last([f for event in events for f in single.feed([event])]) == expected


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_clusters_equal_a_brute_force_oracle(seed: int) -> None:
    events = [replace(e, input_fp=e.event_id, time=i) for i, e in enumerate(stream(seed, 250))]
    found = sorted(f.event_ids for f in monitor().feed(events) if "merged_into" not in f.details)
    vecs = np.array([np.frombuffer(e.input_vec or b"", np.int8) for e in events], np.int64)
    near = ((vecs[:, None] - vecs[None]) ** 2).sum(axis=2) <= (0.5 * 24) ** 2
    label = np.arange(len(vecs))
    while not np.array_equal(label, spread := np.where(near, label[None, :], len(vecs)).min(axis=1)):
        label = spread
    groups = [np.flatnonzero(label == root) for root in np.unique(label)]
    assert found == sorted(tuple(f"e{i}" for i in group) for group in groups if len(group) >= 15)


def test_blind_without_calibration_or_fields(make: Make) -> None:
    subject = NearDuplicateMonitor()
    events = make(probes(30))
    assert subject.feed(events) == []
    (blind,) = subject.visibility({"inference": set(subject.needs)})
    assert blind.needs == ("calibration",)
    assert "no visibility: needs calibration for model digits, projection k1" in blind.reason
    (blind,) = monitor().visibility({"http": {"principal"}})
    assert blind.needs == NearDuplicateMonitor.needs


def test_a_model_without_vectors_is_blind_beside_one_that_has_them(make: Make) -> None:
    subject = monitor()
    subject.feed([*make(probes(3)), *(replace(e, model="faces", input_vec=None) for e in make(probes(2)))])
    (blind,) = subject.visibility()
    assert blind.needs == ("input_vec",)
    assert "for model faces (none of 2 inputs usable)" in blind.reason


@pytest.mark.parametrize(
    "change",
    [
        {"vec_scale": 0.0},
        {"vec_scale": float("nan")},
        {"input_vec": b""},
        {"input_vec": b"x" * 5000},
        {"input_fp": None},
    ],
)
def test_unusable_vectors_are_skipped(make: Make, change: dict[str, object]) -> None:
    subject = monitor()
    assert subject.feed([replace(e, **change) for e in make(probes(30))]) == []  # type: ignore[arg-type]
    assert subject.stats()["states"] == 0
    assert len(subject.visibility()) == 1


def test_other_categories_are_ignored(make: Make) -> None:
    assert monitor().feed([replace(e, category="http") for e in make(probes(30))]) == []


def test_build_from_the_library() -> None:
    spec = MonitorSpec(use="near-duplicate-clusters", severity="critical", params={"alarm_at": 3})
    built = build_monitor(spec, "evasion-attack", [CALIBRATION])
    (finding,) = built.feed(make_events(probes(3)))
    assert (finding.severity, finding.technique) == (Severity.critical, "evasion-attack")
    assert set(MONITORS) == {"near-duplicate-clusters"}


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (MonitorSpec(use="near-duplicates", severity="high"), UnknownNameError),
        (MonitorSpec(use="near-duplicate-clusters", severity="hot"), UnknownNameError),
        (MonitorSpec(use="near-duplicate-clusters", severity="high", params={"alarm": 3}), UnknownNameError),
        (MonitorSpec(use="near-duplicate-clusters", severity="high", params={"alarm_at": float("nan")}), UsageError),
        (MonitorSpec(use="near-duplicate-clusters", severity="high", params={"alarm_at": 1}), UsageError),
    ],
)
def test_a_wrong_specification_is_refused(spec: MonitorSpec, error: type[Exception]) -> None:
    with pytest.raises(error):
        build_monitor(spec, "online-evasion")
