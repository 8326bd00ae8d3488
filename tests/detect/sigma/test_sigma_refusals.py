"""What is refused: by name, with file and line, without stopping the other rules."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.sigma.rule_makers import compiled, count, event, feed, refusal, rule, selection, source

from threatmatrix.detect.sigma.compile import compile_rules
from threatmatrix.model.errors import RuleError
from threatmatrix.model.matrix import RuleSource

BASE = {**selection(model="digits"), "name": "base"}
MODIFIERS = ["re", "i", "m", "s", "cidr", "gt", "gte", "lt", "lte", "exists", "fieldref", "windash", "base64"]
MODIFIERS += ["base64offset", "wide", "utf16", "utf16be", "expand", "neq", "hour", "nonsense"]


@pytest.mark.parametrize("modifier", MODIFIERS)
def test_modifiers(modifier: str) -> None:
    error = refusal(selection(**{f"user_agent|{modifier}": "1"}))
    assert f"modifier '{modifier}' is not supported" in str(error)
    assert error.choices == ("all", "cased", "contains", "endswith", "startswith")
    assert (error.file, error.line) == ("rule.yml", 6)


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (selection(user_agent="a*b"), "wildcard * inside"),
        (selection(user_agent="a?"), "wildcard ?"),
        (selection(user_agent=None), "null"),
        (selection(user_agent=[]), "empty list"),
        (selection(user_agent=True), "true and false"),
        (selection(model_version=1.1), "YAML has already rounded"),
        (selection(status="ok"), "is a number"),
        (selection(status=1.5), "whole numbers"),
        (selection(status=2**63), "out of range"),
        (selection(latency_ms=float("inf")), "nfinit|out of range|Invalid number"),
        (selection(output_scores="1"), "cannot be compared"),
        (selection(input_vec="x"), "cannot be compared"),
        (selection(**{"user_agent|all": "x"}), "at least two values"),
        (selection(**{"user_agent|contains|startswith": "x"}), "contradict"),
        (selection(**{"|contains": "x"}), "keywords"),
        (rule({"keywords": ["a", "b"], "condition": "keywords"}), "keywords"),
        (rule({"keywords": "a", "condition": "keywords"}), "keywords"),
        (rule({"s": {}, "condition": "s"}), "is empty"),
        (rule({"s": {"model": {"x": 1}}, "condition": "s"}), "text or a number"),
        (rule({"s": {"model": "x"}, "condition": ["s", "s"]}), "list of conditions"),
        (rule({"s": {"model": "x"}}), "a condition"),
        (rule({"s": {"model": "x"}, "condition": "s | count() > 5"}), "aggregation"),
        (rule({"s": {"model": "x"}, "timeframe": "1m", "condition": "s"}), "timeframe"),
        (rule({"s": {"model": "x"}, "condition": "s or 1 of nothing*"}), "matches no search identifier"),
        (rule({"s": {"model": "x"}, "condition": "s near t"}), "'near' is neither"),
        (rule({"s": {"model": "x"}, "condition": "s and and"}), ""),
        (rule({"notable": {"model": "x"}, "condition": "notable"}), "begins with an operator"),
        (rule({"s": {"model": "x"}, "condition": "2 of s*"}), "'2' is neither"),
        ({**selection(model="x"), "logsource": {"category": "process_creation"}}, "process_creation"),
        ({**selection(model="x"), "logsource": {"category": "inference", "product": "windows"}}, "logsource.product"),
        ({**selection(model="x"), "logsource": {"service": "sshd"}}, "logsource.service"),
        ({**selection(model="x"), "taxonomy": "ecs"}, "taxonomy 'ecs'"),
        ({**selection(model="x"), "status": "unsupported"}, "unsupported"),
        ({**selection(model="x"), "level": "urgent"}, "urgent"),
        ({**selection(model="x"), "id": "no-uuid"}, "UUID"),
        ({"title": "f", "filter": {}, "logsource": {}}, "Sigma filters"),
        ({"title": "g", "action": "global"}, "action"),
        ({"title": "d", "logsource": {"category": "inference"}}, "detection"),
    ],
)
def test_rules(document: dict[str, Any], named: str) -> None:
    error = refusal(document)
    assert any(part in str(error) for part in named.split("|"))
    assert str(error).startswith("rule.yml:")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"type": "value_count"}, "'value_count'"),
        ({"type": "temporal"}, "'temporal'"),
        ({"type": "temporal_ordered"}, "'temporal_ordered'"),
        ({"condition": {"lt": 3}}, "'lt'"),
        ({"condition": {"lte": 3}}, "'lte'"),
        ({"condition": {"eq": 3}}, "'eq'"),
        ({"condition": {"gte": 3, "gt": 5}}, "not both"),
        ({"condition": {"gte": 3, "field": "model"}}, "'field'"),
        ({"condition": {"gte": 0}}, "at least one event"),
        ({"condition": {"gte": 2.5}}, "whole number"),
        ({"condition": {"gte": True}}, "whole number"),
        ({"condition": "base"}, "gte"),
        ({"aliases": {"who": {"base": "principal"}}}, "aliases"),
        ({"timespan": "1M"}, "'1M'"),
        ({"timespan": "0s"}, "'0s'"),
        ({"timespan": 60}, "60"),
        ({"group-by": ["output_scores"]}, "cannot group by 'output_scores'"),
        ({"rules": ["nobody"]}, "no rule 'nobody'"),
        ({"rules": []}, "names the rules"),
        ({"generate": "yes"}, "true or false"),
    ],
)
def test_correlations(change: dict[str, Any], named: str) -> None:
    assert named in str(refusal(BASE, count(3, **change)))


def test_a_correlation_of_a_correlation() -> None:
    error = refusal(BASE, {**count(3), "name": "many"}, {**count(3, rules=["many"]), "title": "More"})
    assert "correlations of correlations" in str(error)


def test_a_correlation_over_a_refused_rule_goes_with_it() -> None:
    ruleset = compile_rules([source({**selection(**{"model|re": "x"}), "name": "base"}, count(3))])
    assert ["modifier 're'" in str(ruleset.refused[0]), "was refused" in str(ruleset.refused[1])] == [True, True]
    assert not ruleset.rules
    assert not ruleset.correlations


def test_the_other_rules_keep_running() -> None:
    broken = [RuleSource("a.yml", "title: [", "t"), source(selection(**{"model|re": "x"}), file="b.yml")]
    ruleset = compile_rules([*broken, source(BASE, file="c.yml")])
    assert [error.file for error in ruleset.refused] == ["a.yml", "b.yml"]
    assert len(feed(ruleset, [event()])) == 1
    with pytest.raises(RuleError, match=r"a\.yml"):
        compile_rules(broken, strict=True)


def test_two_rules_may_not_share_an_id_or_a_name() -> None:
    assert "already taken" in str(refusal(BASE, {**BASE, "title": "Other"}))
    identity = {"id": "0a4b7f0c-9d35-4e0a-8f3c-2b1f4d6e7a90"}
    assert "already taken" in str(refusal(selection(model="x") | identity, selection(model="y") | identity))


@pytest.mark.parametrize(
    ("text", "named", "line"),
    [
        ("a: &x 1\nb: *x\n", "anchors and aliases", 1),
        ("a: &a [1]\nb: &b [*a, *a]\n", "anchors and aliases", 1),
        ("title: x\ntitle: y\n", "twice", 2),
        ("title: x\nyes: y\n", "a key must be text", 2),
        ("- a\n", "mapping", 1),
        ("", "no rule", None),
        ("---\n---\n", "no rule", None),
        ("[" * 40, "levels", 1),
        ("title: !!python/object:os.system x\n", "the YAML tag", 1),
        ("title: x\ndate: !!timestamp foo\n", "the YAML tag", 2),
        ("title: x\nauthor: !!bool foo\n", "the YAML tag", 2),
        ("title: x\ndescription: !!int ''\n", "the YAML tag", 2),
        ("title: x\nreferences: !!set [a]\n", "the YAML tag", 2),
        ("title: x\n\tbad: y\n", "not valid YAML", 2),
        ("title: x\nid: \x07\n", "not valid YAML", None),
        ("a: 1\n---\n" * 101, "documents", 200),
        ("x: " + "a" * 300_000, "256 KiB", None),
        ("detection: {s: {model: 010}}", "'010' is not a plain decimal", 1),
        ("detection: {s: {model_version: 2026-11-01}}", "is a date", 1),
        ('detection: {s: {model: "a\\0b"}}', "NUL", 1),
        ('detection: {s: {model: "\\ud800"}}', "not valid YAML", 1),
    ],
)
def test_hostile_yaml(text: str, named: str, line: int | None) -> None:
    (error,) = compile_rules([RuleSource("x.yml", text, "t")]).refused[:1]
    assert named in str(error)
    assert error.line == line


@pytest.mark.parametrize(
    "detection",
    [
        {"s": {"model": "x"}, "condition": "(" * 33 + "s" + ")" * 33},
        {"s": {"model": "x"}, "condition": "not " * 33 + "s"},
        {"s": {"model": "x"}, "condition": " or ".join(["s"] * 2000)},
        {"s": {"model": [str(n) for n in range(6000)]}, "condition": "s or s"},
        {"a" * 120: {"model": "x"}, "condition": "1 of " + "a*" * 20 + "b"},
        {"a" * 200: {"model": "x"}, "condition": "them"},
    ],
)
def test_conditions_that_would_exhaust_the_parser_are_refused_at_once(detection: dict[str, Any]) -> None:
    started = time.perf_counter()
    refusal(rule(detection))
    assert time.perf_counter() - started < 2


def test_what_the_limits_let_through_is_quick() -> None:
    started = time.perf_counter()
    names = {f"s{n}": {"model": "x"} for n in range(30)}
    compiled(rule({**names, "condition": "(" * 32 + "s1" + ")" * 32 + " or s2" * 100}))
    assert time.perf_counter() - started < 2


@settings(max_examples=80, deadline=None)
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


@settings(max_examples=80, deadline=None)
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
