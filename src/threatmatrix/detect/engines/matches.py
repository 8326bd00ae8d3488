"""Findings of rules for single events: what one client did to one model within one hour is one finding."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from threatmatrix.detect.engines.evidence import Evidence, Row, make_finding, row_of
from threatmatrix.detect.engines.identity import stable_id
from threatmatrix.detect.sigma.ir import EventRule
from threatmatrix.model.detection import Finding
from threatmatrix.model.event import Event

__all__ = ["MAX_OPEN", "MatchFindings"]

HOUR = 3_600_000_000  # µs: findings are cut at full hours UTC, so that the cut is the same in every portion
MAX_OPEN = 5_000  # findings kept growing at once; beyond that the one that grew longest ago is let go

Key = tuple[str, str, str, str, int]


@dataclass(slots=True)
class _Open:
    """The id holds the first event: what was let go, or what another run of detection saw, is another finding."""

    finding_id: str
    opened: Row
    evidence: Evidence


class MatchFindings:
    """The growing findings of one rule."""

    def __init__(self, rule: EventRule) -> None:
        self._rule = rule
        self._open: OrderedDict[Key, _Open] = OrderedDict()

    def feed(self, events: Sequence[Event], positions: Iterable[int]) -> list[Finding]:
        """Add the events at ``positions``; give the findings that are new or have grown."""
        fresh: defaultdict[Key, list[Row]] = defaultdict(list)
        for position in positions:
            event = events[position]
            row = row_of(event)
            fresh[row.system, event.tenant or "", row.principal, row.model, row.time // HOUR].append(row)
        return [self._grow(key, rows) for key, rows in fresh.items()]

    def _grow(self, key: Key, rows: list[Row]) -> Finding:
        growing = self._open.get(key)
        if growing is None:
            first = rows[0]  # in order of arrival: of several at the same time, this one is first in every portion
            finding_id = stable_id(self._rule.meta.detector, *key, first.event_id)
            growing = self._open[key] = _Open(finding_id, first, Evidence.of(rows))
        else:
            growing.evidence.add(rows)
        self._open.move_to_end(key)
        if len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)
        evidence = growing.evidence
        return make_finding(self._rule, growing.finding_id, evidence, evidence.first, {}, opened=growing.opened)
