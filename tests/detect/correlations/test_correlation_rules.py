"""Correlations from text: what they mean, and what is refused by name, with file and line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.sigma.rule_makers import compiled, selection, source

from threatmatrix.detect.sigma.compile import compile_rules
from threatmatrix.detect.sigma.expressions import ExpressionError, clauses, named_in, parse
from threatmatrix.detect.sigma.rules import KINDS, Bound, Correlation, Expression, RuleName
from threatmatrix.model.errors import RuleError
from threatmatrix.model.matrix import RuleSource

IDENTITY = "0a4b7f0c-9d35-4e0a-8f3c-2b1f4d6e7a90"
A = {**selection(model="x"), "name": "a", "title": "A", "id": IDENTITY}
B = {**selection(model="y"), "name": "b", "title": "B"}
C = {**selection(model="z"), "name": "c", "title": "C"}


def correlate(kind: str = "event_count", name: str = "many", **more: Any) -> dict[str, Any]:
    content: dict[str, Any] = {"type": kind, "rules": ["a"], "group-by": ["principal"], "timespan": "5m"}
    if not kind.startswith("temporal"):
        content["condition"] = {"gte": 3, **({"field": "rows"} if kind.startswith("value") else {})}
    if kind == "value_percentile":
        content["condition"]["percentile"] = 90
    content |= {key.replace("_", "-"): value for key, value in more.items()}
    return {"title": name, "name": name, "correlation": {k: v for k, v in content.items() if v is not None}}


def only(*documents: dict[str, Any]) -> Correlation:
    (correlation,) = compiled(A, B, C, *documents).correlations
    return correlation


def refused(*documents: dict[str, Any]) -> RuleError:
    ruleset = compile_rules([source(A, B, C, *documents)])
    assert len(ruleset.refused) == 1, ruleset.refused
    assert ruleset.refused[0].line
    assert str(ruleset.refused[0]).startswith("rule.yml:")
    return ruleset.refused[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_the_specification(kind: str) -> None:
    correlation = only(correlate(kind))
    assert (correlation.kind, correlation.timespan, correlation.group_by) == (kind, 300_000_000, ("principal",))
    assert correlation.rules == (IDENTITY,)
    assert correlation.bounds == (Bound("gte", 1 if kind.startswith("temporal") else 3),)
    assert correlation.field == (("rows",) if kind.startswith("value") else ())
    assert correlation.percentile == (90 if kind == "value_percentile" else 50)


@pytest.mark.parametrize(
    "condition",
    [{"gte": 5, "lt": 10}, {"gt": 4, "lte": 9, "neq": 7}, {"lt": 3}, {"lte": 2}, {"eq": 4}, {"neq": 1}],
)
def test_bounds_and_ranges(condition: dict[str, int]) -> None:
    assert only(correlate(condition=condition)).bounds == tuple(Bound(*item) for item in condition.items())  # type: ignore[arg-type]


def test_numbers_of_value_kinds_may_be_fractions_and_negative() -> None:
    bounds = only(correlate("value_avg", condition={"gt": -0.5, "lt": 0.25, "field": "latency_ms"})).bounds
    assert bounds == (Bound("gt", -0.5), Bound("lt", 0.25))


def test_values_of_several_fields() -> None:
    condition = {"field": ["object", "src_ip"], "gte": 3}
    assert only(correlate("value_count", condition=condition)).field == ("object", "src_ip")


@pytest.mark.parametrize("unit", [("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86_400), ("1w", 604_800)])
def test_timespans(unit: tuple[str, int]) -> None:
    assert only(correlate(timespan=unit[0])).timespan == unit[1] * 1_000_000


def test_all_rules_must_occur_where_nothing_else_is_said() -> None:
    for kind in ("temporal", "temporal_ordered"):
        correlation = only(correlate(kind, rules=["a", "c", "b"]))
        assert correlation.rules == (IDENTITY, "c", "b")
        assert correlation.bounds == (Bound("gte", 3),)
        assert only(correlate(kind, rules=["a", "b"], condition={"gte": 1})).minimum == 1


def test_conditions_over_rules_need_no_list_and_order_it_where_there_is_one() -> None:
    correlation = only(correlate("temporal_ordered", rules=["b", IDENTITY], condition=f"{IDENTITY} and not (b or b)"))
    assert correlation.rules == (IDENTITY, "b")
    found = only(correlate("temporal", rules=None, condition="not c and a or b"))
    assert found.rules == ("c", IDENTITY, "b")
    assert found.expression == Expression(
        "or", (Expression("and", (Expression("not", (RuleName("c"),)), RuleName(IDENTITY))), RuleName("b"))
    )
    assert (found.bounds, found.waits) == ((), True)


def test_not_binds_closest_then_and_then_or() -> None:
    assert parse("a or b and not c or d") == parse("a or (b and (not c)) or d")
    assert parse("not not a") == Expression("not", (Expression("not", (RuleName("a"),)),))
    assert named_in(parse("b and (a or b)")) == ("b", "a")
    assert [(way.steps, set(way.without)) for way in clauses(parse("b and (a or not b) and not c"))] == [
        (("b", "a"), {"c"})
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a and", "missing at the end"),
        ("a b", "'and' or 'or'"),
        ("a AND b", "'AND' stands"),
        ("(a", "not closed"),
        ("a)", "')' stands"),
        ("and a", "where a rule should"),
        ("", "missing"),
        ("a and b%", "'%'"),
        ("not " * 40 + "a", "within each other"),
        ("(" * 40 + "a" + ")" * 40, "within each other"),
        (" and ".join(f"(a{n} or b{n})" for n in range(8)), "more than 64 ways"),
        ("a or " * 2000 + "a", "longer"),
    ],
)
def test_conditions_that_are_none(text: str, problem: str) -> None:
    with pytest.raises(ExpressionError, match=problem.replace(")", r"\)")):
        clauses(parse(text))


@settings(max_examples=60, deadline=None)
@given(
    st.text("ab ()%\n", max_size=12) | st.lists(st.sampled_from(["a", "b", "and", "or", "not", "(", ")"])).map(" ".join)
)
def test_any_condition_parses_or_is_refused(text: str) -> None:
    try:
        tree = parse(text)
    except ExpressionError:
        return
    assert set(named_in(tree)) <= {"a", "b", *text.split()}


def test_aliases_say_what_a_field_is_called_in_the_events_of_a_rule() -> None:
    aliases = {"who": {"a": "principal", "b": "object"}}
    correlation = only(correlate("temporal", rules=["a", "b"], group_by=["who", "model"], aliases=aliases))
    assert correlation.column("who", IDENTITY) == "principal"
    assert correlation.column("who", "b") == "object"
    assert correlation.column("model", "b") == "model"


def test_pipelines_map_the_fields_that_are_grouped_by() -> None:
    pipeline = (
        "name: p\ntransformations:\n- {id: f, type: field_name_mapping, mapping: {User: principal, Size: rows}}\n"
    )
    condition = {"field": "Size", "gte": 5}
    ruleset = compile_rules(
        [source(A, correlate("value_sum", group_by=["User"], condition=condition))],
        pipelines=[RuleSource("p.yml", pipeline, "")],
        strict=True,
    )
    (correlation,) = ruleset.correlations
    assert correlation.group_by == ("User",)
    assert [correlation.column(name, IDENTITY) for name in ("User", "Size")] == ["principal", "rows"]


def test_correlations_of_correlations_stand_in_the_order_in_which_they_are_made() -> None:
    outer = correlate("temporal_ordered", "outer", rules=["inner", "b"])
    ruleset = compiled(outer, correlate(name="inner", generate=True), A, B)
    assert [one.meta.name for one in ruleset.correlations] == ["inner", "outer"]
    assert {rule.meta.name: rule.silent for rule in (*ruleset.rules, *ruleset.correlations)} == {
        "a": False, "b": True, "inner": True, "outer": False,
    }  # fmt: skip
    assert not compiled(A, B, correlate(name="inner"), {**outer, "generate": True}).correlations[0].silent


def test_a_circle_is_refused_whole_and_so_is_what_hangs_on_it() -> None:
    rules = [correlate(name="x", rules=["y"]), correlate(name="y", rules=["x", "a"]), correlate(name="z", rules=["y"])]
    ruleset = compile_rules([source(A, *rules, correlate(name="good"))])
    assert [one.meta.name for one in ruleset.correlations] == ["good"]
    texts = [str(error) for error in ruleset.refused]
    assert "made of itself: x → y → x" in texts[0]
    assert "made of itself: y → x → y" in texts[1]
    assert "refers to rule 'y', which was refused" in texts[2]
    assert "made of itself: s → s" in str(refused(correlate(name="s", rules=["s"])))


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (correlate("near"), "no correlation of type 'near'"),
        (correlate(groupby=["model"]), "no such key"),
        (correlate(rules=None), "names the rules"),
        (correlate(rules=[]), "names the rules"),
        (correlate(rules=["nobody"]), "no rule 'nobody'"),
        (correlate("temporal", rules=["a", IDENTITY]), "stands twice"),
        (correlate("temporal_ordered", rules=[f"r{n}" for n in range(17)]), "more than 16"),
        (correlate(group_by=["output_scores"]), "cannot group by 'output_scores'"),
        (correlate(group_by=[1]), "list of field names"),
        (correlate(timespan="1M"), "no fixed length"),
        (correlate(timespan="2y"), "no fixed length"),
        (correlate(timespan="0s"), "'0s'"),
        (correlate(timespan="99999w"), "ten years"),
        (correlate(timespan=None), "timespan None"),
        (correlate(condition=None), "gte: 100"),
        (correlate(condition={}), "gte: 100"),
        (correlate(condition="a"), "compares with a number"),
        (correlate(condition={"gte": 3, "field": "model"}), "'field' has no meaning"),
        (correlate(condition={"gte": "3"}), "whole number"),
        (correlate(condition={"gte": 2.5}), "whole number"),
        (correlate(condition={"gte": True}), "whole number"),
        (correlate(condition={"gte": 2**60}), "too large"),
        (correlate(condition={"gte": 0}), "at least one event"),
        (correlate(condition={"gt": -1}), "at least one event"),
        (correlate(condition={"gte": 5, "gt": 5}), "not both"),
        (correlate(condition={"eq": 5, "lt": 9}), "eq says it all"),
        (correlate(condition={"lt": 1}), "can never fire"),
        (correlate(condition={"lte": 0}), "can never fire"),
        (correlate(condition={"eq": 0}), "can never fire"),
        (correlate(condition={"gte": 5, "lt": 5}), "can never fire"),
        (correlate(condition={"gt": 4, "lt": 5}), "can never fire"),
        (correlate(condition={"gte": 4, "lte": 4, "neq": 4}), "can never fire"),
        (correlate("temporal", rules=["a", "b"], condition={"gte": 3}), "can never fire"),
        (correlate("value_avg", condition={"field": "rows", "gt": 4, "lt": 4}), "can never fire"),
        (correlate("temporal", condition="not a"), "asks for nothing"),
        (correlate("temporal", condition="a and not a"), "contradicts itself"),
        (correlate("temporal", rules=["a", "b"], condition="a or not b"), "asks for nothing"),
        (correlate("temporal", rules=["a", "b"], condition="a"), "does not name rule 'b'"),
        (correlate("temporal", rules=["a"], condition="a and b"), "names 'b'"),
        (correlate("temporal", condition="a and and"), "'and' stands"),
        (correlate("value_count", condition={"gte": 3}), "names the field"),
        (correlate("value_sum", condition={"gte": 3, "field": ["rows", "status"]}), "one field"),
        (correlate("value_sum", condition={"gte": 3, "field": "object"}), "needs numbers"),
        (correlate("value_sum", condition={"gte": float("nan"), "field": "rows"}), "is a number"),
        (correlate("value_count", condition={"gte": 3, "field": "output_scores"}), "cannot count the values"),
        (correlate("value_percentile", condition={"gte": 3, "field": "rows"}), "from 0 to 100"),
        (correlate("value_percentile", condition={"gte": 3, "field": "rows", "percentile": 101}), "from 0 to 100"),
        (correlate("value_median", condition={"gte": 3, "field": "rows", "percentile": 9}), "'percentile' has no"),
        (correlate(aliases=["x"]), "mapping of names"),
        (correlate(aliases={"who": {"a": 1}}), "mapping of rules"),
        (correlate(aliases={"who": {"a": "principal"}}), "nothing uses this alias"),
        (correlate(group_by=["who"], aliases={"who": {"b": "principal"}}), "not correlated"),
        (correlate(rules=["a", "b"], group_by=["who"], aliases={"who": {"a": "principal"}}), "events of 'b'"),
        (correlate(rules=["a", "b"], group_by=["w"], aliases={"w": {"a": "rows", "b": "model"}}), "text in the events"),
        (correlate(group_by=["w"], aliases={"w": {"a": "rows", IDENTITY: "status"}}), "two fields of one rule"),
        (correlate(generate="yes"), "true or false"),
    ],
)
def test_refusals(document: dict[str, Any], problem: str) -> None:
    assert problem in str(refused(document))


def test_an_outer_correlation_sees_of_an_inner_one_what_it_groups_by() -> None:
    inner = correlate(name="inner")
    assert "tell its firings apart by 'model'" in str(refused(inner, correlate(rules=["inner"], group_by=["model"])))
    condition = {"field": "object", "gte": 2}
    assert "by 'object'" in str(refused(inner, correlate("value_count", rules=["inner"], condition=condition)))
    many = compiled(A, inner, correlate("value_count", rules=["inner"], condition={"field": "principal", "gte": 2}))
    assert many.correlations[1].field == ("principal",)


def test_a_correlation_over_a_refused_one_goes_with_it() -> None:
    bad = correlate(name="bad", timespan="1M")
    ruleset = compile_rules([source(A, bad, correlate(name="over", rules=["bad", "a"]))])
    assert "refers to rule 'bad', which was refused" in str(ruleset.refused[1])
    assert not ruleset.rules[0].silent
    with pytest.raises(RuleError, match="no fixed length"):
        compile_rules([source(A, bad)], strict=True)


WORDS = ["gte", "lt", "field", "a"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.sampled_from(["a", "model", "5m", "a and not b"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=2),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(["condition", "rules", "group_by", "aliases", "timespan"]), JSON),
)
def test_any_correlation_compiles_or_is_refused(kind: str, more: dict[str, Any]) -> None:
    ruleset = compile_rules([source(A, B, correlate(kind, **more))])
    assert len(ruleset.refused) + len(ruleset.correlations) == 1
