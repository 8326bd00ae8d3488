"""docs/rules.md, run: every example compiles, every table row comes out as written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.detect.sigma.rule_makers import compiled, event, feed, rule

from threatmatrix.detect.sigma.compile import compile_rules
from threatmatrix.detect.sigma.levels import CONFIDENCE
from threatmatrix.detect.sigma.pipeline_conditions import CONDITIONS
from threatmatrix.detect.sigma.rules import KINDS, VALUED
from threatmatrix.detect.sigma.transformations import TRANSFORMATIONS
from threatmatrix.model.matrix import RuleSource

TEXT = (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")
PIPELINES = re.findall(r"```yaml pipeline\n(.*?)```", TEXT, re.DOTALL)
RULES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def table(heading: str, columns: int) -> list[tuple[str, ...]]:
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    assert cells
    assert all(len(row) == columns for row in cells)
    return [tuple(row) for row in cells]


def test_the_examples_compile_together_and_fire() -> None:
    ruleset = compile_rules([RuleSource("docs/rules.md", "---\n".join(RULES), "execution-via-api")], strict=True)
    assert (len(ruleset.rules), len(ruleset.correlations)) == (1, 1)
    events = [event(n, at=20 + n * 0.6, user_agent="curl/8") for n in range(100)]
    (finding,) = feed(ruleset, events).values()
    assert finding.explanation.startswith(
        "One account sends more than a person would: 100 events by alice on model digits"
    )
    assert not feed(ruleset, events[:99])
    assert not feed(ruleset, [event(n, at=20 + n * 0.6, user_agent="curl/8", principal=None) for n in range(100)])


def test_the_rule_alone_raises_one_finding() -> None:
    ruleset = compile_rules([RuleSource("docs/rules.md", RULES[0], "execution-via-api")], strict=True)
    (finding,) = feed(ruleset, [event(n, at=n, user_agent="curl/8") for n in range(5)]).values()
    assert finding.explanation.startswith(
        "A program that nobody here knows sends inputs to the model: 5 events by alice"
    )
    assert not feed(ruleset, [event(user_agent="curl/8", principal="nightly-batch")])


def test_confidence_is_as_the_table_says() -> None:
    assert {f"`{level.name}`": str(value) for level, value in CONFIDENCE.items()} == {
        row[0]: row[1] for row in table("A rule", 2)
    }


def test_the_table_of_correlations_names_every_type() -> None:
    named = [kind.strip("` ") for row in table("Other correlations", 2) for kind in row[0].split(",")]
    assert sorted(named) == sorted(KINDS)
    for kind in named:
        correlation: dict[str, Any] = {"type": kind, "rules": ["base", "other"], "timespan": "1m"}
        if kind in VALUED | {"event_count"}:
            correlation["condition"] = {"gte": 1, **({"field": "rows"} if kind in VALUED else {})}
        if kind == "value_percentile":
            correlation["condition"]["percentile"] = 90
        base, other = (
            {**rule({"s": {"operation": name}, "condition": "s"}), "name": name} for name in ("base", "other")
        )
        ruleset = compiled(base, {**other, "title": "Other"}, {"title": "Many", "correlation": correlation})
        assert feed(ruleset, [event(0, operation="base", rows=1), event(1, at=1, operation="other", rows=1)])
        assert not feed(ruleset, [event(0, operation="neither", rows=1)])


@pytest.mark.parametrize(("written", "matching", "other"), table("What matches", 3))
def test_matches(written: str, matching: str, other: str) -> None:
    document: dict[str, Any] = {"title": "t", "logsource": {"category": "inference"}}
    document["detection"] = {"s": yaml.safe_load(written.strip("`")), "condition": "s"}
    ruleset = compile_rules([RuleSource("t.yml", yaml.safe_dump(document), "t")], strict=True)
    assert feed(ruleset, [event(**json.loads(matching.strip("`")))])
    assert not feed(ruleset, [event(**json.loads(other.strip("`")))])


@pytest.mark.parametrize(("written", "message"), table("What is refused", 2))
def test_refused(written: str, message: str) -> None:
    change = written.strip("`")
    base = "title: t\n"
    if not change.startswith("correlation"):
        base += "" if change.startswith("logsource") else "logsource: {category: inference}\n"
        base += "" if change.startswith("detection") else "detection: {s: {model: x}, condition: s}\n"
    change = re.sub(r"([{ ])([\w|]+\|\w+):", r'\1"\2":', change)
    change = re.sub(r"condition: (s \| .*)}", r'condition: "\1"}', change)
    (error,) = compile_rules([RuleSource("t.yml", f"{base}{change}\n", "t")]).refused
    assert message in str(error)


def test_the_pipeline_maps_a_rule_of_others() -> None:
    detection = {"s": {"UserName|expand": "%Admins%", "ClientIP|cidr": "10.0.0.0/8"}, "condition": "s"}
    rule = {"title": "t", "logsource": {"product": "portal"}, "detection": detection, "fields": ["UserName"]}
    (pipeline,) = PIPELINES
    sources = [RuleSource("t.yml", yaml.safe_dump(rule), "t")]
    ruleset = compile_rules(sources, strict=True, pipelines=[RuleSource("p.yml", pipeline, "")])
    assert ruleset.rules[0].meta.fields == ("principal",)
    assert feed(ruleset, [event(category="authentication", principal="ADM-7", src_ip="10.1.2.3")])
    assert not feed(ruleset, [event(category="authentication", principal="ann", src_ip="10.1.2.3")])


def test_every_transformation_and_condition_is_named() -> None:
    section = TEXT.split("## Rules of others: pipelines\n")[1].split("\n## ")[0]
    listed = re.search(r"Transformations: (.*?)\n- ", section, re.DOTALL)
    assert listed is not None
    assert set(re.findall(r"`(\w+)`", listed[1])) == set(TRANSFORMATIONS)
    assert set(re.findall(r"`(\w+)`", section)) >= CONDITIONS
