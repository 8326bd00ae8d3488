"""What a session counts once, and what hostile times, ids and names can and cannot do to its memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.detect.monitors.samples import make_events
from tests.detect.sigma.rule_makers import SECOND, START, compiled, count, event, selection

from threatmatrix.detect.clock import CONFIRMATIONS, Clock
from threatmatrix.detect.engines.counting import groups
from threatmatrix.detect.engines.counting.evidence import MAX_COUNTED, Evidence, Row
from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.monitors import NearDuplicateMonitor
from threatmatrix.detect.repeats import Repeats
from threatmatrix.detect.session import Session
from threatmatrix.detect.visibility import sight
from threatmatrix.model.detection import Calibration, Finding
from threatmatrix.model.event import Event

BASE = {**selection(**{"user_agent|startswith": "python"}), "name": "base"}
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
YEAR_2099 = 4_070_908_800 - START // SECOND  # seconds after START


def probe(number: int, at: float, **more: object) -> Event:
    return event(number, at=at, **{"principal": "mallory", "user_agent": "python-requests/2", **more})


def counting(minimum: int, timespan: str = "10s", *, generate: bool = False, **more: object) -> RuleEngine:
    return RuleEngine(compiled(BASE, count(minimum, timespan, generate=generate, **more)))


def near(n: int, **more: object) -> list[Event]:
    return make_events(0.5 + np.random.default_rng(0).normal(0, 0.02, (n, 64)), **more)  # type: ignore[arg-type]


# Revised events


def test_a_field_that_came_late_is_judged_then_and_counted_once() -> None:
    subject = Session(counting(3, generate=True))
    befores = [probe(n, n, user_agent=None) for n in range(3)]
    assert subject.feed(befores) == []
    afters = [replace(each, user_agent="python/3") for each in befores]
    found = {f.title: f for f in subject.feed([], revised=list(zip(befores, afters, strict=True)))}
    assert {title: f.event_count for title, f in found.items()} == {"Many": 3, "A rule": 3}
    richer = [replace(each, status=200) for each in afters]
    assert subject.feed([], revised=list(zip(afters, richer, strict=True))) == []


def test_an_event_that_could_not_be_grouped_is_counted_once_its_group_is_known() -> None:
    subject = Session(counting(3))
    befores = [probe(n, n, principal=None) for n in range(3)]
    assert subject.feed(befores) == []
    pairs = [(each, replace(each, principal="mallory")) for each in befores]
    assert subject.feed([], revised=pairs[:2]) == []
    (finding,) = subject.feed([], revised=pairs[2:])
    assert finding.event_count == 3
    assert subject.feed([], revised=pairs) == []


def test_an_input_that_came_late_reaches_the_monitor_once() -> None:
    subject = Session(None, [NearDuplicateMonitor(calibrations=[CALIBRATION])])
    events = near(15)
    bare = [replace(each, input_vec=None) for each in events]
    assert subject.feed(bare) == []
    (finding,) = subject.feed([], revised=list(zip(bare, events, strict=True)))
    assert finding.event_count == 15
    again = [(each, replace(each, status=200, input_fp=f"other {each.input_fp}")) for each in events]
    assert subject.feed([], revised=again) == []


# Repeats


def test_the_same_record_twice_counts_once_and_the_same_id_with_other_contents_twice() -> None:
    subject = Session(counting(4))
    events = [probe(n, n) for n in range(3)]
    assert subject.feed([*events, *events]) == []
    assert subject.feed(events) == []
    assert (subject.events, subject.repeats) == (9, 6)
    (finding,) = subject.feed([replace(events[2], src_ip="192.0.2.9")])
    assert finding.event_count == 4


def test_repeats_are_known_for_a_generation_and_forgotten_after_two() -> None:
    known = Repeats(generation=10)
    events = [probe(n, n) for n in range(40)]
    assert known.fresh(events) == events
    assert known.fresh(events[-10:]) == []
    assert known.fresh(events[:10]) == events[:10]


# Times


def test_one_time_far_ahead_moves_no_clock() -> None:
    clock = Clock(100)
    assert [clock.tick(time) for time in (0, 50, 10**9, 60)] == [0, 50, 150, 60]
    assert clock.elapsed == 60


def test_a_pause_is_believed_once_events_go_on_after_it() -> None:
    clock = Clock(100)
    clock.tick(0)
    stamps = [clock.tick(1000 + n) for n in range(CONFIRMATIONS + 5)]
    assert set(stamps[:CONFIRMATIONS]) == {100}  # what came meanwhile outlives the leap itself
    assert stamps[-1] == clock.elapsed == 104 + CONFIRMATIONS - 1 + 1 - CONFIRMATIONS + CONFIRMATIONS


@pytest.mark.parametrize("lie", [YEAR_2099, -(START // SECOND)])
def test_false_times_between_do_not_hide_a_count(lie: float) -> None:
    engine = counting(5)
    found: list[Finding] = []
    for number in range(5):
        found += engine.feed([probe(100 + number, lie + 1000 * number, principal="liar")])
        found += engine.feed([probe(number, number)])
    assert [f.principals[0].principal for f in found] == ["mallory"]


def test_one_false_time_does_not_make_a_monitor_forget() -> None:
    subject = NearDuplicateMonitor(calibrations=[CALIBRATION], window_seconds=60)
    events = near(15)
    liar = make_events(np.zeros((1, 64)), times=[10**15], start=99)
    assert len(subject.feed([*events[:10], *liar, *events[10:]])) == 1


def test_an_older_file_is_counted_however_long_it_is() -> None:
    engine = counting(3)
    engine.feed([probe(n, 86_400 + n, principal="honest") for n in range(2)])
    found = [f for n in range(100) for f in engine.feed([probe(10 + n, n * 60 + k, principal="p") for k in range(3)])]
    assert len({f.finding_id for f in found}) == 100


# Numbers


def test_a_flood_of_one_group_takes_nothing_from_a_quiet_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "LEAST_CAP", 50)
    monkeypatch.setattr(groups, "MAX_HOT", 100)
    engine = counting(3, "1h")
    found: list[Finding] = []
    for n in range(3):
        found += engine.feed([probe(n, n)])
        found += engine.feed([probe(1000 * (n + 1) + k, n + k / 1000, principal="flood") for k in range(500)])
    assert {share.principal for f in found for share in f.principals} == {"mallory", "flood"}
    assert engine._episodes[0][1].rows <= 53


def test_rows_groups_and_episodes_are_bounded_whatever_ids_and_times_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MAX_HOT", 200)
    rng = np.random.default_rng(1)
    engine = counting(1, "1h")
    for n in range(20):
        at = rng.integers(-(10**9), 10**9, 100).tolist()
        engine.feed([probe(n, at[k], principal=f"p{n}-{k}" if k % 2 else "one") for k in range(100)])
    counts = engine._episodes[0][1]
    assert counts.rows == sum(len(group.rows) for group in counts._groups.values()) <= 200
    assert len(counts._open) == sum(len(group.episodes) for group in counts._groups.values()) <= 2000


def test_names_are_counted_apart_up_to_a_bound() -> None:
    rows = [Row(n, 0, f"e{n}", f"p{n}", "s", "m") for n in range(MAX_COUNTED + 500)]
    evidence = Evidence.of(rows)
    evidence.settle()
    assert (evidence.count, len(evidence.principals)) == (MAX_COUNTED + 500, MAX_COUNTED)


# What can be seen


def test_the_visible_and_the_blind_stand_in_one_list() -> None:
    subject = Session(counting(3, generate=True), [NearDuplicateMonitor(), NearDuplicateMonitor(technique="a")])
    seen = {"inference": {"user_agent", *NearDuplicateMonitor.needs} - {"principal"}}
    found = {(one.technique, one.detector): one for one in sight([subject], seen)}
    assert found["online-evasion", "rule:base"].visible
    assert found["online-evasion", "rule:Many"].missing == ("principal",)
    assert found["online-evasion", "rule:Many"].needs == ("events of category inference", "principal", "user_agent")
    monitor = found["a", "monitor:near-duplicate-clusters"]
    assert (monitor.missing, monitor.needs[-1]) == (("principal",), "calibration")
    uncalibrated = subject.sight({"inference": {"user_agent", *NearDuplicateMonitor.needs}})
    assert [one.missing for one in uncalibrated if not one.visible] == [("calibration",)] * 2
    assert {one.missing for one in subject.sight({})} == {("events of category inference",)}
    blind = {(each.detector, each.needs) for each in Session(counting(3)).visibility()}
    assert blind == {("rule:Many", ("events of category inference",))}
