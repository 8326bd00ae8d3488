"""Sliding counts: against examples, against a brute-force oracle, and the same in one batch as in many."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.sigma.rule_makers import SECOND, START, compiled, count, event, feed, selection, source

from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.sigma.compile import RuleSet, compile_rules
from threatmatrix.detect.sql.correlations import episodes
from threatmatrix.model.detection import Finding
from threatmatrix.model.event import Event

BASE = {**selection(**{"user_agent|startswith": "python"}), "name": "base"}


def counting(minimum: int, timespan: str = "10s", **more: Any) -> RuleSet:
    return compiled(BASE, count(minimum, timespan, **more))


def probe(number: int, at: float, principal: str | None = "mallory", **more: Any) -> Event:
    return event(number, at=at, principal=principal, user_agent="python-requests/2", **more)


def test_the_window_slides_and_includes_both_ends() -> None:
    # 8 s and 18 s lie in different tumbling windows of 10 s.
    held = feed(counting(3), [probe(0, 8), probe(1, 12), probe(2, 18)])
    (finding,) = held.values()
    assert finding.event_count == 3
    assert finding.alarm_event == "e00002"
    assert not feed(counting(3), [probe(0, 8), probe(1, 12), probe(2, 18.000001)])


@pytest.mark.parametrize(
    ("condition", "events", "fires"), [({"gte": 3}, 3, True), ({"gt": 3}, 3, False), ({"gt": 3}, 4, True)]
)
def test_gte_and_gt(condition: dict[str, int], events: int, fires: bool) -> None:
    assert bool(feed(counting(1, condition=condition), [probe(n, n) for n in range(events)])) is fires


def test_an_episode_grows_under_one_id_and_a_pause_begins_another() -> None:
    ruleset = counting(3)
    first = feed(ruleset, [probe(n, n) for n in range(3)])
    longer = [probe(n, n) for n in range(12)] + [probe(20 + n, 40 + n) for n in range(3)]
    both = feed(ruleset, longer)
    assert set(first) < set(both)
    assert sorted(finding.event_count for finding in both.values()) == [3, 12]


def test_groups_are_counted_apart_and_absent_values_not_at_all() -> None:
    events = [probe(n, n / 10, principal=("a", "b", None)[n % 3]) for n in range(9)]
    held = feed(counting(3), events)
    assert sorted(finding.principals[0].principal for finding in held.values()) == ["a", "b"]
    assert not feed(counting(4), events)
    (together,) = feed(counting(9, group_by=[]), events).values()
    assert [(share.principal, share.probes) for share in together.principals] == [("a", 3), ("b", 3)]
    assert together.principals[0].share == pytest.approx(1 / 3)


def test_a_correlation_silences_its_rules_unless_it_generates() -> None:
    events = [probe(n, n) for n in range(3)]
    assert {f.title for f in feed(counting(3), events).values()} == {"Many"}
    assert {f.title for f in feed(counting(3, generate=True), events).values()} == {"Many", "A rule"}
    top = compiled(BASE, {**count(3), "generate": True})
    assert {f.title for f in feed(top, events).values()} == {"Many", "A rule"}


def test_an_event_that_matches_two_counted_rules_counts_once() -> None:
    other = {**selection(model="digits"), "title": "Another", "name": "other"}
    ruleset = compiled(BASE, other, count(3, rules=["base", "other"]))
    assert not feed(ruleset, [probe(0, 0), probe(1, 1)])
    (finding,) = feed(ruleset, [probe(0, 0), probe(1, 1), event(2, at=2, principal="mallory")]).values()
    assert finding.event_count == 3


def test_rules_are_found_across_files_by_name_and_id() -> None:
    identity = "0a4b7f0c-9d35-4e0a-8f3c-2b1f4d6e7a90"
    base = source({**BASE, "id": identity}, file="base.yml", technique="execution-via-api")
    for reference in ("base", identity, identity.upper()):
        sources = [source(count(2, rules=[reference]), file="many.yml"), base]
        (finding,) = feed(compile_rules(sources, strict=True), [probe(0, 0), probe(1, 1)]).values()
        assert finding.technique == "online-evasion"


def test_the_newest_thousand_events_are_named_and_all_are_counted() -> None:
    (finding,) = feed(counting(3), [probe(n, n / 1000) for n in range(2500)]).values()
    assert finding.event_count == 2500
    assert len(finding.event_ids) == 1000
    assert finding.event_ids[-1] == "e02499"
    assert finding.first_time == START


def test_a_finding_explains_itself() -> None:
    described = {**count(3, "1m"), "description": "Somebody tries and\n tries. And more.", "level": "high"}
    ruleset = compiled(BASE, described)
    (finding,) = feed(ruleset, [probe(n, n) for n in range(4)]).values()
    assert finding.explanation == (
        "Somebody tries and tries: 4 events by mallory on model digits within 3 s"
        " (the rule asks for at least 3 events within 1m)."
    )
    assert (finding.severity.name, finding.confidence, finding.system) == ("high", 0.7, "reader")
    assert finding.details["group"] == {"principal": "mallory"}


def test_a_late_event_completes_a_count() -> None:
    held = feed(counting(3), [probe(0, 0), probe(2, 8)], [probe(9, 9, principal="other")], [probe(1, 4)])
    (finding,) = held.values()
    assert finding.alarm_event == "e00002"
    assert finding.event_count == 3


def test_a_late_event_joins_two_episodes_and_says_so() -> None:
    early, late = [probe(n, n) for n in range(3)], [probe(10 + n, 21 + n) for n in range(3)]
    held = feed(counting(3, "12s"), [*early, *late], [probe(5, 11)], lateness=60 * SECOND)
    merged = [finding for finding in held.values() if "merged_into" in finding.details]
    (kept,) = [finding for finding in held.values() if finding not in merged]
    assert kept.event_count == 7
    assert [finding.details["merged_into"] for finding in merged] == [kept.finding_id]


def test_an_older_file_after_a_newer_one_is_still_counted() -> None:
    day = 86_400
    held = feed(counting(3), [probe(n, day + n) for n in range(3)], *([probe(10 + n, n)] for n in range(3)))
    assert sorted(finding.first_time for finding in held.values()) == [START, START + day * SECOND]


def test_memory_does_not_grow_with_time() -> None:
    with RuleEngine(counting(50, "10s")) as engine:
        for number in range(120):
            engine.feed([probe(number, number * 5, principal=f"p{number}")])
        (_, counts) = engine._episodes[0]
        assert len(counts._groups) < 20


# The oracle: for every event, how many of its group lie in the timespan before it; no windows, no SQL.


def expected_episodes(events: list[Event], minimum: int, span: int) -> list[dict[str, Any]]:
    groups: defaultdict[str, list[Event]] = defaultdict(list)
    for one in events:
        if one.principal is not None:
            groups[one.principal].append(one)
    found = []
    for principal, members in groups.items():
        members.sort(key=lambda one: (one.time, one.event_id))
        fired = []
        for index, one in enumerate(members):
            before = [other for other in members[: index + 1] if other.time >= one.time - span]
            if len(before) >= minimum:
                fired.append((one, before))
        runs: list[list[tuple[Event, list[Event]]]] = []
        for hit in fired:
            if runs and hit[0].time - runs[-1][-1][0].time <= span:
                runs[-1].append(hit)
            else:
                runs.append([hit])
        for run in runs:
            start, end = run[0][1][-minimum].time, run[-1][0].time
            inside = [one.event_id for one in members if start <= one.time <= end]
            found.append(
                {"who": principal, "ids": tuple(inside), "alarm": run[0][0].event_id, "start": start, "end": end}
            )
    return sorted(found, key=lambda episode: (episode["who"], episode["start"]))


def as_found(held: dict[str, Finding]) -> list[dict[str, Any]]:
    kept = [finding for finding in held.values() if "merged_into" not in finding.details]
    for finding in kept:
        assert finding.event_count == len(finding.event_ids)
        assert finding.principals[0].probes == finding.event_count
    found = [
        {
            "who": finding.details["group"]["principal"],
            "ids": finding.event_ids,
            "alarm": finding.alarm_event,
            "start": finding.first_time,
            "end": finding.last_time,
        }
        for finding in kept
    ]
    return sorted(found, key=lambda episode: (episode["who"], episode["start"]))


DATABASE = duckdb.connect()
SPAN = 10  # seconds
DISORDER = 70 * SECOND  # of the probes below
PROBES = st.lists(
    st.tuples(st.integers(0, 70), st.sampled_from(["a", "b", None]), st.integers(0, SPAN)), min_size=1, max_size=40
).map(lambda drawn: [(probe(n, at, principal=who), late) for n, (at, who, late) in enumerate(drawn)])


def cut(events: list[Event], cuts: list[int]) -> list[list[Event]]:
    places = sorted({min(place, len(events)) for place in cuts})
    edges = [0, *places, len(events)]
    return [events[begin:end] for begin, end in pairwise(edges)]


@settings(max_examples=35, deadline=None)
@given(probes=PROBES, minimum=st.integers(1, 6), cuts=st.lists(st.integers(0, 40), max_size=8))
def test_counts_agree_with_an_oracle_and_do_not_depend_on_batches(
    probes: list[tuple[Event, int]], minimum: int, cuts: list[int]
) -> None:
    ruleset = counting(minimum, f"{SPAN}s")
    events = [one for one, _ in probes]
    whole = feed(ruleset, events, lateness=DISORDER)
    assert as_found(whole) == expected_episodes(events, minimum, SPAN * SECOND)
    assert feed(ruleset, *cut(events, cuts), lateness=DISORDER) == whole
    in_order = sorted(events, key=lambda one: one.time)
    assert as_found(feed(ruleset, *cut(in_order, cuts))) == as_found(whole)


@settings(max_examples=20, deadline=None)
@given(probes=PROBES, minimum=st.integers(1, 6))
def test_a_stream_and_a_table_at_rest_are_counted_the_same(probes: list[tuple[Event, int]], minimum: int) -> None:
    ruleset = counting(minimum, f"{SPAN}s")
    grouped = [one for one, _ in probes if one.principal is not None]
    columns = {"event": np.arange(len(grouped)), "slot": np.zeros(len(grouped), np.int32)}
    columns |= {"time": np.array([one.time for one in grouped], np.int64)}
    columns |= {"g0": np.array([one.principal for one in grouped], object)}
    with DATABASE.cursor() as con:
        con.register("hot", columns)
        told = con.execute(episodes(ruleset.correlations[0], "hot")).fetchall() if grouped else []
    held = as_found(feed(ruleset, [one for one, _ in probes], lateness=DISORDER))
    assert sorted((who, started, last) for who, started, _, last, _, _ in told) == [
        (found["who"], found["start"], found["end"]) for found in held
    ]


@settings(max_examples=35, deadline=None)
@given(probes=PROBES, minimum=st.integers(1, 6), cuts=st.lists(st.integers(0, 40), max_size=8))
def test_events_late_by_up_to_a_timespan_change_nothing_but_the_id(
    probes: list[tuple[Event, int]], minimum: int, cuts: list[int]
) -> None:
    arrived = [one for one, _ in sorted(probes, key=lambda pair: pair[0].time + pair[1] * SECOND)]
    held = feed(counting(minimum, f"{SPAN}s"), *cut(arrived, cuts))
    assert as_found(held) == expected_episodes([one for one, _ in probes], minimum, SPAN * SECOND)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(14)), cuts=st.lists(st.integers(0, 14), max_size=5))
def test_findings_of_a_plain_rule_do_not_depend_on_order_or_batches(order: list[int], cuts: list[int]) -> None:
    ruleset = compiled(BASE)
    events = [probe(n, n * 900, principal="ab"[n % 2], model=("m", None)[n % 3 == 0]) for n in range(14)]
    shuffled = [events[index] for index in order]
    # In order, ids are the same in every portion; the id of an event that came late depends on which was first to come.
    assert feed(ruleset, *cut(events, cuts)) == feed(ruleset, events)
    found, expected = feed(ruleset, *cut(shuffled, cuts)), feed(ruleset, events)
    assert bare(found.values()) == bare(expected.values())


def bare(findings: Iterable[Finding]) -> list[Finding]:
    return sorted((dataclasses.replace(f, finding_id="") for f in findings), key=lambda f: f.event_ids)


def test_a_later_run_of_detection_over_the_same_hour_makes_findings_of_its_own() -> None:
    first, second = feed(compiled(BASE), [probe(0, 0)]), feed(compiled(BASE), [probe(9, 1800)])
    assert set(first).isdisjoint(second)


def test_a_growing_count_stays_on_the_model_of_its_first_event() -> None:
    ruleset = counting(3)
    events = [probe(n, n, model="m1" if n < 4 else "m2") for n in range(12)]
    (finding,) = feed(ruleset, events[:4], events[4:]).values()
    assert (finding.model, finding.event_count) == ("m1", 12)
    assert finding.details["models"] == ["m1", "m2"]


def test_a_thousand_matches_within_an_hour_are_one_finding() -> None:
    events = [probe(n, n) for n in range(1000)]
    (finding,) = feed(compiled(BASE), events).values()
    assert finding.event_count == 1000
    assert finding.alarm_event == "e00000"
    assert len(feed(compiled(BASE), [*events, probe(1000, 3600)])) == 2
    assert dataclasses.replace(finding) == finding


def test_engines_of_one_process_do_not_see_each_others_events() -> None:
    with RuleEngine(compiled(BASE)) as one, RuleEngine(counting(2)) as other:
        assert len(one.feed([probe(0, 0)])) == 1
        assert other.feed([probe(1, 1)]) == []
        assert one.feed([event(2, user_agent="curl/8")]) == []
        assert len(other.feed([probe(3, 2)])) == 1
    with RuleEngine(compiled(BASE)) as later:
        assert len(later.feed([probe(4, 4)])) == 1
