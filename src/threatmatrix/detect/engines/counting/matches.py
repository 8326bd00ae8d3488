"""Findings of rules for single events: what one client did to one model within one hour is one finding."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from threatmatrix.detect.engines.counting.evidence import Evidence, Row, Rows, make_finding
from threatmatrix.detect.engines.counting.identity import identity, stable_id
from threatmatrix.detect.engines.counting.kept import keep_evidence, keep_rows, kept_evidence, kept_rows
from threatmatrix.detect.sigma.rules import EventRule
from threatmatrix.detect.state import State, ints, ints_of, names, names_of, texts, texts_of
from threatmatrix.model.detection import Finding
from threatmatrix.model.event import Event

__all__ = ["MAX_OPEN", "MatchFindings"]

HOUR = 3_600_000_000  # µs: findings are cut at full hours UTC, so that the cut is the same in every portion
MAX_OPEN = 5_000  # findings kept growing at once; beyond that the one that grew longest ago is let go

Key = tuple[str, str, str, str, int]  # system, tenant, principal, model, hour


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
        self.identity = identity(rule.meta.detector, rule)
        self._open: OrderedDict[Key, _Open] = OrderedDict()  # the one that grew longest ago first

    @property
    def detector(self) -> str:
        return self._rule.meta.detector

    def feed(self, events: Sequence[Event], positions: Iterable[int], rows: Rows | None = None) -> list[Finding]:
        """Add the events at ``positions``; give the findings that are new or have grown. ``rows``: of ``events``."""
        rows = Rows(events) if rows is None else rows
        grown: dict[str, _Open] = {}
        for position in positions:
            growing = self._add(events[position], rows[position])
            grown[growing.finding_id] = growing
        return [self._finding(growing) for growing in grown.values()]

    def snapshot(self) -> State:
        """The findings that may still grow."""
        found = list(self._open.values())
        return {
            "system": names([key[0] for key in self._open]),
            "tenant": names([key[1] for key in self._open]),
            "principal": names([key[2] for key in self._open]),
            "model": names([key[3] for key in self._open]),
            "hour": ints([key[4] for key in self._open]),
            "finding_id": texts([growing.finding_id for growing in found]),
            "opened": keep_rows([growing.opened for growing in found]),
            "evidence": keep_evidence([growing.evidence for growing in found]),
        }

    def restore(self, state: State) -> None:
        """Go on from :meth:`snapshot`."""
        fields = [names_of(state[name]) for name in ("system", "tenant", "principal", "model")]
        keys = zip(*fields, ints_of(state["hour"]), strict=True)
        found = zip(
            texts_of(state["finding_id"]), kept_rows(state["opened"]), kept_evidence(state["evidence"]), strict=True
        )
        self._open = OrderedDict((key, _Open(*parts)) for key, parts in zip(keys, found, strict=True))

    def _add(self, event: Event, row: Row) -> _Open:
        # One event at a time, so that which finding is let go does not depend on batches.
        key = (row.system, event.tenant or "", row.principal, row.model, row.time // HOUR)
        growing = self._open.get(key)
        if growing is None:
            # in order of arrival: of several at the same time, this one is first in every portion
            finding_id = stable_id(self._rule.meta.detector, *key, row.event_id)
            growing = self._open[key] = _Open(finding_id, row, Evidence.of([row]))
            if len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)
        else:
            growing.evidence.fresh.append(row)
            self._open.move_to_end(key)
        return growing

    def _finding(self, growing: _Open) -> Finding:
        growing.evidence.settle()
        return make_finding(
            self._rule, growing.finding_id, growing.evidence, growing.evidence.first, {}, opened=growing.opened
        )
