"""A rule set over events at rest, portion by portion, and its correlations at the end.

Cost: each event is read once (twice where a filter narrows some rules and not others), whatever the number of rules;
time grows with the events and, far more slowly, with the rules. Memory is that of DuckDB's limit and of the findings.
On disk, in DuckDB's temporary space, lie the matches of one portion and, of all days, the matches that correlations
count: some 100 bytes each. The end costs a sort of those for each correlation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import duckdb

from threatmatrix.detect.engines.counting.chains import plans
from threatmatrix.detect.engines.scanning.scanner import Scanner
from threatmatrix.detect.engines.visibility import blind_spots, runnable
from threatmatrix.detect.hunting.correlated import Look, correlation_findings
from threatmatrix.detect.hunting.fields import FieldsSeen
from threatmatrix.detect.hunting.kept import EVIDENCE, KeptMatches, quoted
from threatmatrix.detect.hunting.matches import match_findings
from threatmatrix.detect.hunting.only import EVERYTHING, Only, looking_wide
from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.sigma.rules import Correlation, EventRule
from threatmatrix.model.detection import Finding, NoVisibility

__all__ = ["MAX_FINDINGS", "Hunt"]

MAX_FINDINGS = 5_000
"""Findings of one rule that are made; further ones are counted. Principals can be invented in any number."""

_SOURCE, _HITS = "hunt_source", "hunt_hits"
_PER_PORTION = 1 << 36  # numbers of events in one portion


class Hunt:
    """One hunt over a connection; ``scan`` the portions in the order of time, then ``finish``.

    ``only``: the events that are looked at. Rules for single events see no others. So do correlations that group by
    each field asked for; the others look at all events, and give the findings that have an event asked for in them.
    """

    def __init__(
        self,
        ruleset: RuleSet,
        connection: duckdb.DuckDBPyConnection,
        *,
        only: Only = EVERYTHING,
        most: int = MAX_FINDINGS,
    ) -> None:
        self.ruleset = ruleset
        self._connection, self._only = connection, only
        rules, self._correlations = runnable(ruleset)
        self._wide = looking_wide(self._correlations, only)
        counted_wide = {key for one in self._correlations if one.meta.key in self._wide for key in one.rules}
        wide = [rule for rule in rules if rule.meta.key in counted_wide]
        narrow = [rule for rule in rules if rule.meta.key not in counted_wide]
        narrow += [one.hidden for one in ruleset.suppressions]
        self._rules = wide + narrow
        self._counted = {key for one in self._correlations for key in one.rules}
        self._plans = plans(ruleset.rules, self._correlations, None)
        keys = dict.fromkeys(rule.meta.key for rule in (*self._rules, *ruleset.rules))  # some of these never match
        self._kept = KeptMatches(connection, self._plans, list(keys), {name for name, _ in only.asked})
        self._carry = tuple(dict.fromkeys((*EVIDENCE, "tenant", *self._kept.columns)))
        self._passes = [
            (part, Scanner(part, ruleset.schema, connection), at, limit)
            for part, at, limit in ((wide, 0, "true"), (narrow, len(wide), only.condition()))
            if part
        ]
        self.set_aside: Counter[str] = Counter()  # key of a suppression → events asked for that it took from a rule
        self._hidden = {self._kept.numbers[one.hidden.meta.key]: one.key for one in ruleset.suppressions}
        self._most = dict.fromkeys(self._kept.numbers.values(), most)
        self._fields = FieldsSeen(set(self._carry).union(*(rule.reads for rule in self._rules)), only)
        self._portions = 0

    @property
    def events(self) -> int:
        """Events that were looked at, of those asked for."""
        return self._fields.events_asked

    @property
    def left_out(self) -> dict[str, int]:
        """Title → findings beyond the most that one rule gives."""
        every: list[EventRule | Correlation] = [*self._rules, *self._correlations]
        left = {rule.meta.title: self._most[self._kept.numbers[rule.meta.key]] for rule in every}
        return {title: -more for title, more in left.items() if more < 0}

    def scan(self, source: str, *, repeats: bool = False) -> list[Finding]:
        """The findings of rules for single events in ``source``: a relation with the columns of an event.

        It must hold whole hours, and every portion other ones; what fails in reading it may be scanned again.
        ``repeats``: the same record may be in it several times; one of them counts.
        """
        for number, (_, scanner, _, limit) in enumerate(self._passes):
            narrowed = f"CREATE OR REPLACE TEMP VIEW {_SOURCE} AS SELECT * FROM {source} WHERE {limit}"  # noqa: S608
            self._connection.execute(narrowed)
            self._connection.execute(f"DROP TABLE IF EXISTS {_HITS}{number}")
            scanner.hits(_SOURCE, f"{_HITS}{number}", self._carry)
        self._fields.look(self._connection, source)
        # Everything has been read: from here on nothing of the source can fail.
        found: list[Finding] = []
        for number, (part, _, at, _) in enumerate(self._passes):
            found += self._take(part, at, f"{_HITS}{number}", repeats=repeats)
        self._portions += 1
        return sorted(found, key=_in_time)

    def finish(self, on_done: Callable[[int], None] | None = None) -> list[Finding]:
        """The findings of correlations over all portions; ``on_done`` is told how many correlations are done."""
        found: list[Finding] = []
        asked = self._only.condition()
        for done, plan in enumerate(self._plans, 1):
            number = self._kept.numbers[plan.rule.meta.key]
            wide = plan.rule.meta.key in self._wide
            where, wanted = ("true", asked) if wide else (asked, "true")
            look = Look(where, wanted, self._most[number], self._fields.newest)
            made, more = correlation_findings(self._connection, plan, self._kept, look)
            found += made
            self._most[number] -= len(made) + more
            if on_done:
                on_done(done)
        return sorted(found, key=_in_time)

    def visibility(self) -> list[NoVisibility]:
        """The rules that could not see in what was scanned: never to be shown as clean."""
        wide = {f"rule:{key}" for key in self._wide}
        seen_asked = blind_spots(self.ruleset, self._fields.asked)
        seen_all = blind_spots(self.ruleset, self._fields.all)
        blind = [each for each in seen_asked if each.detector not in wide]
        return blind + [each for each in seen_all if each.detector in wide]

    def _take(self, part: Sequence[EventRule], at: int, hits: str, *, repeats: bool) -> list[Finding]:
        if repeats:
            self._drop_repeats(hits)
        loud = [str(number) for number, rule in enumerate(part) if not rule.silent]
        found: list[Finding] = []
        if loud:
            where = f"rule IN ({', '.join(loud)}) AND {self._only.condition()}"
            most = {number: self._most[at + number] for number in range(len(part))}
            found = list(match_findings(self._connection, part, hits, where, most))
            self._most.update((at + number, left) for number, left in most.items())
        self._count_hidden(hits, at)
        counted = self._counted & {rule.meta.key for rule in part}
        self._kept.add(hits, counted, rule=at, event=self._portions * _PER_PORTION)
        self._connection.execute(f"DROP TABLE {hits}")
        return found

    def _count_hidden(self, hits: str, at: int) -> None:
        if self._hidden:
            found = self._connection.execute(f"SELECT rule, count(*) FROM {hits} GROUP BY rule").fetchall()  # noqa: S608
            self.set_aside.update({self._hidden[at + rule]: n for rule, n in found if at + rule in self._hidden})

    def _drop_repeats(self, hits: str) -> None:
        """Of matches that agree in everything that is known of them, only the first one stays."""
        columns = ", ".join(map(quoted, self._carry))
        once = f"SELECT rule, min(event) AS event, {columns} FROM {hits} GROUP BY rule, {columns}"  # noqa: S608
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {_HITS}_once AS {once}")
        self._connection.execute(f"DROP TABLE {hits}")
        self._connection.execute(f"ALTER TABLE {_HITS}_once RENAME TO {hits}")


def _in_time(finding: Finding) -> tuple[int, str]:
    return finding.first_time, finding.finding_id
