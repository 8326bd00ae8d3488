"""Rules and events in few words, for the tests of Sigma."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.sigma.compile import RuleSet, compile_rules
from threatmatrix.model.detection import Finding
from threatmatrix.model.errors import RuleError
from threatmatrix.model.event import Event
from threatmatrix.model.matrix import RuleSource

SECOND = 1_000_000
START = 1_760_000_400 * SECOND  # a full hour


def rule(detection: dict[str, Any], **more: Any) -> dict[str, Any]:
    base = {"title": "A rule", "logsource": {"category": "inference"}, "detection": detection}
    return {**base, **more}


def selection(**fields: Any) -> dict[str, Any]:
    return rule({"selection": fields, "condition": "selection"})


def count(minimum: int, timespan: str = "10s", group_by: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """A correlation over a rule named ``base``."""
    correlation: dict[str, Any] = {"type": "event_count", "rules": ["base"], "timespan": timespan}
    correlation |= {"group-by": ["principal"] if group_by is None else group_by, "condition": {"gte": minimum}}
    return {"title": "Many", "correlation": {**correlation, **more}}


def source(*documents: dict[str, Any], file: str = "rule.yml", technique: str = "online-evasion") -> RuleSource:
    return RuleSource(file, yaml.safe_dump_all(documents, sort_keys=False), technique)


def compiled(*documents: dict[str, Any]) -> RuleSet:
    return compile_rules([source(*documents)], strict=True)


def refusal(*documents: dict[str, Any]) -> RuleError:
    ruleset = compile_rules([source(*documents)])
    assert len(ruleset.refused) == 1, ruleset
    return ruleset.refused[0]


def event(number: int = 0, *, at: float = 0, **fields: Any) -> Event:
    """Event ``number``, ``at`` seconds after START."""
    base: dict[str, Any] = {"event_id": f"e{number:05d}", "time": START + round(at * SECOND), "source": "gateway"}
    base |= {"category": "inference", "principal": "alice", "model": "digits", "system": "reader"}
    return Event(**{**base, **fields})


def feed(ruleset: RuleSet, *batches: Iterable[Event], lateness: int | None = None) -> dict[str, Finding]:
    """Findings by id as a store would hold them after these batches."""
    held: dict[str, Finding] = {}
    with RuleEngine(ruleset, lateness=lateness) as engine:
        for batch in batches:
            held.update((finding.finding_id, finding) for finding in engine.feed(list(batch)))
    return held


def fires(document: dict[str, Any], **fields: Any) -> bool:
    return bool(feed(compiled(document), [event(**fields)]))
