"""Findings of a correlation over all that a hunt kept: episodes by SQL, then the evidence of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import duckdb

from threatmatrix.detect.engines.counting.chains import Plan
from threatmatrix.detect.engines.counting.evidence import MAX_COUNTED, Evidence, Row
from threatmatrix.detect.engines.counting.groups import Episode, Group
from threatmatrix.detect.engines.counting.identity import episode_id
from threatmatrix.detect.engines.counting.telling import finding_of
from threatmatrix.detect.hunting.kept import KEPT_EVENTS, KeptMatches
from threatmatrix.detect.hunting.matches import newest, rows_of
from threatmatrix.detect.hunting.openings import Opening, openings
from threatmatrix.detect.sigma.rules import VALUED, Correlation
from threatmatrix.detect.sql.correlations import episodes, firing, may_fire, worth_sorting
from threatmatrix.model.detection import Finding

__all__ = ["Look", "correlation_findings"]

_EVERY, _OCCURRENCES = "hunt_every_occurrence", "hunt_occurrences"
_EPISODES, _NEAR, _EVIDENCE = "hunt_episodes", "hunt_near", "hunt_evidence"
_FETCHED = 100
_PLACE = (
    "{'time': time, 'row': \"row\", 'event_id': event_id, 'principal': principal, 'system': system, 'model': model}"
)
_ORDER = 'time, "row", event_id'


@dataclass(frozen=True, slots=True)
class Look:
    """Which matches a correlation counts, and which of its findings are wanted; both as SQL."""

    where: str  # of a match
    asked: str  # of at least one event of a finding
    most: int  # findings that are made; further ones are counted
    newest: int | None  # time (µs) of the newest event that was scanned: what must not follow has not, up to then


def correlation_findings(
    connection: duckdb.DuckDBPyConnection, plan: Plan, kept: KeptMatches, look: Look
) -> tuple[list[Finding], int]:
    """The findings in the order of time, and how many more there are; none of a silent one.

    Where other correlations count this one, its firing events are kept as matches.
    """
    one = plan.rule
    if not may_fire(one, kept.numbers_of(one)):
        return [], 0
    groups = [f"g{at}" for at in range(len(one.group_by))]
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {_EVERY} AS {kept.occurrences(one, look.where)}")
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {_OCCURRENCES} AS {worth_sorting(one, _EVERY)}")
    number = f"row_number() OVER (ORDER BY {', '.join(['started', *groups])})"
    sql = f"SELECT {number} AS finding, * FROM ({episodes(one, _OCCURRENCES, until=look.newest)})"  # noqa: S608
    (made,) = connection.execute(f"CREATE OR REPLACE TEMP TABLE {_EPISODES} AS {sql}").fetchall()[0]
    if not made:
        return [], 0
    if plan.used:
        named = ", ".join([*groups, "time"])
        first = f"SELECT {', '.join([*groups, 'fired AS time'])} FROM {_EPISODES}"  # noqa: S608
        always = f"SELECT {named} FROM ({firing(one, _OCCURRENCES, until=look.newest)})"  # noqa: S608
        kept.add_firing(one, look.where, first, always)
    if one.silent:
        return [], 0
    more = 0
    if look.asked == "true" and made > look.most:
        connection.execute(f"DELETE FROM {_EPISODES} WHERE finding > {look.most}")  # noqa: S608 - a number
        more = made - look.most
    _gather(connection, one)
    told = openings(connection, one, _NEAR, _EPISODES)
    findings = _findings(connection, plan, look.asked, told)
    return list(islice(findings, look.most)), more + sum(1 for _ in findings)


def _gather(connection: duckdb.DuckDBPyConnection, one: Correlation) -> None:
    """The tables of what lies near an episode, and of its evidence: each event within it once."""
    groups = [f"g{at}" for at in range(len(one.group_by))]
    same = "".join(f" AND o.{name} = e.{name}" for name in groups)
    alike = f" SEMI JOIN {_EPISODES} USING ({', '.join(groups)})" if groups else ""
    values = "".join(f", o.v{at}" for at in range(len(one.field) if one.kind in VALUED else 0))
    ahead = one.timespan if one.waits else 0
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_NEAR} AS SELECT e.finding, e.fired, o.event, o.slot, o.time{values} "  # noqa: S608
        f"FROM (SELECT * FROM {_OCCURRENCES}{alike}) AS o ASOF JOIN {_EPISODES} AS e ON o.time >= e.started{same} "
        f"WHERE o.time <= greatest(e.last, e.fired + {ahead})"
    )
    within = f"SELECT DISTINCT finding, event FROM {_NEAR} JOIN {_EPISODES} USING (finding) WHERE time <= last"  # noqa: S608
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_EVIDENCE} AS SELECT finding, k.* EXCLUDE (event) "  # noqa: S608
        f"FROM ({within}) AS w JOIN {KEPT_EVENTS} AS k ON k.event = w.event"
    )


def _findings(
    connection: duckdb.DuckDBPyConnection, plan: Plan, asked: str, told: dict[int, Opening]
) -> Iterator[Finding]:
    one, rows = plan.rule, rows_of(_EVIDENCE)
    if one.kind == "event_count" and one.minimum is not None:
        alarmed, at = rows, max(1, one.minimum)
    else:
        alarmed, at = f"SELECT * FROM ({rows}) JOIN {_EPISODES} USING (finding) WHERE time = fired", 1  # noqa: S608
    alarm = f"SELECT finding, {_PLACE} AS alarm FROM ({alarmed}) QUALIFY row_number() OVER (PARTITION BY finding ORDER BY {_ORDER}) = {at}"  # noqa: S608, E501
    figures = f"SELECT finding, count(*) AS n, min({_PLACE}) AS first_row, max({_PLACE}) AS last_row FROM ({rows}) GROUP BY finding"  # noqa: S608, E501
    groups = "".join(f", e.g{at}" for at in range(len(one.group_by)))
    sql = (
        f"SELECT finding, e.started, e.fired, e.last, e.figure, "  # noqa: S608
        f"n, first_row, last_row, alarm, ids, principals, models{groups} "
        f"FROM {_EPISODES} AS e JOIN ({figures}) USING (finding) JOIN ({alarm}) USING (finding) "
        f"JOIN ({newest(rows, 'finding')}) USING (finding) JOIN ({_tally(rows, 'principal')}) USING (finding) "
        f"JOIN ({_tally(rows, 'model')}) USING (finding) "
        f"WHERE finding IN (SELECT finding FROM {_EVIDENCE} WHERE {asked}) ORDER BY finding"
    )
    found = connection.execute(sql)
    while fetched := found.fetchmany(_FETCHED):
        for columns in fetched:
            yield _finding(plan, told.get(columns[0]), columns[1:])


def _tally(rows: str, name: str) -> str:
    """A query: finding and a list of (name, events), the largest first."""
    counts = f"SELECT finding, {name}, count(*) AS n FROM ({rows}) GROUP BY finding, {name}"  # noqa: S608
    most = f"QUALIFY row_number() OVER (PARTITION BY finding ORDER BY n DESC, {name}) <= {MAX_COUNTED}"
    return f"SELECT finding, list(({name}, n)) AS {name}s FROM (SELECT * FROM ({counts}) {most}) GROUP BY finding"  # noqa: S608


def _finding(plan: Plan, opening: Opening | None, columns: Sequence[Any]) -> Finding:
    started, fired, last, figure, count, first_row, last_row, alarm_row, ids, principals, models, *group = columns
    first = Row(**first_row)
    rows = [Row(0, 0, event_id, "", "", "") for event_id in ids]
    evidence = Evidence(first, Row(**last_row), count, rows, Counter(dict(principals)), Counter(dict(models)))
    if opening is None:
        if plan.rule.kind == "value_sum" and float(figure).is_integer():
            figure = int(figure)  # SQL sums as DOUBLE
        opening = Opening(Row(**alarm_row), figure, ())
    key = tuple(tuple(part) if isinstance(part, list) else part for part in group)
    finding_id = episode_id(plan.rule.meta.detector, key, started)
    episode = Episode(
        finding_id, started, fired, last, 0, first, opening.alarm, evidence, opening.figure, opening.steps
    )
    return finding_of(plan, Group(key), episode)
