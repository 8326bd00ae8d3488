"""The shipped rules: each fires on its technique's attack samples, and none on anybody's benign ones."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
import yaml
from tests.detect.sigma.rule_makers import SECOND, event, feed

import threatmatrix
from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.sigma.compile import RuleSet, compile_rules
from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.model.matrix import RuleSource
from threatmatrix.telemetry.reading import read_events

TECHNIQUES = Path(threatmatrix.__file__).parent / "library" / "techniques"
FILES = sorted(TECHNIQUES.glob("*/rules/*.yml"))
SAMPLES = sorted(TECHNIQUES.glob("*/samples/*.jsonl"))


def sources(files: list[Path]) -> list[RuleSource]:
    return [RuleSource(str(file), file.read_text(encoding="utf-8"), file.parents[1].name) for file in files]


def shipped() -> RuleSet:
    return compile_rules(sources(FILES), strict=True)


def sample(file: Path) -> list[Event]:
    return [one for batch in read_events([file], source="gateway", dead_letters=None) for one in batch]


def test_there_are_rules_and_samples() -> None:
    assert {file.stem for file in FILES} >= {
        "model-metadata-enumeration",
        "scripted-inference-client",
        "inference-burst",
    }
    assert len(SAMPLES) == 2 * len({file.parents[1] for file in FILES})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_rule_is_documented(file: Path) -> None:
    raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert raw["description"]
    assert raw["falsepositives"]
    assert raw["level"]
    assert UUID(raw["id"])
    assert f"threatmatrix.{file.parents[1].name}" in raw["tags"]
    assert set(raw.get("fields", ())) <= EVENT_COLUMNS.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_rule_fires_on_its_attack_samples(file: Path) -> None:
    # Alone where it can be: a rule that a correlation counts is silent beside it.
    alone = compile_rules(sources([file]))
    ruleset = shipped() if alone.refused else alone
    held = feed(ruleset, sample(file.parents[1] / "samples" / "attack.jsonl"))
    title = yaml.safe_load(file.read_text(encoding="utf-8"))["title"]
    assert title in {finding.title for finding in held.values()}


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: f"{file.parents[1].name}-{file.stem}")
def test_benign_samples_fire_nothing(file: Path) -> None:
    found = feed(shipped(), sample(file))
    assert {finding.technique for finding in found.values()} <= {file.parents[1].name}
    if file.stem == "benign":
        assert not found
        own = compile_rules([one for one in sources(FILES) if one.technique == file.parents[1].name])
        assert file.parents[1].name == "online-evasion" or not feed(own, sample(file))


def test_the_burst_needs_a_sliding_window() -> None:
    events = sample(TECHNIQUES / "online-evasion" / "samples" / "attack.jsonl")
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
    spots = RuleEngine(shipped()).visibility({"inference": {"principal", "model"}})
    assert {spot.needs for spot in spots} == {("user_agent",), ("events of category model_access",)}
