"""Proportions with intervals, and the difference of two of them.

Wilson's score interval (Wilson 1927, JASA 22:209–212) keeps its coverage for the small n and the
shares near 0 and 1 that attack results have; for a difference, Newcombe's hybrid of two such
intervals (Newcombe 1998, Statistics in Medicine 17:873–890, method 10). All at 95 %, two-sided.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

from threatmatrix.model.evidence import AttackResult, Comparison, Rate, SampleOutcome

__all__ = ["compare", "helped", "rate", "wilson"]

Z = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


def wilson(successes: int, n: int) -> Rate:
    """A proportion with its 95 % Wilson score interval. No trials: anything is possible, [0, 1].

    Raises ValueError unless ``0 <= successes <= n``.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials")
    if n == 0:
        return Rate(0, 0, 0.0, 1.0)
    share = successes / n
    centre = share + Z * Z / (2 * n)
    half = Z * sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    # The bounds are exactly 0 and 1 at the edges; rounding must not leave 1e-17 there.
    low = 0.0 if successes == 0 else max(0.0, (centre - half) / scale)
    high = 1.0 if successes == n else min(1.0, (centre + half) / scale)
    return Rate(successes, n, low, high)


def rate(outcomes: Iterable[SampleOutcome], claimed: bool = False) -> Rate:
    """Attack success over samples: as confirmed by fresh queries, or as the attack claims it."""
    results = [outcome.claimed if claimed else outcome.confirmed for outcome in outcomes]
    return wilson(sum(results), len(results))


def compare(what: str, first: AttackResult | Rate, second: AttackResult | Rate) -> Comparison:
    """``first`` minus ``second`` with its 95 % interval; ``what`` says what is compared.

    Attack results are compared by their confirmed success. The samples are taken as independent:
    for the same samples attacked twice the interval is, if anything, too wide. Where a side has no
    trials nothing is known: the interval is [-1, 1].
    """
    a, b = _rate(first), _rate(second)
    difference = a.value - b.value
    if not a.n or not b.n:
        return Comparison(what=what, first=a, second=b, difference=difference, low=-1.0, high=1.0)
    low = difference - sqrt((a.value - a.low) ** 2 + (b.high - b.value) ** 2)
    high = difference + sqrt((a.high - a.value) ** 2 + (b.value - b.low) ** 2)
    return Comparison(what=what, first=a, second=b, difference=difference, low=max(-1.0, low), high=min(1.0, high))


def helped(before: AttackResult | Rate, after: AttackResult | Rate) -> bool:
    """Whether success fell, and by more than chance explains: the whole interval is above 0."""
    return compare("before - after", before, after).low > 0.0


def _rate(value: AttackResult | Rate) -> Rate:
    return value if isinstance(value, Rate) else rate(value.outcomes)
