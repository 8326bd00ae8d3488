"""Where a rule is blind it says so, and names what it needs."""

from __future__ import annotations

from tests.detect.sigma.rule_makers import compiled, count, event, feed, selection

from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.sigma.compile import RuleSet

BASE = {**selection(user_agent="x"), "name": "base"}


def test_a_field_never_seen_is_named() -> None:
    engine = RuleEngine(compiled(selection(user_agent="x", model="y")))
    assert engine.visibility({"inference": {"user_agent", "model", "principal"}}) == []
    (spot,) = engine.visibility({"inference": {"model"}})
    assert (spot.needs, spot.reason) == (("user_agent",), "no visibility: needs user_agent")
    assert spot.detector == "rule:A rule"


def test_a_category_never_seen_is_named() -> None:
    (spot,) = RuleEngine(compiled(selection(model="y"))).visibility({"http": {"model"}})
    assert spot.needs == ("events of category inference",)


def test_an_unknown_field_is_no_error_but_blindness() -> None:
    ruleset = compiled(selection(useragent="x"), {**selection(model="digits"), "title": "B"})
    (spot,) = RuleEngine(ruleset).visibility({"inference": {"useragent", "model"} - {"useragent"}})
    assert spot.needs == ("useragent",)
    assert "did you mean user_agent?" in spot.reason
    assert {finding.title for finding in feed(ruleset, [event()]).values()} == {"B"}


def test_a_hostile_field_name_is_only_a_name() -> None:
    name = 'model" = "model" OR 1=1; --'
    ruleset = compiled(selection(**{name: "x"}))
    assert feed(ruleset, [event()]) == {}
    (spot,) = RuleEngine(ruleset).visibility({"inference": {"model"}})
    assert spot.needs == (name,)


def test_a_correlation_needs_the_fields_of_its_rules_and_groups() -> None:
    engine = RuleEngine(compiled(BASE, count(3, group_by=["session"])))
    (spot,) = engine.visibility({"inference": {"model"}})
    assert spot.needs == ("session", "user_agent")
    assert engine.visibility({"inference": {"session", "user_agent"}}) == []


def test_a_correlation_over_an_unknown_field_runs_nowhere_and_says_so() -> None:
    ruleset = compiled(BASE, count(1, group_by=["who"]))
    assert feed(ruleset, [event(user_agent="x")]) == {}
    (spot,) = RuleEngine(ruleset).visibility({"inference": {"user_agent"}})
    assert spot.needs == ("who",)


def test_no_events_and_no_rules_are_no_findings() -> None:
    assert feed(compiled(BASE), []) == {}
    assert feed(RuleSet(), [event()]) == {}
