"""What hostile numbers, times, names and values can and cannot do to the memory of each kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.detect.streaming.stream_makers import act, bounds, correlation, parsed, ruleset
from tests.detect.streaming.test_stream_kinds import FALLING, RISING, WAITING

from threatmatrix.detect.engines.counting import groups
from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.engines.judging import choosing
from threatmatrix.detect.sigma.rules import Correlation
from threatmatrix.model.event import Event

EVERY = {**RISING, **FALLING, **WAITING}


def fed(rule: Correlation, events: list[Event]) -> tuple[RuleEngine, list[Any]]:
    engine = RuleEngine(ruleset(rule))
    found = [finding for at in range(0, len(events), 500) for finding in engine.feed(events[at : at + 500])]
    return engine, found


def noise(n: int) -> list[Event]:
    """Many groups, one crowded one, and times from everywhere."""
    rng = np.random.default_rng(1)
    at, kind = rng.integers(-(10**8), 10**8, n).tolist(), rng.integers(0, 4, n).tolist()
    return [
        act(i, at[i] if i % 3 else i / 10, "abcd"[kind[i]], f"p{i}" if i % 2 else "one", object=f"o{i}", tokens_in=i,
            status=1, latency_ms=0.1)
        for i in range(n)
    ]  # fmt: skip


@pytest.mark.parametrize("rule", EVERY.values(), ids=EVERY)
def test_rows_and_what_waits_are_bounded(rule: Correlation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MAX_HOT", 150)
    monkeypatch.setattr(groups, "LEAST_CAP", 20)
    monkeypatch.setattr(choosing, "MAX_CROWD", 30)
    engine, _ = fed(rule, noise(600))
    ((_, part),) = engine._episodes
    assert 0 < part.rows == sum(len(group.rows) for group in part._groups.values()) <= 150
    assert all(len(group.rows) <= 30 for group in part._groups.values())
    assert len(part._waiting) <= 2 * 150 + 1000 + 1
    engine.close()


FLOODED = {
    "values": (correlation("value_count", "a", bounds=bounds(gte=5), field=("object",)), "a"),
    "rules": (correlation("temporal", "abcd", bounds=bounds(gte=4)), "a"),
    "order": (correlation("temporal_ordered", "abcd", bounds=bounds(gte=4)), "a"),
    "the order, flooded with its second step": (correlation("temporal_ordered", "abcd", bounds=bounds(gte=4)), "b"),
    "three of the order": (correlation("temporal_ordered", "abcd", bounds=bounds(gte=3)), "b"),
    "expression": (correlation("temporal_ordered", "abcd", expression=parsed("and and and a b c d")), "b"),
}


@pytest.mark.parametrize(("rule", "flood"), FLOODED.values(), ids=FLOODED)
def test_a_flood_of_one_step_or_value_does_not_hide_the_others(
    rule: Correlation, flood: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "LEAST_CAP", 40)
    events = []
    for n, (step, value) in enumerate(zip("abcda", ["v", "w", "x", "y", "z"], strict=True)):
        events.append(act(1000 * n, n, "a" if rule.kind == "value_count" else step, object=value))
        events += [act(1000 * n + k, n + k / 1000, flood, object="same") for k in range(1, 200)]
    engine, found = fed(rule, events)
    assert found
    assert engine._episodes[0][1].rows <= 40
    engine.close()


def test_a_long_value_is_not_kept_but_told_apart() -> None:
    rule = correlation("value_count", "a", bounds=bounds(gte=3), field=("input_raw",))
    texts = ["x" * 100_000, "x" * 99_999 + "y", "x" * 99_999 + "z"]
    engine, found = fed(rule, [act(n, n, input_raw=text) for n, text in enumerate(texts)])
    assert [one.details["figure"] for one in found] == [3]
    assert not fed(rule, [act(n, n, input_raw=texts[n % 2]) for n in range(9)])[1]
    (group,) = engine._episodes[0][1]._groups.values()
    assert all(len(value) < 300 for one in group.rows for (value,) in one.values)


def test_numbers_that_are_none_and_sums_that_never_drift() -> None:
    rule = correlation("value_sum", "a", bounds=bounds(eq=0.1), field=("latency_ms",))
    numbers = [1e300, 1e-300, float("nan"), float("inf"), 0.3]
    events = [act(n, n / 10, latency_ms=number) for n, number in enumerate(numbers * 20)]
    _, found = fed(rule, [*events, act(9999, 100, latency_ms=0.1)])
    assert [one.event_count for one in found] == [1]  # what has left the window has left no trace in the sum
    whole = correlation("value_sum", "a", bounds=bounds(eq=2**62 + 1), field=("tokens_in",))
    assert fed(whole, [act(0, 0, tokens_in=2**62), act(1, 1, tokens_in=1)])[1]
    assert not fed(whole, [act(0, 0, tokens_in=2**62), act(1, 1, tokens_in=2)])[1]
