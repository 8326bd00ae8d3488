"""What is refused: by name, with file and line, without stopping the other rules."""

from __future__ import annotations

from typing import Any

import pytest
from sigma.modifiers import modifier_mapping
from tests.detect.sigma.rule_makers import compiled, count, event, feed, refusal, rule, selection, source

from threatmatrix.detect.sigma.chains import MODIFIERS
from threatmatrix.detect.sigma.compile import compile_rules
from threatmatrix.detect.sigma.ir import leaves
from threatmatrix.model.errors import RuleError
from threatmatrix.model.matrix import RuleSource

BASE = {**selection(model="digits"), "name": "base"}
PYSIGMA = frozenset(modifier_mapping)


def test_every_modifier_that_pysigma_knows_is_known() -> None:
    assert set(MODIFIERS) >= PYSIGMA
    assert set(MODIFIERS) - PYSIGMA == {"utf16le"}  # in the specification, and not in pySigma


def test_an_unknown_modifier_is_named_with_the_valid_ones() -> None:
    error = refusal(selection(**{"user_agent|nonsense": "1"}))
    assert "modifier 'nonsense' is not supported" in str(error)
    assert error.choices == MODIFIERS
    assert (error.file, error.line) == ("rule.yml", 6)


@pytest.mark.parametrize(
    ("chain", "named"),
    [
        ("contains|startswith", "contradict each other"),
        ("contains|contains", "stands twice"),
        ("re|contains", "contradict"),
        ("contains|re", "contradict"),
        ("i", "needs 're' before it"),
        ("i|re", "must stand before"),
        ("re|cased", "contradict"),
        ("cidr|contains", "contradict"),
        ("exists|neq", "contradict"),
        ("exists|all", "contradict"),
        ("gt|lt", "contradict each other"),
        ("gt|neq", "contradict"),
        ("gte|hour", "must stand before"),
        ("hour|day", "contradict each other"),
        ("fieldref|windash", "contradict"),
        ("contains|base64", "must stand before"),
        ("base64|utf16", "must stand before"),
        ("base64offset|windash", "must stand before"),
        ("base64|base64offset", "contradict each other"),
        ("wide|utf16be|base64", "contradict each other"),
        ("wide", "needs base64"),
        ("utf16|contains", "needs base64"),
        ("all", "at least two values"),
    ],
)
def test_modifiers_that_mean_nothing_together(chain: str, named: str) -> None:
    error = refusal(selection(**{f"user_agent|{chain}": "1"}))
    assert named in str(error)
    assert error.line == 6


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("user_agent|re", "(a", "not a regular expression of RE2"),
        ("user_agent|re", "(?=a)", "not a regular expression of RE2"),
        ("user_agent|re", "(a)\\1", "not a regular expression of RE2"),
        ("user_agent|re", "(a{1000}){1000}", "repeats more than 1000"),
        ("user_agent|re", "(a{30}){40}", "not a regular expression of RE2"),
        ("user_agent|re", "[ab]{900}[cd]{900}", "repeats more than 1000"),
        ("user_agent|re", "\\pL{700}", "not a regular expression of RE2"),
        ("user_agent|re", "a" * 3000, "longer than"),
        ("user_agent|re", ["a"] * 201, "more than 200 regular expressions"),
        ("status|re", "2..", "needs text"),
        ("src_ip|cidr", "10.0.0.1/8", "no network"),
        ("src_ip|cidr", "10.0.0.*", "no network"),
        ("src_ip|cidr", "fe80::%eth0/64", "no"),
        ("status|cidr", "10.0.0.0/8", "needs text"),
        ("session|exists", "yes", "true or false"),
        ("rows|gte", "10", "needs a number"),
        ("rows|gte", True, "needs a number"),
        ("rows|gte", None, "needs a number"),
        ("rows|gte", float("nan"), "no number"),
        ("rows|gte", 2**63, "out of range"),
        ("rows|hour", 3, "is no time"),
        ("time|hour", 3.5, "whole number"),
        ("principal|fieldref", "ten*", "without wildcards"),
        ("principal|fieldref", "output_scores", "cannot be compared"),
        ("latency_ms|fieldref|contains", "status", "cannot be compared"),
        ("user_agent|windash", "-a -b -c -d", "at most 3 dashes"),
        ("user_agent|base64", "a*", "cannot encode a wildcard"),
        ("user_agent|expand|base64", "%x%", "cannot encode a wildcard or a placeholder"),
        ("user_agent|base64offset|contains", "a", "at least two bytes"),
        ("user_agent|contains", True, "needs text"),
        ("user_agent|contains", None, "needs text"),
        ("user_agent|expand", "%Servers%", "placeholder %Servers%"),
        ("status", True, "needs text"),
        ("output_scores|gt", 1, "cannot be compared"),
        ("|startswith", "a", "needs a field"),
        ("|neq", "a", "needs a field"),
        ("", None, "a keyword is text"),
        ("", "*", "a keyword without any text"),
    ],
)
def test_values_that_mean_nothing(field: str, value: Any, named: str) -> None:
    assert named in str(refusal(selection(**{field: value})))


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (selection(user_agent=[]), "empty list"),
        (selection(status="ok"), "is a number"),
        (selection(status=1.5), "whole numbers"),
        (selection(status=2**63), "out of range"),
        (selection(latency_ms=float("inf")), "no number"),
        (selection(output_scores="1"), "cannot be compared"),
        (selection(input_vec="x"), "cannot be compared"),
        (selection(**{"user_agent|all": "x"}), "at least two values"),
        (rule({"s": {}, "condition": "s"}), "is empty"),
        (rule({"s": {"model": {"x": 1}}, "condition": "s"}), "a value is text, a number"),
        (rule({"s": {"model": "x"}, "condition": []}), "list of conditions"),
        (rule({"s": {"model": "x"}, "condition": ["s", 5]}), "as text"),
        (rule({"s": {"model": "x"}, "condition": "(s"}), "not closed"),
        (rule({"s": {"model": "x"}, "condition": "s)"}), "not expected here"),
        (rule({"s": {"model": "x"}, "condition": "s s"}), "not expected here"),
        (rule({"s": {"model": "x"}, "condition": "1 of"}), "followed by a pattern"),
        (rule({"and": {"model": "x"}, "condition": "and"}), "cannot be called 'and'"),
        (rule({"_s": {"model": "x"}, "condition": "1 of them"}), "matches no search identifier"),
        (rule({"s": {"model": "x"}}), "a condition"),
        (rule({"s": {"model": "x"}, "condition": "s | count() > 5"}), "aggregation"),
        (rule({"s": {"model": "x"}, "timeframe": "1m", "condition": "s"}), "timeframe"),
        (rule({"s": {"model": "x"}, "condition": "s or 1 of nothing*"}), "matches no search identifier"),
        (rule({"s": {"model": "x"}, "condition": "s near t"}), "'near' is not expected"),
        (rule({"s": {"model": "x"}, "condition": "s and and"}), ""),
        (rule({"s": {"model": "x"}, "condition": "2 of s*"}), "'2' is neither"),
        ({**selection(model="x"), "logsource": {"category": "process_creation"}}, "process_creation"),
        ({**selection(model="x"), "logsource": {"category": "inference", "product": "windows"}}, "logsource.product"),
        ({**selection(model="x"), "logsource": {"service": "sshd"}}, "category None (service 'sshd')"),
        ({**selection(model="x"), "taxonomy": "ecs"}, "taxonomy 'ecs'"),
        ({**selection(model="x"), "status": "unsupported"}, "unsupported"),
        ({**selection(model="x"), "level": "urgent"}, "urgent"),
        ({**selection(model="x"), "id": "no-uuid"}, "UUID"),
        ({"title": "f", "filter": {}, "logsource": {}}, "a Sigma filter is no rule"),
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


