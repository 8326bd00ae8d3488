"""Which findings and open incidents belong together: a union-find over what they share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from threatmatrix.model.detection import Finding
from threatmatrix.model.response import Incident

__all__ = ["JOIN_WITHIN", "Group", "join"]

JOIN_WITHIN = 7 * 24 * 3600 * 1_000_000
"""µs that an open incident may be quiet and still take new findings of its principals."""


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


def join(findings: Sequence[Finding], incidents: Sequence[Incident], now: int, within: int) -> Iterable[Group]:
    """Groups, in no particular order. Nodes: the incidents first, then the findings."""
    unique = list({finding.finding_id: finding for finding in findings}.values())
    nodes: list[Incident | Finding] = [*incidents, *unique]
    sets = _Sets(len(nodes))
    seen: dict[tuple[object, ...], int] = {}
    for number, node in enumerate(nodes):
        for mark in _marks(node, now - within):
            first = seen.setdefault(mark, number)
            if first != number:
                sets.union(first, number)
    groups: dict[int, Group] = {}
    for number, node in enumerate(nodes):
        group = groups.setdefault(sets.find(number), Group())
        if isinstance(node, Incident):
            group.incidents.append(node)
        else:
            group.findings.append(node)
    return _adopt_modelless(list(groups.values()), now - within)


def _marks(node: Incident | Finding, cold_before: int) -> Iterator[tuple[object, ...]]:
    """What a node may share with another: a finding id, an event, a principal on the same model."""
    place = (node.system, node.model)
    if isinstance(node, Incident):
        yield from (("finding", finding_id) for finding_id in node.finding_ids)
        if node.last_time < cold_before:
            return
    else:
        yield ("finding", node.finding_id)
        yield from (("event", *place, event_id) for event_id in node.event_ids)
    yield from (("principal", *place, share.principal) for share in node.principals)


def _adopt_modelless(groups: list[Group], cold_before: int) -> list[Group]:
    """A group that names no model joins the oldest group of its system that shares a mark with it."""
    if all(group.models for group in groups):
        return groups
    named = sorted((g for g in groups if g.models), key=lambda g: g.first_time)
    homes: dict[tuple[object, ...], Group] = {}
    for group in named:
        for mark in _group_marks(group, cold_before):
            homes.setdefault(mark, group)
    result = named
    for group in (g for g in groups if not g.models):
        found = [homes[mark] for mark in _group_marks(group, cold_before) if mark in homes]
        if found:
            home = min(found, key=lambda g: g.first_time)
            home.incidents += group.incidents
            home.findings += group.findings
        else:
            result.append(group)
    return result


def _group_marks(group: Group, cold_before: int) -> set[tuple[object, ...]]:
    marks: set[tuple[object, ...]] = set()
    nodes: list[Incident | Finding] = [*group.incidents, *group.findings]
    for node in nodes:
        for kind, *rest in _marks(node, cold_before):
            if kind != "finding":
                system, _model, what = rest
                marks.add((kind, system, what))
    return marks
