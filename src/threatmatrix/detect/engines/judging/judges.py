"""Who decides whether an occurrence fires: one judge for each kind of correlation, over the hot rows of a group.

A judge sees one group at a time. It may keep what it has worked out in ``group.state``, which is never part of a
snapshot: it can be worked out from the rows again, to the same result. Bounds that more events can undo (``lt``,
``lte``, ``eq``, ``neq``, ranges, averages …) are judged as events arrive: what has fired has fired, whatever comes
late.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from threatmatrix.detect.engines.counting.evidence import Row
from threatmatrix.detect.engines.counting.groups import Episode, Group, Keeper, Step
from threatmatrix.detect.engines.counting.occurrences import Occurrence
from threatmatrix.detect.sigma.rules import Expression, RuleName

__all__ = ["Firing", "Judge", "slots_of", "true_of"]


class Firing(NamedTuple):
    """An occurrence that fires, and since when what it needs has been gathering."""

    started: int
    at: Occurrence
    figure: float
    chain: Any = None  # what ``steps`` needs to tell the steps


class Judge(Keeper, Protocol):
    """Decides about the occurrences of one group."""

    def firings(self, group: Group, place: int) -> Iterable[Firing]:
        """Those that fire now that there is a row at ``place``: itself or later ones, in order."""

    def steps(self, group: Group, firing: Firing) -> tuple[Step, ...]:
        """Who did what in which order; asked in the same breath as ``firings``. Empty where nothing is in steps."""

    def alarm(self, group: Group, episode: Episode) -> Row | None:
        """The event that completes the first window, where rows that came late may have moved it."""


def slots_of(mask: int) -> list[int]:
    """The places of the bits that are set."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def true_of(expression: Expression | RuleName, there: int, places: dict[str, int]) -> bool:
    """Whether it holds where the rules in ``there`` (a bit for each of ``places``) occurred."""
    if isinstance(expression, RuleName):
        return bool(there >> places[expression.key] & 1)
    if expression.op == "not":
        return not true_of(expression.items[0], there, places)
    held = (true_of(item, there, places) for item in expression.items)
    return all(held) if expression.op == "and" else any(held)
