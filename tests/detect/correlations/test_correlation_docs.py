"""docs/correlations.md, run: every example compiles and fires when it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.detect.correlations import correlation_oracle as oracle
from tests.detect.correlations.correlation_oracle import Occurrence
from tests.detect.correlations.correlation_tables import DIALECTS, tables

from threatmatrix.detect.sigma.compile import RuleSet, compile_rules
from threatmatrix.detect.sigma.rules import Correlation
from threatmatrix.model.matrix import RuleSource

TEXT = (Path(__file__).parents[3] / "docs" / "correlations.md").read_text(encoding="utf-8")
(RULES,) = re.findall(r"```yaml rules\n(.*?)```", TEXT, re.DOTALL)
EXAMPLES = re.findall(r"```yaml fires (\d+)\n(.*?)```", TEXT, re.DOTALL)
SECOND = 1_000_000


def ruleset() -> RuleSet:
    text = "---\n".join([RULES, *(example for _, example in EXAMPLES)])
    return compile_rules([RuleSource("docs/correlations.md", text, "t")], strict=True)


def occurrences(rule: Correlation, steps: list[list[str]], known: dict[str, Correlation]) -> list[Occurrence]:
    made = []
    for slot, key in enumerate(rule.rules):
        if key in known:
            inner = occurrences(known[key], steps, {})
            made += [Occurrence(one.time, slot, one.time, one.group) for one in oracle.firings(known[key], inner)]
        for at, (name, time, *more) in enumerate(steps):
            if name == key:
                event: dict[str, Any] = {
                    "principal": "p",
                    "object": (more or [None])[0],
                    "session": (more or [None])[0],
                }
                event["rows"] = int(more[1]) if len(more) > 1 else None
                group = tuple(event[rule.column(field, key)] for field in rule.group_by)
                values = tuple(event[rule.column(field, key)] for field in rule.field)
                made.append(Occurrence(1000 + at, slot, int(time) * SECOND, group, values))
    return made


@pytest.mark.parametrize(
    ("fires", "example"), EXAMPLES, ids=[re.findall("name: (.*)", text)[0] for _, text in EXAMPLES]
)
def test_an_example_fires_when_the_page_says(fires: str, example: str) -> None:
    known = {one.meta.key: one for one in ruleset().correlations}
    document = yaml.safe_load(example)
    rule = known[document["name"]]
    (timeline,) = re.findall(r"# rule, second, object and rows of the events: (.*)", example)
    steps = [step.split() for step in timeline.split(", ")]
    made = occurrences(rule, steps, known)
    until = max(int(step[1]) for step in steps) * SECOND
    assert [one.time for one in oracle.firings(rule, made, until)] == [int(fires) * SECOND]
    kind = "BIGINT" if rule.kind == "value_sum" else "VARCHAR"
    with tables(groups=len(rule.group_by), values=len(rule.field), value=kind) as held:
        held.fill(made)
        for dialect in DIALECTS:
            assert [one.fired for one in held.episodes(rule, dialect, until)] == [int(fires) * SECOND]


def test_every_kind_has_an_example() -> None:
    assert {one.kind for one in ruleset().correlations} == {
        *("event_count", "value_count", "value_sum", "temporal", "temporal_ordered")
    }
