"""What a rule for single events matches: against examples, and against an oracle that reads the rule's text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.sigma.rule_makers import compiled, event, feed, fires, rule, selection

from threatmatrix.detect.sigma.ir import Leaf
from threatmatrix.detect.sql.scan import condition, scan
from threatmatrix.model.errors import UnknownNameError
from threatmatrix.model.event import Event


@pytest.mark.parametrize(
    ("fields", "matching", "other"),
    [
        ({"user_agent": "curl/8"}, "CURL/8", "curl/80"),
        ({"user_agent|cased": "curl/8"}, "curl/8", "Curl/8"),
        ({"user_agent|contains": "Requests"}, "python-requests/2", "python"),
        ({"user_agent|contains|cased": "Requests"}, "Requests", "requests"),
        ({"user_agent|startswith": "python"}, "Python/3", "a python"),
        ({"user_agent|endswith": "bot"}, "RoBot", "bots"),
        ({"user_agent": "python*"}, "python-3", "my python"),
        ({"user_agent": "*bot"}, "robot", "bots"),
        ({"user_agent": "*x*"}, "axb", "ab"),
        ({"user_agent": ["a", "b"]}, "B", "ab"),
        ({"user_agent|contains|all": ["a", "b"]}, "b..a", "a.."),
        ({"user_agent": "*"}, "", None),
        ({"user_agent": ""}, "", "x"),
        ({"user_agent": r"100\*"}, "100*", "1000"),
        ({"user_agent|contains": "%_"}, "a%_b", "axyb"),
        ({"user_agent|contains": "'; DROP TABLE batch; --"}, "x'; drop table batch; --", "x"),
        ({"user_agent": "ÄÖ İ"}, "äö i", "ao i"),
        ({"output_label": 3}, "3", "03"),
    ],
)
def test_text(fields: dict[str, Any], matching: str, other: str | None) -> None:
    name = next(iter(fields)).split("|")[0]
    assert fires(selection(**fields), **{name: matching})
    assert not fires(selection(**fields), **{name: other})
    assert not fires(selection(**fields), **{name: None})


@pytest.mark.parametrize(
    ("fields", "matching", "other"),
    [
        ({"status": 200}, 200, 201),
        ({"status": [401, 403]}, 403, 402),
        ({"status|startswith": "4"}, 429, 200),
        ({"status": "4*"}, 404, 144),
        ({"latency_ms": 0.1}, 0.1, 0.2),
        ({"rows": "*"}, 0, None),
        ({"input_bytes": 2**62}, 2**62, 2**62 + 1),
    ],
)
def test_numbers(fields: dict[str, Any], matching: float, other: float | None) -> None:
    name = next(iter(fields)).split("|")[0]
    assert fires(selection(**fields), **{name: matching})
    assert not fires(selection(**fields), **{name: other})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sel_a and sel_b", [0]),
        ("sel_a or sel_b", [0, 1, 2]),
        ("sel_a and not sel_b", [1]),
        ("not sel_a and sel_b", [2]),
        ("not (sel_a or sel_b)", [3]),
        ("not not sel_a", [0, 1]),
        ("sel_a and sel_b or not sel_a and not sel_b", [0, 3]),
        ("1 of sel*", [0, 1, 2]),
        ("all of sel_*", [0]),
        ("all of them", [0]),
        ("any of them and not all of them", [1, 2]),
        ("not 1 of sel_*", [3]),
    ],
)
def test_conditions(text: str, expected: list[int]) -> None:
    detection = {"sel_a": {"principal": "x"}, "sel_b": {"model": "m"}, "_other": {"model": "z"}, "condition": text}
    events = [event(0, principal="x", model="m"), event(1, principal="x"), event(2, model="m"), event(3)]
    found = {one for finding in feed(compiled(rule(detection)), events).values() for one in finding.event_ids}
    assert found == {f"e{number:05d}" for number in expected}


def test_a_list_of_maps_is_an_or_of_ands() -> None:
    document = rule({"s": [{"principal": "x", "status": 200}, {"principal": "y"}], "condition": "s"})
    assert fires(document, principal="x", status=200)
    assert not fires(document, principal="x", status=500)
    assert fires(document, principal="y", status=500)


def test_a_negated_comparison_is_true_of_an_absent_field() -> None:
    document = rule({"s": {"model": "digits"}, "f": {"user_agent|startswith": "kube"}, "condition": "s and not f"})
    assert fires(document, user_agent=None)
    assert not fires(document, user_agent="kube-probe/1")
    number = rule({"s": {"model": "digits"}, "f": {"latency_ms": 2}, "condition": "s and not f"})
    assert fires(number, latency_ms=None)
    assert not fires(number, latency_ms=2.0)


def test_the_category_selects() -> None:
    document = {**selection(principal="alice"), "logsource": {"category": "model_access", "definition": "any"}}
    assert fires(document, category="model_access")
    assert not fires(document, category="inference")


def test_thousands_of_values_compile_and_match() -> None:
    document = selection(input_fp=[f"{n:032x}" for n in range(2000)])
    assert fires(document, input_fp=f"{1999:032x}")
    assert not fires(document, input_fp=f"{2000:032x}")


def test_a_late_first_value_in_a_column_is_still_text() -> None:
    events = [event(n) for n in range(3000)] + [event(3000, user_agent="curl/8")]
    assert len(feed(compiled(selection(user_agent="curl/8")), events)) == 1


def test_each_folded_column_is_folded_once() -> None:
    rules = compiled(selection(**{"user_agent|contains": ["a", "b", "c"]})).rules
    assert scan(rules, "events", "event_id").count('LOWER("user_agent")') == 1


def test_an_unknown_dialect_is_named() -> None:
    with pytest.raises(UnknownNameError, match="duckdb"):
        condition(Leaf("model", "equals", "x"), dialect="ducksql")


# The oracle works on the rule's own mapping and on a tree of conditions; it shares no code with the compiler.

ALPHABET = "aAbBİßΣ*?\\'\"%_;-$ \n{é"
TEXT = st.text(ALPHABET, max_size=4)
FIELDS = ("principal", "user_agent", "endpoint", "model")


def plain(text: str) -> str:
    """The text as a Sigma value without wildcards."""
    return text.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")


def fold(text: str) -> str:
    return "".join(char.lower()[:1] for char in text)


COMPARE: dict[str, Callable[[str, str], bool]] = {
    "": lambda have, want: have == want,
    "contains": lambda have, want: want in have,
    "startswith": lambda have, want: have.startswith(want),
    "endswith": lambda have, want: have.endswith(want),
}


@st.composite
def items(draw: st.DrawFn) -> tuple[str, list[str]]:
    key = draw(st.sampled_from(FIELDS)) + draw(st.sampled_from(["", "|contains", "|startswith", "|endswith"]))
    values = draw(st.lists(TEXT, min_size=1, max_size=3))
    if len(values) > 1 and draw(st.booleans()):
        key += "|all"
    return key + draw(st.sampled_from(["", "|cased"])), values


def item_matches(key: str, values: list[str], one: Event) -> bool:
    name, *modifiers = key.split("|")
    have = getattr(one, name)
    if have is None:
        return False
    how = COMPARE[next((modifier for modifier in modifiers if modifier in COMPARE), "")]
    cased = "cased" in modifiers
    results = [how(have if cased else fold(have), value if cased else fold(value)) for value in values]
    return all(results) if "all" in modifiers else any(results)


Tree = tuple[Any, ...]
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.sampled_from([("name", "s0"), ("name", "s1"), ("name", "s2")]),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), inner, inner),
    ),
    max_leaves=5,
)


def written(tree: Tree) -> str:
    if tree[0] == "name":
        return str(tree[1])
    if tree[0] == "not":
        return f"not ({written(tree[1])})"
    return f"({written(tree[1])}) {tree[0]} ({written(tree[2])})"


def holds(tree: Tree, names: dict[str, bool]) -> bool:
    if tree[0] == "name":
        return names[tree[1]]
    if tree[0] == "not":
        return not holds(tree[1], names)
    both = [holds(tree[1], names), holds(tree[2], names)]
    return all(both) if tree[0] == "and" else any(both)


@settings(max_examples=50, deadline=None)
@given(
    selections=st.lists(items(), min_size=3, max_size=3),
    tree=TREES,
    rows=st.lists(st.fixed_dictionaries(dict.fromkeys(FIELDS, st.none() | TEXT)), min_size=1, max_size=12),
)
def test_rules_agree_with_an_oracle(
    selections: list[tuple[str, list[str]]], tree: Tree, rows: list[dict[str, str | None]]
) -> None:
    detection: dict[str, Any] = {
        f"s{n}": {key: [plain(v) for v in values]} for n, (key, values) in enumerate(selections)
    }
    events = [event(number, **row) for number, row in enumerate(rows)]
    expected = {
        one.event_id
        for one in events
        if holds(tree, {f"s{n}": item_matches(key, values, one) for n, (key, values) in enumerate(selections)})
    }
    held = feed(compiled(rule({**detection, "condition": written(tree)})), events)
    assert {found for finding in held.values() for found in finding.event_ids} == expected


@settings(max_examples=40, deadline=None)
@given(
    value=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12), cased=st.booleans()
)
def test_no_value_escapes_its_quotes(value: str, cased: bool) -> None:
    key = "principal|cased" if cased else "principal"
    ruleset = compiled(selection(**{key: plain(value)}))
    events = [event(0, principal=value), event(1, principal=value + "x"), event(2, principal=None)]
    held = feed(ruleset, events)
    assert {found for finding in held.values() for found in finding.event_ids} == {"e00000"}
