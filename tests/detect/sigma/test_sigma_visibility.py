"""Where a rule is blind it says so, and names what it needs."""

from __future__ import annotations

from typing import Any

import pytest
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


# Correlations: blind where they can never fire

RULES = [
    {**selection(**{field: "x"}), "name": name, "title": name, "logsource": {"category": category}}
    for name, field, category in [
        ("login", "operation", "authentication"),
        ("read", "object", "artifact_access"),
        ("ask", "user_agent", "inference"),
    ]
]
ALL = {"authentication": {"operation"}, "artifact_access": {"object"}, "inference": {"user_agent"}}


def lacks(rule: dict[str, Any], *without: str, more: list[dict[str, Any]] | None = None) -> tuple[str, ...]:
    """What a correlation lacks where these categories give no events, and all others give principal as well."""
    seen = {category: {*fields, "principal"} for category, fields in ALL.items() if category not in without}
    with RuleEngine(compiled(*RULES, *(more or []), rule)) as engine:
        return next((spot.needs for spot in engine.visibility(seen) if spot.title == rule["title"]), ())


def correlated(kind: str, condition: Any, title: str = "It", **more: Any) -> dict[str, Any]:
    body = {"type": kind, "rules": ["login", "read", "ask"], "timespan": "1m", "group-by": ["principal"], **more}
    return {"title": title, "name": title.lower(), "correlation": {**body, "condition": condition}}


LOGINS, READS, ASKS = (f"events of category {name}" for name in ("authentication", "artifact_access", "inference"))


def test_a_count_over_several_rules_is_blind_where_all_of_them_are() -> None:
    rule = correlated("event_count", {"gte": 3})
    assert lacks(rule, "authentication", "artifact_access") == ()
    assert len(lacks(rule, *ALL)) == 1
    assert lacks(correlated("value_count", {"gte": 3, "field": "session"})) == ("session",)


@pytest.mark.parametrize("kind", ["temporal", "temporal_ordered"])
def test_temporal_rules_need_as_many_seeing_rules_as_they_ask_for(kind: str) -> None:
    assert lacks(correlated(kind, {"gte": 2}), "inference") == ()
    assert lacks(correlated(kind, {"gte": 2}), "inference", "artifact_access") == (READS,)
    assert lacks(correlated(kind, {"gte": 3}), "inference", "artifact_access") == (READS, ASKS)


def test_an_expression_is_blind_where_no_way_of_meeting_it_is_seen() -> None:
    either = correlated("temporal", "login and (read or ask)")
    assert lacks(either, "inference") == lacks(either, "artifact_access") == ()
    assert lacks(either, "authentication") == (LOGINS,)
    assert len(lacks(either, "inference", "artifact_access")) == 1
    absence = correlated("temporal", "login and not ask", rules=["login", "ask"])
    assert lacks(absence, "artifact_access") == ()
    assert lacks(absence, "inference") == (ASKS,)  # nobody can know that it did not follow


def test_a_chain_sees_as_far_as_what_it_is_made_of() -> None:
    inner = correlated("temporal_ordered", {"gte": 2}, "Inner", rules=["login", "read"])
    outer = correlated("temporal", {"gte": 2}, rules=["inner", "ask"])
    assert lacks(outer, more=[inner]) == ()
    assert lacks(outer, "authentication", more=[inner]) == (LOGINS,)


def test_a_field_that_has_another_name_in_one_rule_is_looked_for_under_that_name() -> None:
    aliases = {"who": {"login": "principal", "read": "session", "ask": "session"}}
    rule = correlated("temporal", {"gte": 2}, aliases=aliases, **{"group-by": ["who"]})
    assert lacks(rule) == ("session",)
    assert lacks(correlated("event_count", {"gte": 2}, aliases=aliases, **{"group-by": ["who"]})) == ()
