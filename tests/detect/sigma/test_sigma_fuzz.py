"""Whatever stands in a rule file, it compiles and runs or is refused by name."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.sigma.rule_makers import count, event, feed, selection, source
from tests.detect.sigma.rule_strategies import rules

from threatmatrix.detect.sigma.compile import compile_rules
from threatmatrix.detect.sigma.schema import EVENTS
from threatmatrix.model.matrix import RuleSource

BASE = {**selection(model="digits"), "name": "base"}


@settings(max_examples=40, deadline=None)
@given(rules(EVENTS), st.data())
def test_a_mangled_rule_compiles_and_runs_or_is_refused(written: dict[str, Any], data: st.DataObject) -> None:
    text = yaml.safe_dump(written, sort_keys=False, allow_unicode=True)
    start = data.draw(st.integers(0, len(text)))
    end = min(len(text), start + data.draw(st.integers(0, 12)))
    inserted = data.draw(st.sampled_from(["", "|", "*", "\\", "'", "[", ": ", "- ", "\n", "%", "not ", "é", "\x00"]))
    ruleset = compile_rules([RuleSource("x.yml", text[:start] + inserted + text[end:], "t")])
    assert len(ruleset.refused) + len(ruleset.rules) >= 1
    feed(ruleset, [event(user_agent="a", src_ip="10.0.0.7")])


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    ruleset = compile_rules([RuleSource("x.yml", text, "t")])
    assert len(ruleset.refused) >= 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("title", "id", "name", "level", "status", "tags", "fields", "falsepositives", "references", "date", "related")


@settings(max_examples=50, deadline=None)
@given(st.sampled_from([*KEYS, "logsource", "detection", "correlation", "taxonomy", "generate", "description"]), JSON)
def test_any_value_anywhere_compiles_or_is_refused(key: str, value: Any) -> None:
    for document in (BASE, count(2)):
        ruleset = compile_rules([source({**document, key: value})])
        assert len(ruleset.refused) + len(ruleset.rules) + len(ruleset.correlations) == 1


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(["user_agent", "status", "vec_scale", 'a"; --', "x y"]), JSON, min_size=1))
def test_any_selection_compiles_or_is_refused(fields: dict[str, Any]) -> None:
    ruleset = compile_rules([source(selection(**fields))])
    assert len(ruleset.refused) + len(ruleset.rules) == 1
    feed(ruleset, [event()])
