from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threatmatrix.model.evidence import AttackResult, Rate, SampleOutcome
from threatmatrix.remediate import compare, helped, rate, wilson

COUNTS = st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


# Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3.
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(successes: int, n: int, low: float, high: float) -> None:
    got = wilson(successes, n)
    assert (round(got.low, 4), round(got.high, 4)) == (low, high)


# Newcombe 1998, Statistics in Medicine 17:873-890, table II, method 10.
@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_newcombe_gives_the_published_intervals(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    got = compare("x", wilson(*first), wilson(*second))
    assert (round(got.low, 4), round(got.high, 4)) == (low, high)
    assert got.difference == pytest.approx(first[0] / first[1] - second[0] / second[1])


@given(COUNTS)
def test_wilson_holds_its_own_proportion_and_mirrors(counts: tuple[int, int]) -> None:
    successes, n = counts
    got, mirrored = wilson(successes, n), wilson(n - successes, n)
    assert 0.0 <= got.low <= got.high <= 1.0
    if n:
        assert got.low <= got.value <= got.high
        assert got.low == pytest.approx(1 - mirrored.high)


@given(COUNTS, COUNTS)
def test_the_difference_lies_in_its_interval_and_swaps_its_sign(a: tuple[int, int], b: tuple[int, int]) -> None:
    forth, back = compare("x", wilson(*a), wilson(*b)), compare("x", wilson(*b), wilson(*a))
    assert -1.0 <= forth.low <= forth.difference <= forth.high <= 1.0
    assert forth.low == pytest.approx(-back.high)
    if a[1] and b[1]:
        swapped = compare("x", wilson(a[1] - a[0], a[1]), wilson(b[1] - b[0], b[1]))
        assert swapped.low == pytest.approx(-forth.high)


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, -1)])
def test_impossible_counts_are_refused(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="trials"):
        wilson(successes, n)


def test_no_trials_mean_no_knowledge() -> None:
    assert wilson(0, 0) == Rate(0, 0, 0.0, 1.0)
    nothing = compare("x", wilson(60, 60), wilson(0, 0))
    assert (nothing.low, nothing.high) == (-1.0, 1.0)
    assert not helped(wilson(60, 60), wilson(0, 0))


def _result(confirmed: int, claimed: int, n: int) -> AttackResult:
    outcomes = tuple(
        SampleOutcome(index=i, claimed=i < claimed, confirmed=i < confirmed, queries=10, distance=0.5) for i in range(n)
    )
    return AttackResult(
        procedure="square", technique="online-evasion", variant="plain", norm="linf", threshold=0.15,
        outcomes=outcomes, queries=10 * n, confirm_queries=n, seed=1, correlation="c",
    )  # fmt: skip


def test_confirmed_success_counts_unless_the_claim_is_asked_for() -> None:
    result = _result(confirmed=13, claimed=48, n=60)
    assert rate(result.outcomes).successes == 13
    assert rate(result.outcomes, claimed=True).successes == 48


def test_attack_results_compare_by_what_was_confirmed() -> None:
    before, after = _result(50, 55, 60), _result(13, 48, 60)
    got = compare("noise", before, after)
    assert (got.first.successes, got.second.successes) == (50, 13)
    assert helped(before, after)
    assert not helped(after, before)
    assert not helped(_result(50, 50, 60), _result(47, 47, 60))
