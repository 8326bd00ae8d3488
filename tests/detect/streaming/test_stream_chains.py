"""Correlations of correlations, what findings tell of them, and things that do not follow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from tests.detect.sigma.rule_makers import SECOND, START
from tests.detect.streaming.stream_makers import SPAN, act, bounds, correlation, parsed, ruleset, told
from tests.detect.streaming.test_stream_kinds import CUTS, EVENTS, cut, made

from threatmatrix.detect.engines.counting.identity import episode_id
from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.sigma.rules import Correlation
from threatmatrix.model.detection import Finding

BURST = correlation("event_count", "a", key="burst", bounds=bounds(gte=3), silent=True)
THEN = correlation("temporal_ordered", ("burst", "b"), key="then", bounds=bounds(gte=2))
OFTEN = correlation("event_count", ("then",), key="often", bounds=bounds(gte=2), timespan=100 * SECOND)


def found(*rules: Correlation, events: list[Any], end: bool = False, **how: Any) -> dict[str, list[Finding]]:
    """Findings by the key of their rule."""
    with RuleEngine(ruleset(*rules), **how) as engine:
        held = told(engine, events, end=end)
    by_rule: dict[str, list[Finding]] = {}
    for finding in sorted(held.values(), key=lambda one: one.first_time):
        by_rule.setdefault(finding.detector.removeprefix("rule:"), []).append(finding)
    return by_rule


def burst(first: int, at: float, **more: Any) -> list[Any]:
    return [act(first + n, at + n, "a", **more) for n in range(3)]


def test_three_levels_fire_one_upon_the_other() -> None:
    events = [*burst(0, 0), act(3, 5, "b"), *burst(10, 40), act(13, 45, "b")]
    rules = found(BURST, THEN, OFTEN, events=events)
    assert set(rules) == {"then", "often"}  # the lowest is silent
    assert [one.event_ids for one in rules["then"]] == [("e00002", "e00003"), ("e00012", "e00013")]
    (often,) = rules["often"]
    assert (often.event_ids, often.alarm_event) == (("e00003", "e00013"), "e00013")


def test_a_finding_tells_its_steps_in_their_order_and_keeps_the_common_id() -> None:
    (finding,) = found(BURST, THEN, events=[*burst(0, 0), act(3, 5, "b")])["then"]
    assert finding.details["steps"] == [
        {"rule": "burst", "title": "Title of burst", "technique": "online-evasion", "event_id": "e00002",
         "time": START + 2 * SECOND},
        {"rule": "b", "title": "b", "technique": "online-evasion", "event_id": "e00003", "time": START + 5 * SECOND},
    ]  # fmt: skip
    assert finding.details["group"] == {"principal": "mallory"}
    assert (finding.details["condition"], finding.details["figure"]) == ({"gte": 2}, 2)
    assert finding.explanation == (
        "Title of then: 2 events by mallory on model digits within 3 s, 2 steps of 2"
        " (the rule asks for at least 2 of 2 steps in order within 10s)."
    )
    assert finding.finding_id == episode_id("rule:then", ["mallory"], START + 2 * SECOND)


def test_values_are_told_with_their_figure() -> None:
    rule = correlation("value_count", "a", bounds=bounds(gte=2), field=("object",))
    (finding,) = found(rule, events=[act(n, n, object=f"o{n}") for n in range(3)])["it"]
    assert ", 2 different object (the rule asks for at least 2 different object within 10s)." in finding.explanation


@pytest.mark.parametrize(("kind", "events"), [("temporal", 3), ("event_count", 1)])
def test_temporal_kinds_take_every_firing_and_others_the_first_of_an_episode(kind: Any, events: int) -> None:
    over = correlation(kind, ("burst",), key="over", bounds=bounds(gte=1))
    (finding,) = found(BURST, over, events=[act(n, n, "a") for n in range(5)])["over"]
    assert finding.event_count == events
    assert finding.first_time == START + 2 * SECOND


def test_an_event_that_is_a_firing_and_matches_a_rule_itself_is_both_and_one_event() -> None:
    both = correlation("temporal", ("burst", "b"), key="both", bounds=bounds(gte=2))
    (finding,) = found(BURST, both, events=[act(0, 0), act(1, 1), act(2, 2, "ab")])["both"]
    assert (finding.event_count, [step["rule"] for step in finding.details["steps"]]) == (1, ["burst", "b"])
    late = [act(0, 0), act(2, 2, "ab"), act(1, 1)]  # the burst is known after its last event has been counted for b
    (finding,) = found(BURST, both, events=late)["both"]
    assert (finding.event_ids, finding.event_count) == (("e00002",), 1)
    once = correlation("event_count", ("burst", "b"), key="once", bounds=bounds(gte=2))
    assert "once" not in found(BURST, once, events=late)


def test_an_alias_joins_different_fields_across_a_chain() -> None:
    aliases = (("who", (("burst", "principal"), ("b", "object"))),)
    rule = correlation(
        "temporal_ordered", ("burst", "b"), key="it", bounds=bounds(gte=2), group_by=("who",), aliases=aliases
    )
    events = [*burst(0, 0, principal="eve"), act(3, 4, "b", "admin", object="eve"), act(4, 5, "b", "eve")]
    (finding,) = found(BURST, rule, events=events)["it"]
    assert (finding.event_ids, finding.details["group"]) == (("e00002", "e00003"), {"who": "eve"})


def test_the_names_of_a_group_are_what_a_firing_tells() -> None:
    aliases = (("who", (("a", "principal"), ("b", "object"))),)
    inner = correlation("temporal", "ab", key="inner", bounds=bounds(gte=2), group_by=("who",), aliases=aliases)
    over = correlation("value_count", ("inner",), key="over", bounds=bounds(gte=2), field=("who",), group_by=("model",))
    free = correlation("value_count", ("inner",), key="over", bounds=bounds(gte=2), field=("who",), group_by=())
    events = [act(0, 0, "a", "eve"), act(1, 1, "b", object="eve"), act(2, 2, "a", "bob"), act(3, 3, "b", object="bob")]
    (finding,) = found(inner, free, events=events)["over"]
    assert (finding.event_ids, finding.details["figure"]) == (("e00001", "e00003"), 2)
    assert "over" not in found(inner, over, events=events)  # a firing has no model: it is blind


def test_a_field_that_has_another_name_in_one_rule_is_summed_with_the_others() -> None:
    aliases = (("tokens", (("a", "tokens_in"), ("b", "tokens_out"))),)
    rule = correlation("value_sum", "ab", bounds=bounds(gte=10), field=("tokens",), aliases=aliases)
    events = [act(0, 0, "a", tokens_in=4, tokens_out=100), act(1, 1, "b", tokens_in=100, tokens_out=5)]
    assert found(rule, events=events) == {}
    (finding,) = found(rule, events=[*events, act(2, 2, "ab", tokens_in=1, tokens_out=2)])["it"]
    assert finding.details["figure"] == 12


# What does not follow

NOT_B = correlation("temporal", "ab", key="not_b", expression=parsed("and a not b"))


def passing(until: int) -> list[Any]:
    return [act(100 + at, at, "-") for at in range(5, until, 5)]


def test_what_did_not_follow_is_told_when_window_and_allowance_have_passed_on_the_clock_of_all_events() -> None:
    assert found(NOT_B, events=[act(0, 0), *passing(21)]) == {}
    (finding,) = found(NOT_B, events=[act(0, 0), *passing(26)])["not_b"]
    assert (finding.event_ids, finding.alarm_event, finding.first_time) == (("e00000",), "e00000", START)
    assert found(NOT_B, events=[act(0, 0), *passing(55)], lateness=40 * SECOND) == {}
    assert found(NOT_B, events=[act(0, 0), *passing(60)], lateness=40 * SECOND) != {}


def test_what_follows_late_but_within_the_allowance_counts() -> None:
    assert found(NOT_B, events=[act(0, 0), *passing(20), act(1, 10, "b"), *passing(60)]) == {}
    assert found(NOT_B, events=[act(0, 0), *passing(20), act(1, 10.1, "b"), *passing(60)]) != {}


def test_where_the_events_end_only_what_has_passed_is_judged() -> None:
    events = [act(0, 0), act(1, 7), act(2, 10.5, "-")]
    assert found(NOT_B, events=events) == {}
    (finding,) = found(NOT_B, events=events, end=True)["not_b"]
    assert finding.event_ids == ("e00000",)


def test_what_did_not_follow_can_be_a_step_of_a_chain() -> None:
    over = correlation("temporal_ordered", ("not_b", "c"), key="over", bounds=bounds(gte=2))
    events = [act(0, 0), *passing(8), act(1, 8, "c"), *passing(60)]
    (finding,) = found(NOT_B, over, events=events)["over"]
    assert finding.event_ids == ("e00000", "e00001")
    held = found(NOT_B, over, events=[*events[:3], act(2, 10.1, "-")], end=True)
    assert [one.event_ids for one in held["over"]] == [("e00000", "e00001")]


CHAIN = (
    BURST,
    THEN,
    OFTEN,
    NOT_B,
    correlation("value_count", ("then", "c"), key="accounts", bounds=bounds(gte=2), field=("principal",)),
    correlation("temporal", ("not_b", "then", "d"), key="last", bounds=bounds(gte=2), timespan=4 * SPAN * SECOND),
)


@settings(max_examples=12, deadline=None)
@given(drawn=EVENTS, cuts=CUTS)
def test_chains_do_not_depend_on_batches_even_where_events_come_late(drawn: list[Any], cuts: list[int]) -> None:
    arrived = [one for one, _ in sorted(made(drawn, ties=True), key=lambda pair: pair[0].time + pair[1] * SECOND)]
    with RuleEngine(ruleset(*CHAIN)) as one, RuleEngine(ruleset(*CHAIN)) as other:
        assert told(one, *cut(arrived, cuts), end=True) == told(other, arrived, end=True)


# Events that gain fields


def test_a_revised_event_counts_for_the_rules_that_it_matches_only_now_and_is_one_event() -> None:
    both = correlation("temporal", "ab", key="both", bounds=bounds(gte=2))
    with RuleEngine(ruleset(both)) as engine:
        assert engine.feed([act(0, 0, "a"), act(1, 1, None)]) == []
        pairs = [(act(0, 0, "a"), act(0, 0, "ab"))]
        (finding,) = engine.feed([], revised=pairs)
        assert (finding.event_ids, finding.event_count) == (("e00000",), 1)
        (finding,) = engine.feed([], revised=[(act(1, 1, None), act(1, 1, "b"))])
        assert finding.event_count == 2


def test_a_value_that_came_late_is_counted_once() -> None:
    rule = correlation("value_sum", "a", bounds=bounds(gte=5), field=("tokens_in",))
    with RuleEngine(ruleset(rule)) as engine:
        assert engine.feed([act(0, 0), act(1, 1, tokens_in=2)]) == []
        (finding,) = engine.feed([], revised=[(act(0, 0), act(0, 0, tokens_in=3))])
        assert (finding.event_count, finding.details["figure"]) == (2, 5)
        assert engine.feed([], revised=[(act(0, 0, tokens_in=3), act(0, 0, tokens_in=3, status=200))]) == []
