"""Every kind of correlation over a stream: against the oracle, however the stream is cut, late or in order."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.sigma.rule_makers import SECOND
from tests.detect.streaming.stream_makers import SPAN, act, bounds, correlation, expected, parsed, run, seen

from threatmatrix.detect.sigma.rules import Correlation
from threatmatrix.model.event import Event

RISING = {  # more events never undo it
    "at least 3": correlation("event_count", "ab", bounds=bounds(gte=3)),
    "values": correlation("value_count", "ab", bounds=bounds(gt=2), field=("object",)),
    "combinations": correlation("value_count", "ab", bounds=bounds(gte=3), field=("object", "status")),
    "sum": correlation("value_sum", "a", bounds=bounds(gte=9), field=("tokens_in",)),
    "rules": correlation("temporal", "abc", bounds=bounds(gte=3)),
    "two rules of three": correlation("temporal", "abc", bounds=bounds(gte=2)),
    "expression": correlation("temporal", "abcd", expression=parsed("and or a b or c d")),
    "order": correlation("temporal_ordered", "abc", bounds=bounds(gte=3)),
}
FALLING = {
    "few": correlation("event_count", "ab", bounds=bounds(lte=2)),
    "a range": correlation("event_count", "ab", bounds=bounds(gte=2, lt=4)),
    "other than": correlation("event_count", "ab", bounds=bounds(neq=1)),
    "few values": correlation("value_count", "abc", bounds=bounds(eq=2), field=("object",)),
    "mean": correlation("value_avg", "ab", bounds=bounds(gt=2.5), field=("tokens_in",)),
    "mean of DOUBLE": correlation("value_avg", "ab", bounds=bounds(gte=2.5), field=("latency_ms",)),
    "median": correlation("value_median", "ab", bounds=bounds(gte=2.5), field=("tokens_in",)),
    "percentile": correlation("value_percentile", "ab", bounds=bounds(lt=3), field=("tokens_in",), percentile=90.0),
    "exactly two rules": correlation("temporal", "abc", bounds=bounds(eq=2)),
    "two steps of four": correlation("temporal_ordered", "abcd", bounds=bounds(gte=2, lte=3)),
    "expression in order": correlation("temporal_ordered", "abcd", expression=parsed("and a or b and c d")),
}
WAITING = {
    "no b": correlation("temporal", "ab", expression=parsed("and a not b")),
    "either, no c": correlation("temporal", "abc", expression=parsed("and or a b not c")),
    "a then b, no c": correlation("temporal_ordered", "abc", expression=parsed("and and a b not c")),
}
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.sampled_from(["a", "b", "c", "d", "ab", "bc", "-"]),
        st.sampled_from(["mallory", "mallory", "eve", None]),
        st.sampled_from([None, "x", "y", "z"]),
        st.sampled_from([None, 0, 1, 3, 5]),
        st.integers(0, SPAN),
    ),
    min_size=1,
    max_size=22,
)
CUTS = st.lists(st.integers(0, 22), max_size=5)


def made(drawn: list[tuple[Any, ...]], *, ties: bool) -> list[tuple[Event, int]]:
    """(event, by how many seconds it comes late), in order of time."""
    found = []
    for number, (at, operation, who, value, tokens, late) in enumerate(sorted(drawn, key=lambda one: one[0])):
        more = {
            "object": value,
            "status": tokens,
            "tokens_in": tokens,
            "latency_ms": None if tokens is None else tokens / 2,
        }
        found.append((act(number, at + (0 if ties else number / 100), operation, who, **more), late))
    return found


def cut(events: list[Event], cuts: list[int]) -> list[list[Event]]:
    edges = sorted({0, *(min(place, len(events)) for place in cuts), len(events)})
    return [events[begin:end] for begin, end in pairwise(edges)]


@pytest.mark.parametrize("rule", RISING.values(), ids=RISING)
@settings(max_examples=7, deadline=None)
@given(drawn=EVENTS, cuts=CUTS)
def test_what_only_rises_agrees_with_the_oracle_in_any_portions(
    rule: Correlation, drawn: list[tuple[Any, ...]], cuts: list[int]
) -> None:
    events = [one for one, _ in made(drawn, ties=True)]
    whole = run(rule, events)
    assert seen(whole) == expected(rule, events)
    assert run(rule, *cut(events, cuts)) == whole


@pytest.mark.parametrize("rule", FALLING.values(), ids=FALLING)
@settings(max_examples=7, deadline=None)
@given(drawn=EVENTS, cuts=CUTS)
def test_what_may_fall_again_agrees_with_the_oracle_in_order(
    rule: Correlation, drawn: list[tuple[Any, ...]], cuts: list[int]
) -> None:
    events = [one for one, _ in made(drawn, ties=False)]
    whole = run(rule, events)
    assert seen(whole) == expected(rule, events)
    assert run(rule, *cut(events, cuts)) == whole


@pytest.mark.parametrize("rule", WAITING.values(), ids=WAITING)
@settings(max_examples=12, deadline=None)
@given(drawn=EVENTS, cuts=CUTS)
def test_what_does_not_follow_agrees_with_the_oracle(
    rule: Correlation, drawn: list[tuple[Any, ...]], cuts: list[int]
) -> None:
    events = [one for one, _ in made(drawn, ties=True)]
    whole = run(rule, events, end=True)
    assert seen(whole) == expected(rule, events)
    assert run(rule, *cut(events, cuts), end=True) == whole
    after = [act(90 + number, 90 + number, "-") for number in range(8)]  # so many make a pause believed
    assert seen(run(rule, [*events, *after])) == expected(rule, [*events, *after])


@pytest.mark.parametrize("name", [*RISING, *WAITING])
@settings(max_examples=7, deadline=None)
@given(drawn=EVENTS, cuts=CUTS)
def test_events_late_by_up_to_a_timespan_change_nothing(
    name: str, drawn: list[tuple[Any, ...]], cuts: list[int]
) -> None:
    rule = {**RISING, **WAITING}[name]
    events = made(drawn, ties=False)
    arrived = [one for one, _ in sorted(events, key=lambda pair: pair[0].time + pair[1] * SECOND)]
    held = run(rule, *cut(arrived, cuts), end=True)
    found, wanted = seen(held), expected(rule, arrived)
    if name == "order":  # a start that came late is passed on, but what was told of the one before stays told
        assert [(one.who, one.last) for one in found] == [(one.who, one.last) for one in wanted]
    elif rule.kind.startswith("temporal") or rule.kind == "event_count":
        assert found == wanted
    else:  # the figure is the one of the first firing, as it stood then
        assert [replace(one, figure=0) for one in found] == [replace(one, figure=0) for one in wanted]
