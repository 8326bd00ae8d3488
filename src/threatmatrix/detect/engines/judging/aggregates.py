"""Figures over a window that slides: what comes in is added, what falls out is removed, and nothing drifts.

Whatever the order in which the same occurrences came and went, the figure is the same to the last bit: sums are exact
(DOUBLE values as multiples of 2^-1074) and rounded once, when they are read. SQL sums DOUBLE values with rounding, so
hold the two to each other with a tolerance; sums of BIGINT are equal.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Protocol

from threatmatrix.detect.engines.counting.occurrences import Occurrence
from threatmatrix.detect.engines.judging.judges import slots_of

__all__ = ["Aggregate", "Distinct", "Mean", "Number", "Quantile", "Slots", "Sum"]

_SCALE = 1074  # every finite DOUBLE is a whole multiple of 2^-1074


class Aggregate(Protocol):
    """One figure of the occurrences that were added and not removed."""

    def add(self, one: Occurrence) -> None: ...

    def remove(self, one: Occurrence) -> None: ...

    def figure(self) -> float | None:
        """None where there is nothing to take it of: no bound holds then."""


class Number:
    """How many. O(1)."""

    def __init__(self) -> None:
        self._number = 0

    def add(self, one: Occurrence) -> None:
        self._number += 1

    def remove(self, one: Occurrence) -> None:
        self._number -= 1

    def figure(self) -> float:
        return self._number


class Distinct:
    """How many different values. O(1)."""

    def __init__(self) -> None:
        self._counts: dict[object, int] = {}

    def add(self, one: Occurrence) -> None:
        counts = self._counts
        for value in one.values:
            counts[value] = counts.get(value, 0) + 1

    def remove(self, one: Occurrence) -> None:
        _take_off(self._counts, one.values)

    def figure(self) -> float:
        return len(self._counts)


class Slots:
    """Which rules, as bits; the figure is how many. O(rules that matched)."""

    def __init__(self) -> None:
        self._counts: dict[object, int] = {}
        self.there = 0

    def add(self, one: Occurrence) -> None:
        for slot in slots_of(one.slots):
            self._counts[slot] = self._counts.get(slot, 0) + 1
        self.there |= one.slots

    def remove(self, one: Occurrence) -> None:
        slots = slots_of(one.slots)
        _take_off(self._counts, slots)
        for slot in slots:
            if slot not in self._counts:
                self.there &= ~(1 << slot)

    def figure(self) -> float:
        return len(self._counts)


class Sum:
    """The sum of the numbers; whole as long as they are. O(1)."""

    def __init__(self) -> None:
        self._whole = 0
        self._parts = 0  # of the DOUBLE values, in units of 2^-1074
        self._doubles = 0
        self._count = 0

    def add(self, one: Occurrence) -> None:
        self._move(one, 1)

    def remove(self, one: Occurrence) -> None:
        self._move(one, -1)

    def _move(self, one: Occurrence, sign: int) -> None:
        for value in one.values:
            self._count += sign
            if isinstance(value, int):
                self._whole += sign * value
            else:
                number, below = value.as_integer_ratio()  # below is a power of two
                self._parts += sign * number << (_SCALE + 1 - below.bit_length())
                self._doubles += sign

    def figure(self) -> float | None:
        if not self._count:
            return None
        return self._whole if not self._doubles else self._over(1)

    def _over(self, count: int) -> float:
        try:
            return ((self._whole << _SCALE) + self._parts) / (count << _SCALE)
        except OverflowError:  # beyond the largest DOUBLE
            return float("inf") if (self._whole << _SCALE) + self._parts > 0 else float("-inf")


class Mean(Sum):
    """Their mean. O(1)."""

    def figure(self) -> float | None:
        return self._over(self._count) if self._count else None


class Quantile:
    """A percentile (0..100) between the closest ranks, as SQL's quantile_cont. O(log n), and a move of memory."""

    def __init__(self, percentile: float) -> None:
        self._share = percentile / 100
        self._sorted: list[float] = []

    def add(self, one: Occurrence) -> None:
        for value in one.values:
            insort(self._sorted, value)

    def remove(self, one: Occurrence) -> None:
        for value in one.values:
            del self._sorted[bisect_left(self._sorted, value)]

    def figure(self) -> float | None:
        values = self._sorted
        if not values:
            return None
        place = self._share * (len(values) - 1)
        low = int(place)
        part = place - low
        if not part:
            return float(values[low])
        return values[low] + part * (values[low + 1] - values[low])


def _take_off(counts: dict[object, int], values: Iterable[object]) -> None:
    for value in values:
        if counts[value] == 1:
            del counts[value]
        else:
            counts[value] -= 1
