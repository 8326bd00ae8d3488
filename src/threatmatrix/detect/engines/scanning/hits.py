"""Which events of a batch count for a correlation, and by which of its rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from threatmatrix.detect.engines.counting.correlating import CorrelationFindings
from threatmatrix.model.event import Event

__all__ = ["Hits", "Positions"]

Positions = NDArray[np.int64]
_NONE: Positions = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Hits:
    """What the rules matched (rule key → positions) of new events, and of revised ones before and after."""

    size: int  # new events
    matched: Mapping[str, Positions]
    revised: Sequence[tuple[Event, Event]]
    before: Mapping[str, Positions]
    after: Mapping[str, Positions]

    def single(self, key: str) -> list[int]:
        """Positions for a single rule; the revised events stand after the new ones."""
        late = np.setdiff1d(self.after.get(key, _NONE), self.before.get(key, _NONE), assume_unique=True)
        return [*self.matched.get(key, _NONE).tolist(), *(late + self.size).tolist()]

    def of(self, correlation: CorrelationFindings) -> tuple[dict[int, int], set[int]]:
        """Position → the rules that matched, one bit each; and the positions of events that are counted already."""
        found = _slots(self.matched, correlation.rules)
        again: set[int] = set()
        if self.revised:
            before = _slots(self.before, correlation.rules)
            for at, slots in _slots(self.after, correlation.rules).items():
                news, known = correlation.new_slots(self.revised[at][0], before.get(at, 0), slots)
                if news:
                    found[self.size + at] = news
                    if known:
                        again.add(self.size + at)
        return found, again


def _slots(matched: Mapping[str, Positions], keys: Sequence[str]) -> dict[int, int]:
    found: dict[int, int] = {}
    for slot, key in enumerate(keys):
        if key in matched:
            if not found:
                found = dict.fromkeys(matched[key].tolist(), 1 << slot)
            else:
                for position in matched[key].tolist():
                    found[position] = found.get(position, 0) | 1 << slot
    return found
