"""Findings of rules for single events, from a table of hits: what ``engines.counting.matches`` makes of a stream.

One rule, system, tenant, principal, model and full hour (UTC) is one finding. A stream lets a finding go when 5,000 of
a rule grow at once, and begins another; here each is whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb

from threatmatrix.detect.engines.counting.evidence import MAX_EVENT_IDS, Evidence, Row, make_finding
from threatmatrix.detect.engines.counting.identity import stable_id
from threatmatrix.detect.engines.counting.matches import HOUR
from threatmatrix.detect.sigma.rules import EventRule
from threatmatrix.model.detection import Finding

__all__ = ["ROW", "match_findings", "newest", "rows_of"]

ROW = "{'time': time, 'row': \"row\", 'event_id': event_id}"
"""A row's place in the order of evidence: by time, then by place in the request, then by id."""

_KEY = "rule, system, tenant, principal, model, hour"
_FETCHED = 500  # findings at a time: each may name a thousand events


def rows_of(table: str, where: str = "true") -> str:
    """A query for the rows of evidence in ``table``; texts are empty where the source does not say."""
    texts = ", ".join(f"coalesce({name}, '') AS {name}" for name in ("system", "principal", "model"))
    return f'SELECT * REPLACE ({texts}, coalesce("row", 0) AS "row") FROM {table} WHERE {where}'  # noqa: S608


def newest(rows: str, key: str) -> str:
    """A query for key and ``ids``: those of the newest events of each key, in order."""
    order = 'time DESC, "row" DESC, event_id DESC'
    kept = f'SELECT {key}, time, "row", event_id FROM ({rows}) QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {order}) <= {MAX_EVENT_IDS}'  # noqa: S608, E501
    return f'SELECT {key}, list(event_id ORDER BY time, "row", event_id) AS ids FROM ({kept}) GROUP BY {key}'  # noqa: S608


def match_findings(
    connection: duckdb.DuckDBPyConnection, rules: Sequence[EventRule], table: str, where: str, most: dict[int, int]
) -> Iterator[Finding]:
    """Findings by rule, and in time order for each.

    ``table`` has ``rule`` (place in ``rules``) and the columns of evidence, of full hours. ``most``: place → how many
    findings more of this rule are wanted; it is counted down, below zero too.
    """
    hour = f"(time - ((time % {HOUR}) + {HOUR}) % {HOUR}) // {HOUR} AS hour"
    rows = f"SELECT * REPLACE (coalesce(tenant, '') AS tenant), {hour} FROM ({rows_of(table, where)})"  # noqa: S608
    grouped = f"SELECT {_KEY}, count(*) AS n, min({ROW}) AS first, max({ROW}) AS last FROM ({rows}) GROUP BY {_KEY}"  # noqa: S608
    sql = f"SELECT {_KEY}, n, first, last, ids FROM ({grouped}) JOIN ({newest(rows, _KEY)}) USING ({_KEY}) ORDER BY rule, first"  # noqa: S608, E501
    found = connection.execute(sql)
    while fetched := found.fetchmany(_FETCHED):
        for rule, *columns in fetched:
            most[rule] -= 1
            if most[rule] >= 0:
                yield _finding(rules[rule], *columns)


def _finding(rule: EventRule, *columns: Any) -> Finding:
    """``columns``: those of the key but the rule, then events, first, last, ids."""
    system, tenant, principal, model, hour, count, first, last, ids = columns

    def row(place: dict[str, Any]) -> Row:
        return Row(place["time"], place["row"], place["event_id"], principal, system, model)

    finding_id = stable_id(rule.meta.detector, system, tenant, principal, model, hour, first["event_id"])
    newest_rows = [Row(0, 0, name, principal, system, model) for name in ids]
    counted = Counter({principal: count}), Counter({model: count})
    evidence = Evidence(row(first), row(last), count, newest_rows, *counted)
    return make_finding(rule, finding_id, evidence, evidence.first, {}, opened=evidence.first)
