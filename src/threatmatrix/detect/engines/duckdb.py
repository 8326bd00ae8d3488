"""Rules on DuckDB, in micro-batches: the same findings whether events come in one batch or in many.

Which rules match is known of values that were met before, and asked of DuckDB for new ones (``answers``). What one
batch leaves
for the next is small and lies with the findings (``matches``) and with the hot rows of the correlations
(``correlating``), where events are taken one at a time: what is found cannot depend on where a batch ends. A
correlation of correlations is fed after those that it uses, with their firings in the order in which they happened.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from types import TracebackType

import duckdb

from threatmatrix.detect.engines.counting.chains import plans
from threatmatrix.detect.engines.counting.correlating import CorrelationFindings, Passed
from threatmatrix.detect.engines.counting.evidence import Rows
from threatmatrix.detect.engines.counting.matches import MatchFindings
from threatmatrix.detect.engines.scanning.hits import Hits
from threatmatrix.detect.engines.scanning.scanner import Scanner
from threatmatrix.detect.engines.visibility import blind_spots, runnable, sightings
from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.state import State, check, header, understood
from threatmatrix.detect.visibility import Sighting
from threatmatrix.model.detection import Finding, NoVisibility
from threatmatrix.model.event import Event

__all__ = ["RuleEngine"]

_KIND = "rules"


class RuleEngine:
    """Runs a rule set over a connection of its own; not for use by several threads at once.

    ``lateness`` (µs; default: the longest timespan of the rule set) is how much older than the newest event an event
    may be and still be counted exactly. Reading log files one after the other that cover the same hours needs more.
    A correlation with a ``not`` waits as long for late events before it fires, or its own timespan where no
    ``lateness`` is given.
    """

    def __init__(self, ruleset: RuleSet, *, lateness: int | None = None) -> None:
        self.ruleset = ruleset
        rules, correlations = runnable(ruleset)
        self._matches = [(rule.meta.key, MatchFindings(rule)) for rule in rules if not rule.silent]
        self._episodes = [
            (plan.rule.rules, CorrelationFindings(plan)) for plan in plans(ruleset.rules, correlations, lateness)
        ]
        self._inner = {one.key: one for _, one in self._episodes if one.used}
        self._connection = _database(os.getpid()).cursor()
        self._scanner = Scanner(rules, ruleset.schema, self._connection)

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
        if not (events or revised):
            return []
        every = [*events, *(after for _, after in revised)]
        hits = Hits(
            len(events),
            self._scanner.match(events),
            revised,
            self._scanner.match([before for before, _ in revised]),
            self._scanner.match([after for _, after in revised]),
        )
        findings: list[Finding] = []
        rows = Rows(every)
        for key, growing in self._matches:
            positions = hits.single(key)
            if positions:
                findings += growing.feed(every, positions, rows)
        for keys, counting in self._episodes:
            matched, again = hits.of(counting)
            findings += counting.feed(every, matched, again=again, below=self._below(keys), rows=rows)
        return sorted(findings, key=_in_order)

    def finish(self) -> list[Finding]:
        """The events end here: what a ``not`` makes certain now, of windows that have passed. See :meth:`feed`."""
        findings: list[Finding] = []
        for keys, counting in self._episodes:
            findings += counting.finish(self._below(keys))
        return sorted(findings, key=_in_order)

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

    def _below(self, keys: Sequence[str]) -> list[tuple[int, Passed]]:
        """(slot, firing) of the correlations among ``keys``, as they happened; those below have been fed already."""
        below = [(slot, one) for slot, key in enumerate(keys) if key in self._inner for one in self._inner[key].passed]
        return sorted(below, key=lambda each: (each[1].position, each[0]))

    def _parts(self) -> list[MatchFindings | CorrelationFindings]:
        return [part for _, part in self._matches] + [part for _, part in self._episodes]


@cache
def _database(_pid: int) -> duckdb.DuckDBPyConnection:
    """One in-memory database for all engines of a process: to make one takes 27 ms, six times as long as to use it.

    Nothing is kept in it: what an engine loads are temporary views of its own connection.
    """
    return duckdb.connect(":memory:")


def _in_order(finding: Finding) -> tuple[int, str]:
    return finding.first_time, finding.finding_id
