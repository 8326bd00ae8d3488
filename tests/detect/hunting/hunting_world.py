"""Events into a table, a hunt over it, and the stream that it is held to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import duckdb
from tests.detect.sigma.rule_makers import SECOND, selection

from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.hunting.hunt import Hunt
from threatmatrix.detect.hunting.only import EVERYTHING, Only
from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.model.detection import Finding
from threatmatrix.model.event import Event
from threatmatrix.telemetry.columns import to_table

HOUR = 3600 * SECOND
FOREVER = 10**15


def hunted(
    ruleset: RuleSet, events: Sequence[Event], *, only: Only = EVERYTHING, repeats: bool = False, **more: Any
) -> dict[str, Finding]:
    """Findings by id, the events given in portions of one hour each and in no order within."""
    found: dict[str, Finding] = {}
    for finding in hunt_of(ruleset, events, only=only, repeats=repeats, **more)[1]:
        assert finding.finding_id not in found
        found[finding.finding_id] = finding
    return found


def hunt_of(
    ruleset: RuleSet, events: Sequence[Event], *, only: Only = EVERYTHING, repeats: bool = False, **more: Any
) -> tuple[Hunt, list[Finding]]:
    """The hunt when it is over, and its findings."""
    with closing(duckdb.connect()) as connection:
        to_table(connection, "events", events[::-1])
        hunt = Hunt(ruleset, connection, only=only, **more)
        found: list[Finding] = []
        for hour in sorted({one.time // HOUR for one in events}):
            within = f"time >= {hour * HOUR} AND time < {(hour + 1) * HOUR}"
            connection.execute(f"CREATE OR REPLACE TEMP VIEW hour AS SELECT * FROM events WHERE {within}")
            found += hunt.scan("hour", repeats=repeats)
        return hunt, found + hunt.finish()


def in_time(events: Sequence[Event]) -> list[Event]:
    return sorted(events, key=lambda one: (one.time, one.row or 0, one.event_id))


def streamed(ruleset: RuleSet, events: Sequence[Event]) -> dict[str, Finding]:
    """What the stream says of the same events in the order of time, and when they have ended."""
    with RuleEngine(ruleset, lateness=FOREVER) as engine:
        found = [*engine.feed(in_time(events)), *engine.finish()]
    return {one.finding_id: one for one in found}


def base(name: str, **fields: Any) -> dict[str, Any]:
    """A rule that a correlation can name."""
    return {**selection(**fields), "title": f"Rule {name}", "name": name, "level": "low"}


def correlation(kind: str, rules: list[str], condition: Any = None, **more: Any) -> dict[str, Any]:
    """A correlation over rules by name, within 60 s by principal unless told otherwise."""
    inner: dict[str, Any] = {"type": kind, "rules": rules, "group-by": ["principal"], "timespan": "60s", **more}
    if condition is not None:
        inner["condition"] = condition
    return {"title": f"{kind} {' '.join(rules)}", "description": "Somebody does it again.", "correlation": inner}
