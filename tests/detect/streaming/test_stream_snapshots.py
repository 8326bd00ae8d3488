"""Every kind goes on from a snapshot, taken at any point, as if there had been no break."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from tests.detect.frozen import freeze, thaw
from tests.detect.sigma.rule_makers import SECOND
from tests.detect.streaming.stream_makers import act, bounds, correlation, ruleset
from tests.detect.streaming.test_stream_chains import CHAIN
from tests.detect.streaming.test_stream_kinds import FALLING, RISING, WAITING

from threatmatrix.detect.engines.counting import episodes, groups
from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.engines.judging import choosing
from threatmatrix.detect.sigma.rules import Correlation
from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Event

EVERY = {**RISING, **FALLING, **WAITING}


def keyed(rules: dict[str, Correlation]) -> list[Correlation]:
    """The same correlations with keys of their own."""
    return [replace(one, meta=replace(one.meta, key=name, name=name)) for name, one in rules.items()]


ALL = ruleset(*keyed(EVERY), *CHAIN)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 1, 2, 5, -4, -9, 40, 10**7]),
        st.sampled_from(["a", "b", "c", "d", "ab", "bc", "abcd", "-"]),
        st.sampled_from(["mallory", "eve", None]),
        st.sampled_from([None, "x", "y", "é" * 300]),
        st.sampled_from([None, 0, 1, 5, -(2**62)]),
    ),
    min_size=1,
    max_size=8,
)


@cache
def engines(_least_cap: int) -> tuple[RuleEngine, RuleEngine, Any]:
    """Made once for each set of limits."""
    whole, broken = RuleEngine(ALL), RuleEngine(ALL)
    return whole, broken, whole.snapshot()


class Broken(RuleBasedStateMachine):
    """An engine that goes on, and one that is made anew from a snapshot before each batch."""

    @initialize()
    def begin(self) -> None:
        self.now, self.number = 0.0, 0
        self.whole, self.broken, blank = engines(groups.LEAST_CAP)
        self.whole.restore(blank)
        self.broken.restore(blank)

    @rule(steps=STEPS, broken=st.booleans())
    def feed(self, steps: list[tuple[Any, ...]], broken: bool) -> None:
        batch = [self._event(*step) for step in steps]
        if broken:
            assert self.broken.restore(self.broken.snapshot()) == ()
        assert self.broken.feed(batch) == self.whole.feed(batch)

    @rule()
    def end(self) -> None:
        assert self.broken.restore(thaw(freeze(self.broken.snapshot()))) == ()
        assert self.broken.finish() == self.whole.finish()

    def _event(self, step: int, operation: str, who: str | None, value: str | None, number: int | None) -> Event:
        at = self.now + step
        self.now = at if 0 <= step < 100 else self.now
        self.number += 1
        latency = None if number is None else number / 7
        more = {"object": value, "status": number, "tokens_in": number, "latency_ms": latency}
        return act(self.number, at, operation, who, **more)


@pytest.mark.parametrize("crowded", [False, True])
def test_a_snapshot_at_any_point_changes_nothing(crowded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if crowded:  # every limit is met
        monkeypatch.setattr(groups, "MAX_HOT", 14)
        monkeypatch.setattr(groups, "LEAST_CAP", 5)
        monkeypatch.setattr(choosing, "MAX_CROWD", 6)
        monkeypatch.setattr(episodes, "MAX_OPEN", 2)
    run_state_machine_as_test(Broken, settings=settings(max_examples=4, stateful_step_count=7, deadline=None))


@pytest.mark.nightly
def test_a_snapshot_at_any_point_changes_nothing_in_the_long_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MAX_HOT", 14)
    monkeypatch.setattr(groups, "LEAST_CAP", 5)
    monkeypatch.setattr(choosing, "MAX_CROWD", 6)
    run_state_machine_as_test(Broken, settings=settings(max_examples=150, stateful_step_count=30, deadline=None))


def test_what_is_built_on_a_rule_that_was_changed_starts_anew() -> None:
    burst = correlation("event_count", "a", key="burst", bounds=bounds(gte=3))
    then = correlation("temporal", ("burst", "b"), key="then", bounds=bounds(gte=2))
    with RuleEngine(ruleset(burst, then)) as engine:
        engine.feed([act(n, n) for n in range(5)])
        state = thaw(freeze(engine.snapshot()))
    changed = correlation("event_count", "a", key="burst", bounds=bounds(gte=4))
    with RuleEngine(ruleset(changed, then)) as engine:
        assert engine.restore(state) == ("rule:burst", "rule:then")
    with RuleEngine(ruleset(burst, then)) as engine:
        assert engine.restore(state) == ()
        assert [one.event_count for one in engine.feed([act(9, 5 * SECOND / SECOND)])] == [6]


@pytest.mark.parametrize("name", ["values", "waiting", "episodes"])
def test_damage_is_refused(name: str) -> None:
    with RuleEngine(ruleset(*keyed({"values": EVERY["sum"]}))) as engine:
        engine.feed([act(n, n, tokens_in=9) for n in range(4)])
        state = engine.snapshot()
        (part,) = state["rules"].values()
        held = part["groups"] if name == "values" else part
        held[name] = {**held[name], next(iter(held[name])): "x"}
        with pytest.raises(FormatError, match="detection state"):
            engine.restore(state)
