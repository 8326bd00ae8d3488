"""``hunt`` as an analyst types it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.conftest import Cli, json_of

from threatmatrix.knowledge import Library, load_library
from threatmatrix.model.matrix import RuleSource

BURST = "Many inputs by a script"
RULES = f"""
title: Input by a script
name: by_script
logsource: {{category: inference}}
detection: {{s: {{user_agent|startswith: python-}}, condition: s}}
---
title: {BURST}
description: One account sends many inputs.
correlation: {{type: event_count, rules: [by_script], group-by: [principal], timespan: 1m, condition: {{gte: 100}}}}
level: medium
"""


@pytest.fixture(scope="module")
def shipped() -> Library:
    """The library with two rules: to compile them all takes a second for each command."""
    library = load_library()
    techniques = {slug: replace(each, rules=()) for slug, each in library.techniques.items()}
    rules = (RuleSource("burst.yml", RULES, "online-evasion"),)
    techniques["online-evasion"] = replace(techniques["online-evasion"], rules=rules)
    return replace(library, techniques=techniques, suppressions=())


@pytest.fixture
def filled(cli: Cli, sample: dict[str, Path]) -> Cli:
    assert cli("--quiet", "ingest", sample["attack"]).code == 0
    return cli


def test_a_hunt_says_what_detect_says_and_keeps_it_only_when_told(filled: Cli, sample: dict[str, Path]) -> None:
    [finding] = [
        one
        for one in json_of(filled("detect", sample["attack"], "--format", "json"))["findings"]
        if one["title"] == BURST
    ]
    said = filled("hunt", "--rule", BURST, "--format", "json")
    assert said.code == 1
    report = json_of(said)
    assert report["findings"] == [finding]
    assert report["events"] == finding["event_count"]
    assert report["damaged"] == report["refused_rules"] == report["unread_rule_files"] == []
    assert "day 1 of 1" in said.err
    assert json_of(filled("incidents", "--format", "json")) == []
    kept = filled("--quiet", "hunt", "--rule", BURST, "--record", "--fail-on", "high")
    assert kept.code == 0
    assert "Online evasion" in kept.out
    assert "1 incident new or grown" in kept.err
    assert "events/s), 1 finding" in kept.err
    [line] = filled(
        "hunt", "--rule", BURST, "--format", "jsonl", "--technique", "AML.T0015", "--record"
    ).out.splitlines()[:1]
    assert json.loads(line)["technique"] == "online-evasion"
    assert len(json_of(filled("incidents", "--format", "json"))) >= 1


def test_nothing_to_judge_leaves_with_two(filled: Cli, cli: Cli) -> None:
    assert "not one event was there to judge" in filled("hunt", "--rule", BURST, "--until", "2001-01-01").error
    assert "Did you mean" in filled("hunt", "--technique", "online-evason").error
    assert cli("--home", "another", "hunt").code == 2


def test_damage_and_blind_rules_are_named(filled: Cli, place: Path) -> None:
    day = next((place / ".threatmatrix" / "lake").glob("day=*"))
    (day / "part-torn.parquet").write_bytes(b"PAR1 and no end")
    own = place / "own.yml"
    own.write_text(
        "title: Nobody\nlogsource: {category: model_registry}\ndetection: {s: {principal: x}, condition: s}\n"
    )
    said = filled("hunt", "--rule", "Nobody", "--rules", own)
    assert said.code == 0
    assert "No findings, but that is not clean: no visibility for Nobody." in said.out
    assert "Nobody: no visibility: needs events of category model_registry" in said.err
    assert f"{day.name}/part-torn.parquet: damaged" in said.err
