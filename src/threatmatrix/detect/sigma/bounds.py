"""What a correlation's figure is asked for: read, and refused where no window could ever answer it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, get_args

from threatmatrix.detect.sigma.documents import Document
from threatmatrix.detect.sigma.rules import TEMPORAL, Bound, Compare, Kind

__all__ = ["COMPARES", "check_bounds", "read_bounds"]

COMPARES: tuple[Compare, ...] = get_args(Compare)
PATH = ("correlation", "condition")
_LARGEST = 2**53  # beyond it, neighbouring whole numbers are one DOUBLE
_COUNTS = frozenset({"event_count", "value_count", *TEMPORAL})
_TWICE = (("gte", "gt"), ("lte", "lt"))


def read_bounds(document: Document, kind: Kind, condition: Mapping[str, Any]) -> tuple[Bound, ...]:
    """The comparisons of a condition, in the order in which they are written. Raises RuleError."""
    bounds = tuple(
        Bound(key, _number(document, kind, key, value)) for key, value in condition.items() if key in COMPARES
    )  # fmt: skip
    if not bounds:
        raise document.refuse("compares with a number, such as gte: 100", *PATH, choices=COMPARES)
    for pair in _TWICE:
        if all(key in condition for key in pair):
            raise document.refuse(f"one of {pair[0]} and {pair[1]}, not both", *PATH)
    if "eq" in condition and len(bounds) > 1:
        raise document.refuse("eq says it all: no other comparison stands beside it", *PATH)
    return bounds


def check_bounds(document: Document, kind: Kind, bounds: Sequence[Bound], rules: int) -> None:
    """Refuse what no window, or every window, of a correlation over so many rules would fulfil. Raises RuleError."""
    counts = kind in _COUNTS
    least, most = (
        (0 if kind == "value_count" else 1, rules if kind in TEMPORAL else math.inf)
        if counts
        else (-math.inf, math.inf)
    )
    for bound in bounds:
        if counts and bound.number < {"gte": 1, "gt": 0}.get(bound.op, -_LARGEST):
            problem = "is fulfilled by any window: ask for at least one event"
            raise document.refuse(problem, *PATH, bound.op)
    if any(all(bound.holds(figure) for bound in bounds) for figure in _figures(bounds, least, most, whole=counts)):
        return
    hint = ""
    if kind in TEMPORAL:
        hint = f"It names {rules} rule{'s' if rules != 1 else ''}"
    elif counts:
        hint = (
            "A window holds at least the event that it ends with; what did not happen is asked for by temporal and not"
        )
    raise document.refuse("can never fire: no figure fulfils it", *PATH, hint=hint)


def _figures(bounds: Sequence[Bound], least: float, most: float, *, whole: bool) -> Iterator[float]:
    """Figures between, on and beside all numbers of the bounds: where none of them fits, none does."""
    numbers = sorted({float(bound.number) for bound in bounds})
    figures = {number + step for number in numbers for step in (-1, 0, 1)} | {least, most}
    if not whole:
        figures |= {(left + right) / 2 for left, right in pairwise(numbers)}
    return (figure for figure in figures if math.isfinite(figure) and least <= figure <= most)


def _number(document: Document, kind: Kind, key: str, value: Any) -> int | float:
    if kind in _COUNTS:
        if type(value) is not int:
            raise document.refuse("is a whole number", *PATH, key)
    elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise document.refuse("is a number", *PATH, key)
    if abs(value) > _LARGEST:
        raise document.refuse("is too large a number", *PATH, key)
    number: int | float = value
    return number
