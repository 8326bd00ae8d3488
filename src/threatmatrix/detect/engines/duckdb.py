"""Rules on DuckDB, in micro-batches: the same findings whether events come in one batch or in many.

A batch is loaded into a table once and read once per category, whatever the number of rules. What one batch leaves
for the next is small and lies with the findings (``matches``) and with the hot rows of the sliding counts
(``episodes``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType

import duckdb
import numpy as np
from numpy.typing import NDArray

from threatmatrix.detect.engines.batch import POSITION, Batch
from threatmatrix.detect.engines.episodes import EpisodeFindings
from threatmatrix.detect.engines.matches import MatchFindings
from threatmatrix.detect.engines.visibility import blind_spots, runnable
from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.sigma.ir import EventRule
from threatmatrix.detect.sigma.sql import scan
from threatmatrix.model.detection import Finding, NoVisibility
from threatmatrix.model.event import Event

__all__ = ["RuleEngine"]

Positions = NDArray[np.int64]


class RuleEngine:
    """Runs a rule set. Holds one in-memory DuckDB; not for use by several threads at once.

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
        self._episodes = [(correlation.rules, EpisodeFindings(correlation, lateness)) for correlation in correlations]
        self._connection = duckdb.connect(":memory:")
        self._batch = Batch(self._connection, "batch", {"category"}.union(*(rule.needs for rule in rules)))

    def __enter__(self) -> RuleEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the database. The engine cannot be fed afterwards."""
        self._connection.close()

    def feed(self, events: Sequence[Event]) -> list[Finding]:
        """Give the findings that are new, or that have grown, by these events (in the order of their first event).

        A finding keeps its id while it grows; a store replaces by id. Where a late event joins two episodes of a
        count, the younger one is given a last time with ``details["merged_into"]``.
        """
        if not events or not self._scans:
            return []
        matched = self._match(events)
        findings: list[Finding] = []
        for key, growing in self._matches:
            if key in matched:
                findings += growing.feed(events, matched[key].tolist())
        oldest = min(event.time for event in events)
        for keys, counting in self._episodes:
            found = [matched[key] for key in keys if key in matched]
            positions = np.unique(np.concatenate(found)).tolist() if found else []
            findings += counting.feed(self._connection, events, positions, oldest)
        return sorted(findings, key=lambda finding: (finding.first_time, finding.finding_id))

    def visibility(self, seen_fields: Mapping[str, Collection[str]]) -> list[NoVisibility]:
        """The rules that cannot see: ``seen_fields`` maps a category to the fields seen non-empty in its events."""
        return blind_spots(self.ruleset, seen_fields)

    def _match(self, events: Sequence[Event]) -> dict[str, Positions]:
        """Rule key → positions in ``events`` that match, in order; rules without a match are left out."""
        categories = {event.category for event in events}.intersection(self._scans)
        if not categories:
            return {}
        self._batch.load(events)
        matched: dict[str, Positions] = {}
        for category in categories:
            rules, sql = self._scans[category]
            columns = self._connection.execute(sql).fetchnumpy()
            positions = np.asarray(columns["position"], dtype=np.int64)
            for index, rule in enumerate(rules):
                hits = positions[np.asarray(columns[f"r{index}"], dtype=np.bool_)]
                if hits.size:
                    matched[rule.meta.key] = np.sort(hits)
        return matched


def _by_category(rules: Sequence[EventRule]) -> list[tuple[str, list[EventRule]]]:
    groups: defaultdict[str, list[EventRule]] = defaultdict(list)
    for rule in rules:
        groups[rule.category].append(rule)
    return list(groups.items())
