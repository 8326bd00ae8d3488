"""Which findings and open incidents belong together: a union-find over what they share.

Sharing a principal means sharing a *main* one: a bystander whose honest input lay near two attacks, and a
name that many use (``anonymous``), say nothing about who did it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from threatmatrix.model.detection import Finding, PrincipalShare
from threatmatrix.model.response import Incident

__all__ = ["JOIN_WITHIN", "Fresh", "Group", "join"]

JOIN_WITHIN = 7 * 24 * 3600 * 1_000_000
"""µs that an open incident may be quiet and still take new findings of its principals."""

MAIN_SHARE, MAIN_PROBES = 0.2, 5  # of a monitor's finding: either makes a principal a main one
NAMELESS = frozenset({"anonymous", "(unknown)", "(others)"})
"""What many clients are called together."""


@dataclass(slots=True)
class Group:
    """Incidents and findings that are one."""

    incidents: list[Incident] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def models(self) -> set[str]:
        return {m for m in [*(i.model for i in self.incidents), *(f.model for f in self.findings)] if m}

    @property
    def first_time(self) -> int:
        return min([i.first_time for i in self.incidents] + [f.first_time for f in self.findings])


class _Sets:
    """Disjoint sets of node numbers; the smallest number is the representative."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def find(self, node: int) -> int:
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node

    def union(self, a: int, b: int) -> None:
        a, b = self.find(a), self.find(b)
        if a < b:
            self._parent[b] = a
        else:
            self._parent[a] = b


@dataclass(slots=True)
class Fresh:
    """What is new since the incidents were last looked at, so that the rest need not be compared again.

    ``events``: finding id → its event ids that are new; ``known``: finding id → all event ids of the others.
    """

    events: Mapping[str, frozenset[str]]
    known: Mapping[str, frozenset[str]]


def join(
    findings: Sequence[Finding], incidents: Sequence[Incident], now: int, within: int, fresh: Fresh | None = None
) -> Iterable[Group]:
    """Groups, in no particular order. Nodes: the incidents first, then the findings.

    ``fresh`` None: every event of every finding is compared.
    """
    unique = list({finding.finding_id: finding for finding in findings}.values())
    nodes: list[Incident | Finding] = [*incidents, *unique]
    sets = _Sets(len(nodes))
    seen: dict[tuple[object, ...], int] = {}
    homed = {finding_id for incident in incidents for finding_id in incident.finding_ids}
    # Quiet as seen from what arrives: an old log that is read today is not all of it "long ago".
    arrival = min([now, *(finding.first_time for finding in unique if finding.finding_id not in homed)])
    marks = _Marks(unique, incidents, arrival - within)
    for number, node in enumerate(nodes):
        for mark in marks.of(node):
            first = seen.setdefault(mark, number)
            if first != number:
                sets.union(first, number)
    for a, b in _by_events(nodes, fresh):
        sets.union(a, b)
    groups: dict[int, Group] = {}
    for number, node in enumerate(nodes):
        group = groups.setdefault(sets.find(number), Group())
        if isinstance(node, Incident):
            group.incidents.append(node)
        else:
            group.findings.append(node)
    return _adopt_modelless(list(groups.values()), marks)


def _by_events(nodes: Sequence[Incident | Finding], fresh: Fresh | None) -> Iterator[tuple[int, int]]:
    """Pairs of findings on the same system and model that share an event, at least one of them a fresh one."""
    findings = [(number, node) for number, node in enumerate(nodes) if isinstance(node, Finding)]
    owner: dict[tuple[str | None, str | None], dict[str, int]] = {}
    for number, node in findings:
        new: Iterable[str] = node.event_ids if fresh is None else fresh.events.get(node.finding_id, ())
        if new:
            here = owner.setdefault((node.system, node.model), {})
            for event_id in new:
                first = here.setdefault(event_id, number)
                if first != number:
                    yield first, number
    if fresh is None:
        return
    fresh_ids = {place: frozenset(here) for place, here in owner.items()}
    for number, node in findings:
        arrived = fresh_ids.get((node.system, node.model), frozenset())
        shared = arrived & fresh.known.get(node.finding_id, frozenset())  # walks through the smaller of the two
        here = owner[node.system, node.model] if shared else {}
        for other in {here[event_id] for event_id in shared} - {number}:
            yield other, number


class _Marks:
    """What a node may share with another, its events apart: a finding id, a main principal on the same model."""

    def __init__(self, findings: Sequence[Finding], incidents: Sequence[Incident], cold_before: int) -> None:
        self._cold_before = cold_before
        self._present = {finding.finding_id for finding in findings}
        # A finding of an incident that has gone quiet calls in no others either.
        self._cold = {key for old in incidents if old.last_time < cold_before for key in old.finding_ids}

    def of(self, node: Incident | Finding) -> Iterator[tuple[object, ...]]:
        if isinstance(node, Incident):
            yield from (("finding", finding_id) for finding_id in node.finding_ids)
            # Its findings speak for it; where one is missing, what the incident says of it stands.
            if node.last_time < self._cold_before or self._present.issuperset(node.finding_ids):
                return
            names = [s.principal for s in node.principals if s.share == 0 or _is_main(s)]
        else:
            yield ("finding", node.finding_id)
            if node.details.get("merged_into"):
                yield ("finding", node.details["merged_into"])
            if node.finding_id in self._cold and node.last_time < self._cold_before:
                return
            monitor = node.detector.startswith("monitor:")
            names = [share.principal for share in node.principals if not monitor or _is_main(share)]
        yield from (("principal", node.system, node.model, name) for name in names if name not in NAMELESS)

    def of_group(self, group: Group) -> set[tuple[object, ...]]:
        """The same of a whole group, whatever the model."""
        marks: set[tuple[object, ...]] = set()
        nodes: list[Incident | Finding] = [*group.incidents, *group.findings]
        for node in nodes:
            marks.update(("principal", m[1], m[3]) for m in self.of(node) if m[0] == "principal")
        return marks


def _is_main(share: PrincipalShare) -> bool:
    return share.share >= MAIN_SHARE or share.probes >= MAIN_PROBES


def _adopt_modelless(groups: list[Group], marks: _Marks) -> list[Group]:
    """A group that names no model joins the oldest group of its system that shares a main principal with it."""
    if all(group.models for group in groups):
        return groups
    named = sorted((g for g in groups if g.models), key=lambda g: g.first_time)
    homes: dict[tuple[object, ...], Group] = {}
    for group in named:
        for mark in marks.of_group(group):
            homes.setdefault(mark, group)
    result = named
    for group in (g for g in groups if not g.models):
        found = [homes[mark] for mark in marks.of_group(group) if mark in homes]
        if found:
            home = min(found, key=lambda g: g.first_time)
            home.incidents += group.incidents
            home.findings += group.findings
        else:
            result.append(group)
    return result
