"""What a condition needs of the telemetry; and names and values that would be SQL if anything pasted them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.sigma.conformance import SCHEMA, by_engine, node_of
from tests.detect.sigma.oracle import matches
from tests.detect.sigma.rule_makers import compiled, event, feed, selection
from tests.detect.sigma.rule_strategies import conditions

from threatmatrix.detect.sigma.ir import And, Leaf, Node, Not, Or, leaves
from threatmatrix.detect.sigma.needs import lacking, without_unknown

A, B, C = (Leaf(name, "equals", "x") for name in "abc")


@pytest.mark.parametrize(
    ("node", "seen", "missing"),
    [
        (A, "a", ""),
        (A, "", "a"),
        (And((A, B)), "a", "b"),
        (Or((A, B)), "a", ""),
        (Or((And((A, B)), C)), "", "c"),
        (Or((And((A, B)), C)), "a", "b"),
        (And((Or((A, B)), C)), "b", "c"),
        (Not(A), "", ""),
        (And((A, Not(B))), "a", ""),
        (Leaf("a", "absent"), "", "a"),
        (Leaf("a", "same", "b"), "a", "b"),
    ],
)
def test_the_fewest_fields_that_are_missing(node: Node, seen: str, missing: str) -> None:
    assert lacking(node, seen) == frozenset(missing)


@settings(max_examples=40, deadline=None)
@given(conditions(SCHEMA), st.sets(st.sampled_from(sorted(SCHEMA.fields))))
def test_a_field_that_is_missing_is_one_that_is_read_and_not_seen(node: Node, seen: set[str]) -> None:
    missing = lacking(node, seen)
    assert missing <= {name for leaf in leaves(node) for name in leaf.fields} - seen
    assert not lacking(node, seen | missing)


def test_a_comparison_with_an_unknown_field_is_false() -> None:
    node = node_of({"s": {"image": "x"}, "f": {"imagee": "x"}, "condition": "s and not f"})
    assert by_engine([without_unknown(node, SCHEMA.fields)], [{"image": "x"}, {}]) == [[True, False]]


HOSTILE = [
    'user" = "user" OR 1=1; --',
    "user') OR ('1'='1",
    "user; DROP TABLE events; --",
    "/* user */",
    "user\n--",
    "x" * 2000,
    "ｕｓｅｒ",
    "{user}",
    "$1",
    "?",
    "%s",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_a_name(name: str) -> None:
    assert feed(compiled(selection(**{name: "x"})), [event()]) == {}


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("key", ["user", "user|contains", "user|startswith|cased", "user|fieldref", "user|re", ""])
def test_a_hostile_value_is_only_a_value(key: str, value: str) -> None:
    written = value.replace("?", "\\?").replace("*", "\\*") if key != "user|re" else "\\Q" + value + "\\E"
    detection: dict[str, Any] = {"s": {key: written} if key else [written], "condition": "s"}
    records = [{"user": value}, {"user": "other"}, {"user": "x" + value}]
    wanted = [True, False, True]  # of the regular expression, which is anywhere
    if key != "user|re":
        wanted = [matches(detection, record, SCHEMA.keywords) for record in records]
    assert by_engine([node_of(detection)], records) == [wanted]
