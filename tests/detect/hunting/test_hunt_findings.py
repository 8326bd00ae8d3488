"""A hunt gives what a stream gives of the same events in the order of time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.hunting.hunting_world import HOUR, base, correlation, hunt_of, hunted, in_time, streamed
from tests.detect.sigma.rule_makers import SECOND, START, compiled, event

from threatmatrix.detect.hunting.chosen import chosen
from threatmatrix.detect.hunting.only import Only
from threatmatrix.model.errors import UnknownNameError
from threatmatrix.model.event import Event

A, B, C = (base(name, output_label=name) for name in ("a", "b", "c"))
KINDS: dict[str, list[dict[str, Any]]] = {
    "event_count": [A, correlation("event_count", ["a"], {"gte": 3})],
    "all together": [A, correlation("event_count", ["a"], {"gt": 4}, **{"group-by": []})],
    "two rules": [A, B, correlation("event_count", ["a", "b"], {"gte": 4}, generate=True)],
    "range": [A, correlation("event_count", ["a"], {"gte": 2, "lt": 4})],
    "value_count": [A, correlation("value_count", ["a"], {"gte": 3, "field": "object"})],
    "value_sum": [A, correlation("value_sum", ["a"], {"gte": 60, "field": "tokens_out"})],
    "value_avg": [A, correlation("value_avg", ["a"], {"gt": 30, "field": "tokens_out"})],
    "value_median": [A, correlation("value_median", ["a"], {"gte": 30, "field": "tokens_out"})],
    "temporal": [A, B, C, correlation("temporal", ["a", "b", "c"])],
    "two of three": [A, B, C, correlation("temporal", ["a", "b", "c"], {"gte": 2})],
    "temporal_ordered": [A, B, C, correlation("temporal_ordered", ["a", "b", "c"])],
    "expression": [A, B, C, correlation("temporal", ["a", "b", "c"], "a and (b or c)")],
    "absence": [A, B, correlation("temporal", ["a", "b"], "a and not b")],
    "aliases": [
        A,
        B,
        correlation(
            "temporal", ["a", "b"], **{"group-by": ["who"]}, aliases={"who": {"a": "principal", "b": "object"}}
        ),
    ],
}
WHO = {"who": {"a": "principal", "b": "object"}}
KINDS["chained by an alias"] = [
    A,
    B,
    {**correlation("temporal", ["a", "b"], **{"group-by": ["who"]}, aliases=WHO), "name": "pair", "title": "Pair"},
    {**correlation("event_count", ["pair"], {"gte": 2}, **{"group-by": ["who"]}, timespan="1h"), "title": "Pairs"},
]
KINDS["one that never matches"] = [A, base("b", no_such_field="b"), correlation("event_count", ["a", "b"], {"gte": 3})]
CHAINED: list[dict[str, Any]] = [
    A,
    B,
    {**correlation("event_count", ["a"], {"gte": 3}), "name": "many", "title": "Many"},
    {**correlation("temporal_ordered", ["many", "b"], timespan="5m"), "title": "Many, then b"},
    {**correlation("event_count", ["many"], {"gte": 2}, timespan="30m"), "title": "Many twice"},
]


def some_events(seed: int, count: int = 120, *, apart: int = 5) -> list[Event]:
    """Events a few seconds apart, over midnight."""
    import random

    random_ = random.Random(seed)
    midnight = 86_400 - START // SECOND % 86_400
    at = midnight - count * apart / 2
    made = []
    for number in range(count):
        at += random_.choice([1, 2, 3, 5, 8, 10, apart * 3])
        made.append(
            event(
                number, at=at + number / 1000, principal=random_.choice(["p", "q", "p", None]),
                output_label=random_.choice("abc"), object=random_.choice(["p", "q", "x", "y", None]),
                tokens_out=random_.choice([None, 10, 30, 50]), model=random_.choice(["m", "n"]),
            )
        )  # fmt: skip
    return made


@pytest.mark.parametrize("kind", [*KINDS, "chained"])
def test_every_kind_of_correlation_as_the_stream_has_it(kind: str) -> None:
    ruleset = compiled(*(CHAINED if kind == "chained" else KINDS[kind]))
    events = some_events(7)
    wanted = streamed(ruleset, events)
    assert wanted
    assert hunted(ruleset, events) == wanted


EVENT = st.tuples(
    st.integers(0, 400),  # seconds: many at the same time
    st.sampled_from([0, 0, HOUR // SECOND, 16 * HOUR // SECOND]),
    st.sampled_from("pq"),
    st.sampled_from("abc"),
    st.sampled_from(["x", "y", None]),
)
EVERY = compiled(
    base("loud", output_label="a"),
    A,
    B,
    C,
    correlation("event_count", ["a", "b"], {"gte": 4}),
    {**correlation("value_count", ["a"], {"gte": 2, "field": "object"}), "title": "Values"},
    {**correlation("temporal", ["a", "b", "c"]), "title": "Together"},
    {**correlation("temporal_ordered", ["a", "b", "c"]), "title": "In order"},
)


@settings(max_examples=5)
@given(st.lists(EVENT, max_size=60))
def test_random_events_as_the_stream_has_them(drawn: list[tuple[int, int, str, str, str | None]]) -> None:
    events = [
        event(number, at=at + later, principal=principal, output_label=label, object=thing)
        for number, (at, later, principal, label, thing) in enumerate(drawn)
    ]
    assert hunted(EVERY, events) == streamed(EVERY, events)


def test_what_followed_none_of_several_events_of_one_moment() -> None:
    absence = {**correlation("temporal", ["a", "b"], "a and not b"), "name": "w", "title": "W"}
    above = {**correlation("temporal", ["w", "b"], {"gte": 1}, timespan="1h"), "title": "Top"}
    ruleset = compiled(A, B, absence, above)
    events = [
        event(1, at=20, principal="y", output_label="a"),
        event(2, at=20, principal="y", output_label="a"),
        event(3, at=190, principal="y", output_label="d"),
    ]
    found = hunted(ruleset, events)
    assert [one.event_count for one in found.values()] == [2]
    assert found == streamed(ruleset, events)


def test_single_events_by_the_full_hour_and_the_newest_thousand() -> None:
    ruleset = compiled(base("a", output_label="a"))
    events = [event(number, at=-1 + number / 500, output_label="a") for number in range(2000)]
    events += [event(5000 + n, at=n, output_label="a", system=None, tenant="t", row=n % 3) for n in range(3)]
    found = hunted(ruleset, events)
    assert found == streamed(ruleset, events)
    assert sorted((one.event_count, len(one.event_ids)) for one in found.values()) == [(3, 3), (500, 500), (1500, 1000)]


def test_more_findings_than_anybody_reads_are_counted() -> None:
    pairs = {**correlation("event_count", ["a"], {"gte": 2}, generate=True), "title": "Pairs"}
    ruleset = compiled(A, pairs)
    events = [event(n, at=n, principal=f"p{n // 2:02}", output_label="a", src_ip=str(n % 4)) for n in range(18)]
    first = ["p00", "p01", "p02", "p03"]
    hunt, found = hunt_of(ruleset, events, most=4)
    assert [(one.title, one.principals[0].principal) for one in found] == [
        *(("Rule a", name) for name in first),
        *(("Pairs", name) for name in first),
    ]
    assert hunt.left_out == {"Rule a": 5, "Pairs": 5}
    by_address = compiled(A, correlation("event_count", ["a"], {"gte": 2}, **{"group-by": ["src_ip"]}))
    hunt, found = hunt_of(by_address, events, most=1, only=Only(principal=frozenset({"p00", "p03"})))
    assert [one.details["group"] for one in found] == [{"src_ip": "0"}]
    assert hunt.left_out == {"event_count a": 3}


def test_what_is_looked_at_narrows_rules_and_chooses_findings_of_others() -> None:
    by_address = correlation("event_count", ["a"], {"gte": 3}, **{"group-by": ["src_ip"]}, generate=True)
    by_principal = {**correlation("event_count", ["a"], {"gte": 3}, generate=True), "title": "By principal"}
    ruleset = compiled(A, by_address, by_principal)
    events = [
        event(n, at=n, output_label="a", principal="pqr"[n % 3], src_ip="1" if n < 4 else "2") for n in range(12)
    ] + [event(90 + n, at=n, output_label="a", principal="z", src_ip="3") for n in range(9)]
    everything = streamed(ruleset, events)
    of_q = {key: one for key, one in everything.items() if "q" in {share.principal for share in one.principals}}
    assert {one.title for one in of_q.values()} == {"Rule a", "event_count a", "By principal"}
    hunt, found = hunt_of(ruleset, events, only=Only(principal=frozenset("q")))
    assert {one.finding_id: one for one in found} == of_q
    assert hunt.events == 4
    assert not hunted(ruleset, events, only=Only(principal=frozenset("q"), system=frozenset({"another"})))


def test_blind_is_told_by_what_was_scanned_and_not_by_who_did_nothing() -> None:
    login = {**base("login", outcome="success"), "logsource": {"category": "authentication"}}
    ruleset = compiled(A, {**base("labelled", decision="deny"), "title": "Denied"}, login)
    events = [
        event(1, output_label="a", decision=None, system="one"),
        event(2, category="authentication", outcome="success", principal="p", system="two"),
    ]

    def blind(**only: str) -> dict[str, tuple[str, ...]]:
        hunt, _ = hunt_of(ruleset, events, only=Only(**{name: frozenset({one}) for name, one in only.items()}))
        return {each.title: each.needs for each in hunt.visibility()}

    assert blind() == {"Denied": ("decision",)} == blind(principal="p")
    assert blind(system="one") == {"Denied": ("decision",), "Rule login": ("events of category authentication",)}


def test_the_same_record_counts_once_where_it_may_lie_there_twice() -> None:
    ruleset = compiled(A, correlation("event_count", ["a"], {"gte": 2}, generate=True))
    one, other = event(1, output_label="a"), event(1, output_label="a", at=5)
    for events in ([one, one], [one, one, other]):
        (single, *counted) = hunted(ruleset, events, repeats=True).values()
        assert single.event_count == len(set(events))
        assert [each.event_count for each in counted] == ([2] if other in events else [])


def test_values_of_an_analyst_stay_values() -> None:
    hostile = ["' OR true --", "\\", "%", "\n", "é\U0001f600", '"', "$1", "x') OR ('a' = 'a"]
    events = [event(n, at=n, output_label="a", principal=name, model=name) for n, name in enumerate(hostile)]
    asked = frozenset(hostile[1:])
    found = hunted(compiled(A), events, only=Only(principal=asked, model=asked))
    assert {(one.principals[0].principal, one.event_count) for one in found.values()} == {(name, 1) for name in asked}


def test_rules_are_chosen_with_what_they_count() -> None:
    ruleset = compiled(*CHAINED, C)
    named = chosen(ruleset, names=["many, THEN b"])
    assert {rule.meta.name: rule.silent for rule in named.rules} == {"a": True, "b": True}
    assert [(one.meta.title, one.silent) for one in named.correlations] == [("Many", True), ("Many, then b", False)]
    heard = chosen(ruleset, names=["a"])
    assert [(rule.meta.name, rule.silent) for rule in heard.rules] == [("a", False)]
    assert chosen(ruleset, techniques=["online-evasion"]) == ruleset
    assert chosen(ruleset, techniques=["another"]).rules == ()
    with pytest.raises(UnknownNameError, match="Did you mean"):
        chosen(ruleset, names=["many then"])
    assert in_time([]) == []
