"""The shipped rules of the first releases over logs: what they find, and whom they leave alone.

That every rule keeps the tests that it carries is held by tests/conformance/test_library.py.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from tests.detect.sigma.rule_makers import SECOND, event, feed

from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.sigma.compile import RuleSet, compile_rules
from threatmatrix.knowledge import LIBRARY
from threatmatrix.model.event import Event
from threatmatrix.model.matrix import RuleSource
from threatmatrix.telemetry.reading import read_events

TECHNIQUES = LIBRARY / "techniques"
FILES = ("model-metadata-enumeration", "scripted-inference-client", "inference-burst")


@cache
def shipped() -> RuleSet:
    """The three, without the many that came later: how those hang together is their own tests' business."""
    files = sorted(file for name in FILES for file in TECHNIQUES.glob(f"*/rules/{name}.yml"))
    sources = [RuleSource(str(file), file.read_text(encoding="utf-8"), file.parents[1].name) for file in files]
    return compile_rules(sources, strict=True)


def sample(slug: str, name: str) -> list[Event]:
    file = TECHNIQUES / slug / "samples" / name
    return [one for batch in read_events([Path(file)], source="gateway", dead_letters=None) for one in batch]


@pytest.mark.parametrize("slug", ["execution-via-api", "ml-model-discovery", "online-evasion"])
def test_benign_samples_fire_nothing(slug: str) -> None:
    assert not feed(shipped(), sample(slug, "benign.jsonl"))


def test_attack_samples_fire_the_rules_of_their_technique() -> None:
    for slug in ("ml-model-discovery", "online-evasion"):
        found = feed(shipped(), sample(slug, "attack.jsonl"))
        assert slug in {finding.technique for finding in found.values()}


def test_the_burst_needs_a_sliding_window() -> None:
    events = sample("online-evasion", "attack.jsonl")
    minutes = [one.time // (60 * SECOND) for one in events]
    assert max(minutes.count(minute) for minute in set(minutes)) < 100
    (finding,) = feed(shipped(), events).values()
    assert finding.event_count == len(events)
    assert "script's worth of inputs" in finding.explanation


def test_honest_clients_stay_below_the_burst() -> None:
    batch = [event(n, at=n * 2, user_agent="python-httpx/0.28") for n in range(900)]
    app = [event(1000 + n, at=n / 10, user_agent="DigitsApp/2.3 (Android 14)") for n in range(900)]
    assert not feed(shipped(), batch, app)
    assert feed(shipped(), [event(n, at=n * 0.6, user_agent="python-httpx/0.28") for n in range(100)])


def test_the_rules_say_what_they_need() -> None:
    with RuleEngine(shipped()) as engine:
        spots = engine.visibility({"inference": {"principal", "model"}})
    assert {spot.needs for spot in spots} == {("user_agent",), ("events of category model_access",)}
