"""What a finding of a rule is made of: the events behind it, counted, and the sentence that explains them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from threatmatrix.detect.sigma.levels import confidence_of, severity_of
from threatmatrix.detect.sigma.rules import Correlation, EventRule
from threatmatrix.model.detection import Finding, PrincipalShare
from threatmatrix.model.event import Event

__all__ = ["MAX_EVENT_IDS", "MAX_PRINCIPALS", "Evidence", "Row", "Rows", "make_finding", "row_of"]

MAX_EVENT_IDS = 1000
MAX_PRINCIPALS = 100  # the largest; details["principals"] has the number
MAX_COUNTED = 10_000  # names that are counted apart; further ones only add to the whole


class Row(NamedTuple):
    """The little of an event that outlives its batch. Ordered by time, then by place in the request, then by id."""

    time: int
    row: int
    event_id: str
    principal: str  # "" where the source does not say
    system: str
    model: str


def row_of(event: Event) -> Row:
    return Row(event.time, event.row or 0, event.event_id, event.principal or "", event.system or "", event.model or "")


class Rows(dict[int, Row]):
    """Position in a batch → the row of its event, made when it is first asked for: many rules ask for the same."""

    def __init__(self, events: Sequence[Event]) -> None:
        super().__init__()
        self._events = events

    def __missing__(self, position: int) -> Row:
        row = self[position] = row_of(self._events[position])
        return row


@dataclass(slots=True)
class Evidence:
    """Events that add up: the same whatever the portions in which they came.

    What was added last is counted in by :meth:`settle`, once for each batch and not once for each event.
    """

    first: Row
    last: Row
    count: int = 0
    newest: list[Row] = field(default_factory=list)  # at most MAX_EVENT_IDS, in order
    principals: Counter[str] = field(default_factory=Counter)  # at most MAX_COUNTED names, and so below
    models: Counter[str] = field(default_factory=Counter)
    fresh: list[Row] = field(default_factory=list)  # in order of arrival, not counted in yet

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Evidence:
        """Evidence of at least one row."""
        return cls(rows[0], rows[0], fresh=list(rows))

    def settle(self) -> None:
        """Count in what is fresh."""
        if not self.fresh:
            return
        self.count += len(self.fresh)
        _tally(self.principals, ((row.principal, 1) for row in self.fresh))
        _tally(self.models, ((row.model, 1) for row in self.fresh))
        self.newest += self.fresh
        self.newest.sort()
        self.first, self.last = min(self.first, self.newest[0]), self.newest[-1]
        del self.newest[:-MAX_EVENT_IDS]
        self.fresh = []

    def absorb(self, other: Evidence) -> None:
        """Take over the events of another one, which shares none with this."""
        self.settle()
        other.settle()
        self.count += other.count
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        self.newest = sorted([*self.newest, *other.newest])[-MAX_EVENT_IDS:]
        _tally(self.principals, other.principals.items())
        _tally(self.models, other.models.items())

    def shares(self) -> tuple[PrincipalShare, ...]:
        """Principals, largest share first. Of a rule's finding, a probe is a matching event."""
        named = sorted(((count, name) for name, count in self.principals.items() if name), key=lambda p: (-p[0], p[1]))
        return tuple(PrincipalShare(name, count, count / self.count) for count, name in named[:MAX_PRINCIPALS])


def _tally(counts: Counter[str], more: Iterable[tuple[str, int]]) -> None:
    for name, count in more:
        if name in counts or len(counts) < MAX_COUNTED:  # names can be invented in any number
            counts[name] += count


def make_finding(
    rule: EventRule | Correlation,
    finding_id: str,
    evidence: Evidence,
    alarm: Row,
    details: dict[str, Any],
    *,
    opened: Row,
    seen: str = "",
) -> Finding:
    """One finding of a rule, as its evidence stands now; ``seen`` is a figure in words, for the sentence.

    ``opened``: the first event when the finding was made. Its system and model stay, and with them the incident.
    """
    evidence.settle()
    meta = rule.meta
    named = sum(1 for name in evidence.principals if name)
    if named > MAX_PRINCIPALS:
        details = {**details, "principals": named}
    models = sorted(name for name in evidence.models if name)
    if len(models) > 1:
        details = {**details, "models": models[:MAX_PRINCIPALS]}
    return Finding(
        finding_id=finding_id,
        detector=meta.detector,
        title=meta.title,
        technique=meta.technique,
        severity=severity_of(meta.level),
        confidence=confidence_of(meta.level),
        explanation=rule.explain(_figures(evidence, opened.model) + (f", {seen}" if seen else "")),
        event_ids=tuple(row.event_id for row in evidence.newest),
        event_count=evidence.count,
        first_time=evidence.first.time,
        last_time=evidence.last.time,
        alarm_event=alarm.event_id,
        principals=evidence.shares(),
        system=opened.system or None,
        model=opened.model or None,
        details={"tags": list(meta.tags), "falsepositives": list(meta.falsepositives), **details},
    )


def _figures(evidence: Evidence, model: str) -> str:
    """How many events, by whom, on which model, in what time."""
    shares = evidence.shares()
    who = f" by {shares[0].principal}" if shares else ""
    if len(shares) > 1:
        who += f" and {sum(1 for name in evidence.principals if name) - 1} more"
    where = f" on model {model}" if model else ""
    events = f"{evidence.count} event{'s' if evidence.count != 1 else ''}"
    span = evidence.last.time - evidence.first.time
    during = f" within {_duration(span)}" if span else ""
    return f"{events}{who}{where}{during}"


def _duration(span: int) -> str:
    seconds = span / 1_000_000
    if seconds < 1:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