def test_a_correlation_over_a_refused_rule_goes_with_it() -> None:
    ruleset = compile_rules([source({**selection(**{"model|re": "("}), "name": "base"}, count(3))])
    assert ["not a regular expression" in str(ruleset.refused[0]), "was refused" in str(ruleset.refused[1])] == [
        True,
        True,
    ]
    assert not ruleset.rules
    assert not ruleset.correlations


def test_the_other_rules_keep_running() -> None:
    broken = [RuleSource("a.yml", "title: [", "t"), source(selection(**{"model|re": "("}), file="b.yml")]
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
    ("detection", "named"),
    [
        ({"s": {"model": "x"}, "condition": "(" * 33 + "s" + ")" * 33}, "more than 32 parentheses"),
        ({"s": {"model": "x"}, "condition": "not " * 33 + "s"}, "more than 32 parentheses or nots"),
        ({"s": {"model": "x"}, "condition": " or ".join(["s"] * 2000)}, "longer than 4096"),
        ({"s": {"model": "x"}, "condition": ["s"] * 33}, "1 to 32"),
        ({"s": {"model": [str(n) for n in range(6000)]}, "condition": "s or s"}, "more than 10000 comparisons"),
        ({"s": {"model|windash": ["-a -b -c"] * 3000}, "condition": "s"}, "more than 10000 comparisons"),
        ({"s": {"model|base64offset": ["abc"] * 4000}, "condition": "s"}, "more than 10000 comparisons"),
        ({"s": [str(n) for n in range(900)], "condition": "s"}, "more than 10000 comparisons"),
        ({"a" * 120: {"model": "x"}, "condition": "1 of " + "a*" * 20 + "b"}, "more than 3 wildcards"),
        ({"a" * 200: {"model": "x"}, "condition": "them"}, "a search identifier is"),
    ],
)
def test_what_would_exhaust_us_is_refused_by_its_limit(detection: dict[str, Any], named: str) -> None:
    assert named in str(refusal(rule(detection)))


def test_the_limits_let_a_large_rule_through() -> None:
    names = {f"s{n}": {"model": "x"} for n in range(30)}
    (one,) = compiled(rule({**names, "condition": "(" * 32 + "s1" + ")" * 32 + " or s2" * 100})).rules
    assert sum(1 for _ in leaves(one.condition)) == 101
