"""The tests that a rule carries: what they say, what is refused of them, and how they are run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.sigma.rule_makers import count, feed, selection, source

from threatmatrix.detect.engines.rehearsal import TestResult, Tests, run_tests
from threatmatrix.detect.sigma.compile import RuleSet, compile_rules
from threatmatrix.detect.sigma.documents import Document, read_documents
from threatmatrix.detect.sigma.selftest import MAX_EVENTS, MAX_TESTS, START, RuleTest, key_of, read_tests
from threatmatrix.model.errors import RuleError
from threatmatrix.model.event import Event
from threatmatrix.model.matrix import RuleSource

SECOND = 1_000_000


def document(tests: Any, **more: Any) -> Document:
    raw = json.loads(json.dumps({**selection(operation="list"), "tests": tests, **more}))  # nothing shared: no aliases
    (found,), _ = read_documents(RuleSource("rule.yml", yaml.safe_dump(raw, sort_keys=False), "x"))
    return found


def one(*events: dict[str, Any], fires: bool = True, name: str = "a thing") -> list[dict[str, Any]]:
    return [{"name": name, "fires": fires, "events": list(events)}]


def read(*events: dict[str, Any]) -> list[Event]:
    (test,) = read_tests(document(one(*events)), "inference")
    return test.events


def refused(tests: Any, category: str = "inference") -> str:
    with pytest.raises(RuleError) as caught:
        read_tests(document(tests), category)
    return str(caught.value)


def test_an_event_is_written_out() -> None:
    (event,) = read({"at": "90s", "principal": "mallory", "status": 200, "latency_ms": 3, "output_scores": [0.5, 1]})
    assert datetime.fromtimestamp(START / 1e6, UTC).strftime("%A %Y-%m-%d %H:%M") == "Monday 2026-01-05 09:00"
    assert event.time == START + 90 * SECOND
    assert (event.category, event.source, event.principal) == ("inference", "test", "mallory")
    assert (event.status, event.latency_ms, event.output_scores) == (200, 3.0, (0.5, 1.0))


def test_a_repeat_is_numbered_and_spaced() -> None:
    events = read({"at": "1m", "every": "500ms", "repeat": 3, "object": "model-{n}", "row": "{n}"})
    assert [(event.time - START) / SECOND for event in events] == [60, 60.5, 61]
    assert [event.object for event in events] == ["model-0", "model-1", "model-2"]
    assert [event.row for event in events] == [0, 1, 2]
    assert len({event.event_id for event in events}) == 3


def test_events_come_in_the_order_of_their_times() -> None:
    events = read(
        {"at": "0s", "every": "10s", "repeat": 3, "object": "a"}, {"at": "5s", "object": "b"}, {"object": "c"}
    )
    assert [event.object for event in events] == ["a", "c", "b", "a", "a"]


@given(
    at=st.integers(0, 10_000),
    every=st.integers(0, 10_000),
    repeat=st.integers(1, 50),
    unit=st.sampled_from(["ms", "s", "m", "h", "d"]),
)
def test_times_are_what_they_say(at: int, every: int, repeat: int, unit: str) -> None:
    scale = {"ms": 1_000, "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND}[unit]
    event = {"at": f"{at}{unit}", "every": f"{every}{unit}", "repeat": repeat}
    if (at + every * (repeat - 1)) * scale > 3_660 * 86_400 * SECOND:
        assert "ten years" in refused(one(event))
    else:
        assert [each.time - START for each in read(event)] == [(at + n * every) * scale for n in range(repeat)]


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ({}, "rule.yml:8: tests: is a list of tests"),
        ([], "is a list of tests"),
        (["x"], "tests.0: a test is a mapping (valid: name, fires, events)"),
        ([{"name": "x", "fires": True}], "needs the key 'events'"),
        ([{"name": "x", "fires": "yes", "events": [{}]}], "tests.0.fires: 'yes' is not valid (valid: true, false)"),
        ([{"name": "", "fires": True, "events": [{}]}], "says in words what happens"),
        ([{"name": "x", "fires": True, "event": [{}], "events": [{}]}], "tests.0.event: unknown key"),
        ([{"name": "x", "fires": True, "events": []}], "is a list of events"),
        (one({}) + one({}), "tests.1.name: two tests have this name"),
        (one("x"), "an event is a mapping"),  # type: ignore[arg-type]
        (one({"princpal": "m"}), "tests.0.events.0.princpal: an event has no such field. Did you mean principal"),
        (one({"time": 3}), "is filled in by us. Say at:"),
        (one({"input_vec": "x"}), "an event has no such field"),
        (one({"category": "process_creation"}), "'process_creation' is not valid (valid: inference, "),
        (one({"outcome": "ok"}), "'ok' is not valid (valid: success, failure)"),
        (one({"principal": 3}), "3 is no text. Put it in quotes"),
        (one({"status": "200"}), "'200' is no whole number"),
        (one({"status": True}), "True is no whole number"),
        (one({"status": 2**63}), "is no whole number"),
        (one({"latency_ms": float("nan")}), "nan is no number"),
        (one({"output_scores": [1, "x"]}), "is a list of numbers"),
        (one({"at": "soon"}), "tests.0.events.0.at: 'soon' is no time"),
        (one({"at": 5}), "5 is no time"),
        (one({"repeat": 0}), "is a whole number from 1 to 10,000"),
        (one({"repeat": MAX_EVENTS}, {}), "more than 10,000 events"),
        ([*(one({}, name=str(n))[0] for n in range(MAX_TESTS + 1))], "more than 50 tests"),
    ],
)
def test_what_is_wrong_is_named(tests: Any, said: str) -> None:
    assert said in refused(tests)


def test_a_line_is_named() -> None:
    assert "rule.yml:12: tests.0.events.0.nope" in refused(one({"nope": 1}))


def test_an_event_of_a_correlation_says_its_category() -> None:
    assert "an event needs its category" in refused(one({}), category="")


def test_nothing_is_no_test() -> None:
    (plain,), _ = read_documents(source(selection(operation="list")))
    assert read_tests(plain) == ()


@given(tests=st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5))
def test_any_value_is_read_or_refused(tests: Any) -> None:
    raw = Document(RuleSource("rule.yml", "", "x"), {"tests": tests})
    with pytest.raises(RuleError):
        read_tests(raw, "inference")


def test_the_key_is_that_of_the_rule_set() -> None:
    documents = [
        {**selection(operation="a"), "id": "0A1B2C3D-0000-4000-8000-000000000001"},
        {**selection(operation="a"), "name": "called"},
        {**selection(operation="a"), "title": "Titled"},
    ]
    for raw in documents:
        ((read_one,), _), ruleset = read_documents(source(raw)), compile_rules([source(raw)])
        assert [rule.meta.key for rule in ruleset.rules] == [key_of(read_one)]


# --- running them -----------------------------------------------------------------------------------


BASE = {**selection(operation="list"), "title": "Base", "name": "base"}
READS = {"operation": "list", "principal": "bob"}


def run(ruleset: RuleSet, key: str, *tests: dict[str, Any]) -> list[TestResult]:
    found = read_tests(document(list(tests)), "inference")
    return run_tests(ruleset, [Tests(key, found)])


def case(name: str, fires: bool, *events: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "fires": fires, "events": list(events)}


def test_a_test_passes_where_the_rule_does_as_it_says() -> None:
    ruleset = compile_rules([source(BASE)])
    results = run(ruleset, "base", case("a", True, READS), case("b", False, READS), case("c", True, {"operation": "x"}))
    assert [result.problem for result in results] == ["", "fires, and must not", "does not fire"]
    assert [result.fired for result in results] == [True, True, False]


def test_a_silent_rule_is_tested_and_so_is_its_correlation() -> None:
    ruleset = compile_rules([source(BASE, count(3))])
    assert [rule.silent for rule in ruleset.rules] == [True]
    three, two = {**READS, "repeat": 3, "every": "1s"}, {**READS, "repeat": 2}
    assert [result.passed for result in run(ruleset, "base", case("one", True, READS))] == [True]
    results = run(ruleset, "Many", case("three", True, three), case("two", False, two))
    assert [result.passed for result in results] == [True, True]


def test_tests_know_nothing_of_each_other() -> None:
    ruleset = compile_rules([source(BASE, count(3))])
    two = {**READS, "repeat": 2}
    results = run(ruleset, "Many", *(case(str(n), False, two) for n in range(5)))
    assert all(result.passed for result in results)


def test_a_refused_rule_has_no_test_that_passed() -> None:
    (result,) = run(compile_rules([source(BASE)]), "nobody", case("a", False, READS))
    assert (result.passed, result.problem) == (False, "not run: the rule was refused")


def test_what_is_ahead_of_a_test_does_not_matter() -> None:
    """The same results in whatever order the tests stand."""
    ruleset = compile_rules([source(BASE, count(3))])
    tests: tuple[RuleTest, ...] = read_tests(
        document([case("three", True, {**READS, "repeat": 3}), case("two", False, {**READS, "repeat": 2})]), "inference"
    )
    forward = run_tests(ruleset, [Tests("Many", tests)])
    backward = run_tests(ruleset, [Tests("Many", tests[::-1])])
    assert forward == backward[::-1]


CHAIN = {
    "title": "Chain",
    "name": "chain",
    "correlation": {
        "type": "temporal_ordered",
        "rules": ["Many", "base"],
        "group-by": ["principal"],
        "timespan": "1m",
    },
}
LOUD = compile_rules([source(BASE, count(3, generate=True), {**CHAIN, "generate": True})])
steps = st.lists(
    st.tuples(st.integers(0, 90), st.sampled_from(["list", "get"]), st.sampled_from(["bob", "eve"]), st.integers(1, 4)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25)
@given(tests=st.lists(steps, min_size=1, max_size=4))
def test_a_test_says_what_the_engine_alone_would_say(tests: list[list[tuple[int, str, str, int]]]) -> None:
    """Many tests at once against one engine for each."""
    written = [
        case(
            str(n),
            True,
            *({"at": f"{at}s", "operation": op, "principal": who, "repeat": copies} for at, op, who, copies in each),
        )
        for n, each in enumerate(tests)
    ]
    read_all = read_tests(document(written), "inference")
    for key, title in (("Many", "Many"), ("chain", "Chain"), ("base", "Base")):
        together = [result.fired for result in run_tests(LOUD, [Tests(key, read_all)])]
        assert together == [title in {each.title for each in feed(LOUD, test.events).values()} for test in read_all]
