"""Suppressions: what they set aside, for how long, from which rules, and what is refused of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.sigma.rule_makers import SECOND, START, count, event, feed, selection, source

from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.engines.scanning.suppressed import SuppressedEvents
from threatmatrix.detect.sigma.compile import RuleSet, compile_rules
from threatmatrix.detect.sigma.filters import Suppression
from threatmatrix.model.errors import RuleError
from threatmatrix.model.event import Event
from threatmatrix.model.matrix import RuleSource

BASE = {**selection(operation="infer"), "title": "Base", "name": "base", "id": "0a1b2c3d-0000-4000-8000-000000000001"}
OTHER = {**selection(model="digits"), "title": "Other", "name": "other"}
LATER = "2100-01-01"
DAY = 86_400 * SECOND


def aside(*, rules: Any = "base", expires: Any = LATER, search: Any = None, **more: Any) -> dict[str, Any]:
    """A suppression of what the load test does."""
    content = {"rules": rules, "load": search or {"principal": "load-test"}, "condition": "not load"}
    base: dict[str, Any] = {"title": "Load test", "description": "It runs every night.", "owner": "platform"}
    return {**base, "expires": expires, "logsource": {"category": "inference"}, "filter": content, **more}


def without(document: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != key}


def compiled(*documents: dict[str, Any], by: dict[str, Any] | list[dict[str, Any]] | None = None) -> RuleSet:
    filters = by if isinstance(by, list) else [by or aside()]
    return compile_rules([source(*documents)], filters=[filter_source(each) for each in filters])


def filter_source(document: dict[str, Any]) -> RuleSource:
    return RuleSource("aside.yml", yaml.safe_dump(document, sort_keys=False), "")


def run(ruleset: RuleSet, *events: Event) -> set[str]:
    assert not ruleset.refused
    return {finding.title for finding in feed(ruleset, events).values()}


def refused(*documents: dict[str, Any], by: dict[str, Any]) -> str:
    ruleset = compiled(*documents, by=by)
    (error,) = ruleset.refused
    assert isinstance(error, RuleError)
    assert error.file == "aside.yml"
    assert not ruleset.suppressions
    assert all(rule.written is None for rule in ruleset.rules), "a refused suppression is applied to nothing"
    return str(error)


def infer(number: int = 0, *, at: float = 0, **fields: Any) -> Event:
    return event(number, at=at, **{"operation": "infer", **fields})


def test_what_it_names_takes_no_part() -> None:
    ruleset = compiled(BASE)
    assert run(ruleset, infer(principal="load-test")) == set()
    assert run(ruleset, infer(principal="mallory")) == {"Base"}
    assert run(ruleset, infer(principal=None)) == {"Base"}, "an event without the field is left to the rule"


def test_other_rules_are_left_alone() -> None:
    assert run(compiled(BASE, OTHER), infer(principal="load-test")) == {"Other"}


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ("base", {"Other"}),
        (["base", "other"], set()),
        ("0A1B2C3D-0000-4000-8000-000000000001", {"Other"}),
        ("any", set()),
        (["threatmatrix.online-evasion"], set()),
    ],
)
def test_rules_are_named_in_every_way(rules: Any, left: set[str]) -> None:
    assert run(compiled(BASE, OTHER, by=aside(rules=rules)), infer(principal="load-test")) == left


def test_it_ends_with_its_day_by_the_time_of_the_event() -> None:
    day = datetime.fromtimestamp(START / 1e6, UTC).strftime("%Y-%m-%d")
    midnight = START // DAY * DAY
    before, at = (
        Event(event_id=name, time=time, source="x", category="inference", operation="infer", principal="load-test")
        for name, time in (("before", midnight - 1), ("at", midnight))
    )
    for expires in (day, datetime.fromisoformat(day).date()):
        ruleset = compiled(BASE, by=aside(expires=expires))
        assert run(ruleset, before) == set()
        assert run(ruleset, at) == {"Base"}


def test_a_correlation_means_the_rules_that_it_counts() -> None:
    ruleset = compiled(BASE, count(3), by=aside(rules="Many"))
    assert run(ruleset, *(infer(n, at=n, principal="load-test") for n in range(9))) == set()
    assert run(ruleset, *(infer(n, at=n, principal="mallory") for n in range(3))) == {"Many"}


def test_several_add_up() -> None:
    scanner = aside(search={"src_ip|cidr": "10.0.0.0/8"}, title="Scanner")
    ruleset = compiled(BASE, by=[aside(), scanner])
    assert run(ruleset, infer(principal="load-test"), infer(1, principal="x", src_ip="10.2.3.4")) == set()
    assert run(ruleset, infer(principal="x", src_ip="11.2.3.4")) == {"Base"}


def test_what_is_set_aside_is_counted_for_each() -> None:
    nobody = aside(title="Nobody", search={"principal": "nobody"})
    ruleset = compiled(BASE, OTHER, by=[aside(rules=["base", "other"]), aside(title="Again"), nobody])
    with SuppressedEvents(ruleset) as counting:
        counting.feed([infer(n, principal="load-test" if n < 4 else "mallory") for n in range(6)])
        counting.feed([infer(9, principal="load-test", operation="health"), infer(10, principal="load-test")])
        assert dict(counting.counts) == {"Load test": 6, "Again": 5}
    with SuppressedEvents(compile_rules([source(BASE)])) as counting:
        counting.feed([infer()])
        assert not counting.counts


def test_it_says_who_answers_for_it_and_until_when() -> None:
    (made,) = compiled(BASE).suppressions
    assert isinstance(made, Suppression)
    assert (made.title, made.owner, made.day, made.rules) == ("Load test", "platform", LATER, (BASE["id"],))
    assert made.description == "It runs every night."


def test_visibility_is_that_of_the_rule_alone() -> None:
    ruleset = compiled(BASE, by=aside(search={"key_id": "k1"}))
    with RuleEngine(ruleset) as engine:
        assert engine.visibility({"inference": {"operation", "time"}}) == []


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (without(aside(), "owner"), "aside.yml:1: owner: a suppression needs this key. Who answers for it"),
        (without(aside(), "expires"), "expires: a suppression needs this key. A day, such as"),
        (without(aside(), "description"), "description: a suppression needs this key. Why these events"),
        (without(aside(), "title"), "title: a filter has a title"),
        (aside(owner=3), "owner: must be text"),
        (aside(expires="next year"), "aside.yml:4: expires: 'next year' is no day"),
        (aside(expires="2027-02-30"), "'2027-02-30' is no day"),
        (aside(expires="20270201"), "'20270201' is no day"),
        (aside(expires=20270201), "'20270201' is no day"),
        (aside(expires=datetime(2027, 1, 1, tzinfo=UTC)), "is no day"),
        (aside(rules="nobody"), "filter.rules.0: there is no rule 'nobody'"),
        (aside(rules=[]), "filter.rules: names the rules that it is for. Ids or names of rules, threatmatrix.<"),
        (aside(rules=3), "filter.rules: names the rules that it is for"),
        (aside(rules="threatmatrix.nothing"), "no rule is of technique 'nothing' (valid: online-evasion)"),
        (aside(logsource={"category": "http"}), "'base' reads no events of category 'http' (valid: inference)"),
        (without(aside(), "logsource"), "logsource"),
        (without(aside(), "filter"), "aside.yml:1: no Sigma filter"),
        (aside(action="global"), "action: rule collections"),
        (aside(search={"princpal": "x"}), "an event has no field 'princpal'"),
        (aside(search={"principal|near": "x"}), "filter.load"),
        (aside(filter={"rules": "base", "load": {"principal": "x"}, "condition": "load"}), "not selection"),
        (aside(filter={"rules": "base", "load": {"principal": "x"}, "condition": "not lod"}), "filter.condition"),
        (aside(filter="base"), "filter: is a mapping"),
    ],
)
def test_what_is_wrong_is_refused_by_name(by: dict[str, Any], said: str) -> None:
    assert said in refused(BASE, by=by)


def test_a_refused_rule_is_named_as_such() -> None:
    broken = {**selection(**{"model|near": "x"}), "name": "broken"}
    ruleset = compiled(broken, BASE, by=aside(rules="broken"))
    assert "it is for rule 'broken', which was refused" in str(ruleset.refused[-1])


def test_the_same_one_twice_is_refused() -> None:
    ruleset = compiled(BASE, by=[aside(), aside()])
    assert "stands twice" in str(ruleset.refused[0])
    assert len(ruleset.suppressions) == 1


MIDNIGHT = START // DAY * DAY
UNTIL = datetime.fromtimestamp(MIDNIGHT / 1e6, UTC).strftime("%Y-%m-%d")
PLAIN = compile_rules([source(BASE, OTHER)])
SUPPRESSED = {
    both: compiled(BASE, OTHER, by=aside(rules=["base", "other"] if both else "base", expires=UNTIL))
    for both in (True, False)
}
names = st.sampled_from(["load-test", "LOAD-TEST", "mallory", "x", None])
said = st.tuples(names, st.sampled_from(["infer", "health"]), st.sampled_from(["digits", "faces"]), st.integers(-3, 3))


@settings(max_examples=20)
@given(said=st.lists(said, max_size=12), both=st.booleans())
def test_it_is_as_if_the_events_had_not_been_there(said: list[tuple[Any, Any, Any, int]], both: bool) -> None:
    """A suppressed run finds what a plain run finds in the events that are left; the rest is counted."""
    ruleset = SUPPRESSED[both]
    every = [
        infer(n, principal=name, operation=operation, model=model, time=MIDNIGHT + at * SECOND)
        for n, (name, operation, model, at) in enumerate(said)
    ]
    gone = [each for each in every if (each.principal or "").lower() == "load-test" and each.time < MIDNIGHT]
    left = [each for each in every if each not in gone]

    def seen(rules: RuleSet, title: str, among: list[Event]) -> set[str]:
        found = feed(rules, among).values()
        return {name for finding in found if finding.title == title for name in finding.event_ids}

    assert seen(ruleset, "Base", every) == seen(PLAIN, "Base", left)
    assert seen(ruleset, "Other", every) == seen(PLAIN, "Other", left if both else every)
    with SuppressedEvents(ruleset) as counting:
        counting.feed(every)
        matched = [each for each in gone if each.operation == "infer" or (both and each.model == "digits")]
        assert counting.counts["Load test"] == len(matched)


def test_nothing_of_a_filter_reaches_the_database_as_text() -> None:
    hostile = "x'); DROP TABLE batch; --"
    ruleset = compiled(BASE, by=aside(search={"principal": hostile}, title=hostile, owner=hostile))
    assert run(ruleset, infer(principal=hostile)) == set()
    assert run(ruleset, infer(principal="x")) == {"Base"}
    assert duckdb.sql("SELECT 1").fetchall() == [(1,)]
