"""The decision core: budgets against a brute-force count, and lookups at any size."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from threatmatrix.gateway.decide import ALLOW, BudgetMeter, Policy, decide
from threatmatrix.model.response import PolicyEntry, PolicySnapshot

from .conftest import START, entry

SECOND = 1_000_000


def policy(*entries: dict[str, Any]) -> Policy:
    return Policy(PolicySnapshot(1, START, tuple(PolicyEntry(**each) for each in entries)))


@given(
    limit=st.integers(0, 12),
    window=st.integers(1, 5),
    asks=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), max_size=40),
)
def test_a_budget_equals_counting_by_hand(limit: int, window: int, asks: list[tuple[int, int]]) -> None:
    rules = policy(entry("query_budget", params={"queries": limit, "window_seconds": window}))
    meter, now, taken = BudgetMeter(), START, []
    for pause, rows in asks:
        now += pause * SECOND
        used = sum(n for time, n in taken if now - time < window * SECOND)
        decision = decide(rules, meter, principal="a", model="m", rows=rows, now=now)
        assert decision.allow == (used + rows <= limit)
        if decision.allow:
            taken.append((now, rows))
            continue
        assert (decision.status, decision.policy_ref) == (429, "p1")
        assert decision.retry_after >= 1
        if rows <= limit:  # after the wait it fits, and a second earlier it does not
            later = now + decision.retry_after * SECOND
            assert sum(n for time, n in taken if later - time < window * SECOND) + rows <= limit
            sooner = later - SECOND
            assert sum(n for time, n in taken if sooner - time < window * SECOND) + rows > limit


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=30))
def test_a_clock_that_steps_back_frees_no_budget(steps: list[int]) -> None:
    rules = policy(entry("query_budget", params={"queries": 3, "window_seconds": 10}))
    meter, now, latest, taken = BudgetMeter(), START, 0, []
    for step in steps:
        now += step * SECOND
        latest = max(latest, now)
        if decide(rules, meter, principal="a", model=None, rows=1, now=now).allow:
            taken.append(latest)
        assert sum(1 for time in taken if latest - time < 10 * SECOND) <= 3


def test_two_budgets_both_hold_and_a_denied_request_costs_nothing() -> None:
    rules = policy(
        entry("query_budget", "wide", params={"queries": 100, "window_seconds": 10}),
        entry("query_budget", "narrow", principal="a", model="m", params={"queries": 5, "window_seconds": 100}),
    )
    meter = BudgetMeter()
    assert decide(rules, meter, principal="a", model="m", rows=6, now=START).policy_ref == "narrow"
    assert decide(rules, meter, principal="a", model="m", rows=5, now=START).budgeted
    assert decide(rules, meter, principal="a", model="other", rows=95, now=START).allow
    assert not decide(rules, meter, principal="a", model="other", rows=1, now=START).allow


def test_forgotten_principals_bound_the_memory() -> None:
    rules = policy(entry("query_budget", params={"queries": 1, "window_seconds": 10}))
    meter = BudgetMeter(max_windows=100)
    for i in range(1000):
        assert decide(rules, meter, principal=f"p{i}", model="m", rows=1, now=START + i).allow
        assert len(meter) <= 100
    assert not decide(rules, meter, principal="p999", model="m", rows=1, now=START + 1000).allow


def test_the_longest_of_several_blocks_counts_and_a_large_policy_finds_its_own() -> None:
    many = [entry("block", f"b{i}", principal=f"p{i}") for i in range(5000)]
    short = entry("block", "short", principal="p7", expires_at=START + 1)
    rules = policy(*many, short)
    assert rules.blocked_by("p7", "m", START) == "b7"
    assert rules.blocked_by("stranger", "m", START) is None


def test_controls_combine_to_the_strictest_and_expire() -> None:
    rules = policy(
        entry("input_noise", "n1", params={"sigma": 0.1}),
        entry("input_noise", "n2", params={"sigma": 0.3}, principal="a"),
        entry("round_scores", "r1", params={"decimals": 3}),
        entry("round_scores", "r0", params={"decimals": 0}, expires_at=START + 5),
        entry("top1", "t", model="m"),
    )
    meter = BudgetMeter()
    found = decide(rules, meter, principal="a", model="m", rows=1, now=START)
    assert (found.sigma, found.decimals, found.top1, found.policy_ref) == (0.3, 0, True, "n1,n2,r0,r1,t")
    later = decide(rules, meter, principal="b", model="x", rows=1, now=START + 5)
    assert (later.sigma, later.decimals, later.top1) == (0.1, 3, False)
    assert decide(rules, meter, principal="a", model="m", rows=0, now=START) == ALLOW
