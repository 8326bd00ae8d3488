"""Rules on DuckDB, in micro-batches: the same findings whether events come in one batch or in many.

A batch is loaded into a table once and read once per category, whatever the number of rules. What one batch leaves
for the next is small and lies with the findings (``matches``) and with the hot rows of the sliding counts
(``episodes``), where events are taken one at a time: what is found cannot depend on where a batch ends.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from types import TracebackType

import duckdb
import numpy as np
from numpy.typing import NDArray

from threatmatrix.detect.engines.batch import POSITION, Batch
from threatmatrix.detect.engines.episodes import EpisodeFindings
from threatmatrix.detect.engines.matches import MatchFindings
from threatmatrix.detect.engines.visibility import blind_spots, runnable, sightings
from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.sigma.rules import EventRule
from threatmatrix.detect.sql.scan import scan
from threatmatrix.detect.state import State, check, header, understood
from threatmatrix.detect.visibility import Sighting
from threatmatrix.model.detection import Finding, NoVisibility
from threatmatrix.model.event import Event

__all__ = ["RuleEngine"]

Positions = NDArray[np.int64]
_NONE: Positions = np.zeros(0, np.int64)
_KIND = "rules"


class RuleEngine:
    """Runs a rule set over a connection of its own; not for use by several threads at once.

    ``lateness`` (µs; default: the longest timespan of the rule set) is how much older than the newest event an event
    may be and still be counted exactly. Reading log files one after the other that cover the same hours needs more.
    """

    def __init__(self, ruleset: RuleSet, *, lateness: int | None = None) -> None:
        self.ruleset = ruleset
        rules, correlations = runnable(ruleset)
        if lateness is None:
            lateness = max((correlation.timespan for correlation in correlations), default=0)
        self._scans = {category: (group, scan(group, "batch", POSITION)) for category, group in _by_category(rules)}
        self._matches = [(rule.meta.key, MatchFindings(rule)) for rule in rules if not rule.silent]
        by_key = {rule.meta.key: rule for rule in rules}
        self._episodes = [
            (one.rules, EpisodeFindings(one, lateness, [by_key[key] for key in one.rules])) for one in correlations
        ]
        self._connection = _database(os.getpid()).cursor()
        self._batch = Batch(self._connection, "batch", {"category"}.union(*(rule.reads for rule in rules)))

    def __enter__(self) -> RuleEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection. The engine cannot be fed afterwards."""
        self._connection.close()

    def feed(self, events: Sequence[Event], *, revised: Sequence[tuple[Event, Event]] = ()) -> list[Finding]:
        """Give the findings that are new, or that have grown, by these events (in the order of their first event).

        A finding keeps its id while it grows; a store replaces by id. Where a late event joins two episodes of a
        count, the younger one is given a last time with ``details["merged_into"]``. ``revised`` has (before, after) of
        events that were fed already and have gained fields since: a rule counts ``after`` if it has not counted
        ``before``, so that no event counts twice.
        """
        if not self._scans or not (events or revised):
            return []
        counted = self._match([before for before, _ in revised])
        afresh = self._match([after for _, after in revised])
        matched = self._match(events)
        every = [*events, *(after for _, after in revised)]
        findings: list[Finding] = []
        for key, growing in self._matches:
            late = np.setdiff1d(afresh.get(key, _NONE), counted.get(key, _NONE), assume_unique=True)
            positions = np.concatenate([matched.get(key, _NONE), late + len(events)])
            if positions.size:
                findings += growing.feed(every, positions.tolist())
        for keys, counting in self._episodes:
            befores = {int(at) for at in _any(counted, keys) if counting.group_of(revised[at][0]) is not None}
            late = np.array([at for at in _any(afresh, keys).tolist() if at not in befores], np.int64)
            positions = np.concatenate([_any(matched, keys), late + len(events)])
            if positions.size:
                findings += counting.feed(every, positions.tolist())
        return sorted(findings, key=lambda finding: (finding.first_time, finding.finding_id))

    def snapshot(self) -> State:
        """What the rules remember between two feeds, each under its identity."""
        return {**header(_KIND), "rules": {part.identity: part.snapshot() for part in self._parts()}}

    def restore(self, state: State) -> tuple[str, ...]:
        """Go on from :meth:`snapshot`: the rules that start anew, because they are new or were changed.

        Raises FormatError for what is no snapshot of a rule engine, of this version; the engine is then not to be fed.
        """
        rules = check(state, _KIND)["rules"]
        anew = []
        with understood(_KIND):
            for part in self._parts():
                if part.identity in rules:
                    part.restore(rules[part.identity])
                else:
                    anew.append(part.detector)
        return tuple(anew)

    def visibility(self, seen_fields: Mapping[str, Collection[str]]) -> list[NoVisibility]:
        """The rules that cannot see: ``seen_fields`` maps a category to the fields seen non-empty in its events."""
        return blind_spots(self.ruleset, seen_fields)

    def sight(self, seen_fields: Mapping[str, Collection[str]]) -> list[Sighting]:
        """Each rule with the fields that it needs, and those of them that ``seen_fields`` lacks."""
        return sightings(self.ruleset, seen_fields)

    def _parts(self) -> list[MatchFindings | EpisodeFindings]:
        return [part for _, part in self._matches] + [part for _, part in self._episodes]

    def _match(self, events: Sequence[Event]) -> dict[str, Positions]:
        """Rule key → positions in ``events`` that match, in order; rules without a match are left out."""
        present = {event.category for event in events}
        matched: dict[str, Positions] = {}
        if present.isdisjoint(self._scans):
            return matched
        self._batch.load(events)
        for category, (rules, sql) in self._scans.items():
            if category not in present:
                continue
            columns = self._connection.execute(sql).fetchnumpy()
            positions = np.asarray(columns["position"], dtype=np.int64)
            for index, rule in enumerate(rules):
                hits = positions[np.asarray(columns[f"r{index}"], dtype=np.bool_)]
                if hits.size:
                    matched[rule.meta.key] = np.sort(hits)
        return matched


@cache
def _database(_pid: int) -> duckdb.DuckDBPyConnection:
    """One in-memory database for all engines of a process: to make one takes 27 ms, six times as long as to use it.

    Nothing is kept in it: what an engine loads are temporary views of its own connection.
    """
    return duckdb.connect(":memory:")


def _any(matched: Mapping[str, Positions], keys: Sequence[str]) -> Positions:
    """Positions that match any of these rules, in order."""
    return np.unique(np.concatenate([_NONE, *(matched[key] for key in keys if key in matched)]))


def _by_category(rules: Sequence[EventRule]) -> list[tuple[str, list[EventRule]]]:
    groups: defaultdict[str, list[EventRule]] = defaultdict(list)
    for rule in rules:
        groups[rule.category].append(rule)
    return list(groups.items())
