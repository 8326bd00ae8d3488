"""The conformance corpus, and the ways to run an entry: our SQL, the oracle, and pysigma-backend-sqlite."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from tests.detect.correlations.correlation_oracle import Episode, Firing, Group, Occurrence

from threatmatrix.detect.sigma.compile import RuleSet, compile_rules
from threatmatrix.detect.sigma.rules import TEMPORAL, Correlation
from threatmatrix.detect.sigma.schema import Schema
from threatmatrix.model.matrix import RuleSource

HERE = Path(__file__).parent / "corpus"
SECOND = 1_000_000
TEXTS = ("who", "host", "peer", "file")
SCHEMA = Schema(
    fields={**dict.fromkeys(("category", "kinds", *TEXTS), "VARCHAR"), "time": "BIGINT", "size": "BIGINT"},
    categories=("test",),
    keywords=(),
)
Fires = dict[str, list[int]]
Judge = Callable[[Correlation, list[Occurrence], int], list[Any]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One example: a correlation, a timeline and what comes of it."""

    title: str
    rules: str  # YAML documents
    events: tuple[dict[str, Any], ...]
    until: int  # seconds
    fires: Fires
    differs: str  # why pysigma-backend-sqlite says something else

    @property
    def ruleset(self) -> RuleSet:
        return _compiled(self.rules)


@cache
def _compiled(rules: str) -> RuleSet:
    return compile_rules([RuleSource("corpus.yml", rules, "")], schema=SCHEMA, strict=True)


def entries() -> list[Entry]:
    return [_entry(raw) for path in sorted(HERE.glob("*.yml")) for raw in yaml.safe_load(path.read_text("utf-8"))]


def _entry(raw: dict[str, Any]) -> Entry:
    events = tuple({"who": "p", **event} for event in raw["events"])
    documents: list[dict[str, Any]] = [
        {
            "title": name,
            "name": name,
            "logsource": {"category": "test"},
            "detection": {"s": {"kinds|contains": name}, "condition": "s"},
        }
        for name in "abcd"
        if any(name in event["kind"] for event in events) or name in str(raw["correlation"]) + str(raw.get("inner", ""))
    ]
    if "inner" in raw:
        documents.append({"title": "inner", "name": "inner", "correlation": raw["inner"]})
    documents.append({"title": "outer", "name": "outer", "correlation": raw["correlation"]})
    until = raw.get("until", max(event["at"] for event in events))
    text = yaml.safe_dump_all(documents, sort_keys=False)
    return Entry(raw["title"], text, events, until, raw["fires"], raw.get("sqlite", ""))


def run(entry: Entry, firing: Judge, episodes: Judge) -> Fires:
    """What the last correlation of an entry fires, by judges of one correlation over its occurrences."""
    matched = {rule.meta.key: _matches(entry, rule.meta.name) for rule in entry.ruleset.rules}
    for correlation in entry.ruleset.correlations:
        made = _occurrences(entry, correlation, matched)
        found: list[Firing] = firing(correlation, made, entry.until)
        fired = _by_group((one.group, one.time) for one in found)
        if correlation is entry.ruleset.correlations[-1]:
            return fired
        merged: list[Episode] = episodes(correlation, made, entry.until)
        moments = {(one.group, one.time) for one in found}
        starts = {(one.group, one.fired) for one in merged}
        # The firing events; of an episode, the first alone.
        key = correlation.meta.key
        matched[key, True] = sorted({one.event for one in made if (one.group, one.time) in moments})  # type: ignore[index]
        matched[key, False] = sorted(  # type: ignore[index]
            {min(one.event for one in made if (one.group, one.time) == start) for start in starts}
        )
    raise AssertionError("an entry has a correlation")


def _matches(entry: Entry, name: str) -> list[int]:
    return [at for at, event in enumerate(entry.events) if name in event["kind"]]


def _occurrences(entry: Entry, correlation: Correlation, matched: dict[Any, list[int]]) -> list[Occurrence]:
    made = []
    for slot, key in enumerate(correlation.rules):
        group = [correlation.column(name, key) for name in correlation.group_by]
        values = [correlation.column(name, key) for name in correlation.field]
        for at in matched[key] if key in matched else matched[key, correlation.kind in TEMPORAL]:
            event = entry.events[at]
            told = tuple(event.get(name) for name in group)
            if None not in told:
                made.append(Occurrence(at, slot, event["at"] * 1, told, tuple(event.get(name) for name in values)))
    return made


def run_sqlite(entry: Entry) -> Fires:
    """The same by pysigma-backend-sqlite, whole: rules, events in a table, and its own plan."""
    backend = sqliteBackend(
        table="logs", timestamp_field="time", timestamp_format="unix", event_id_field="id", observation_end=entry.until
    )
    collection = SigmaCollection.from_yaml(entry.rules)
    *_, query = backend.convert(collection)
    outer = next(rule for rule in collection.rules if rule.name == "outer")
    with closing(sqlite3.connect(":memory:")) as con:
        con.execute(f"CREATE TABLE logs (id INTEGER, time REAL, kinds TEXT, {', '.join(TEXTS)}, size INTEGER)")
        for at, event in enumerate(entry.events):
            kinds = " ".join(event["kind"])
            row = (at, event["at"], kinds, *(event.get(name) for name in TEXTS), event.get("size"))
            con.execute(f"INSERT INTO logs VALUES ({', '.join('?' * len(row))})", row)
        alerts = con.execute(f"SELECT group_keys, window_start, window_end FROM ({query})").fetchall()
    ahead = "not " in str(outer.condition.to_dict())
    names = outer.group_by or []
    return _by_group(
        (tuple(json.loads(keys)[name] for name in names), round(start if ahead else end)) for keys, start, end in alerts
    )


def _by_group(found: Iterable[tuple[Group, int]]) -> Fires:
    times: defaultdict[str, set[int]] = defaultdict(set)
    for group, time in found:
        times["/".join(map(str, group))].add(time)
    return {group: sorted(each) for group, each in times.items()}
