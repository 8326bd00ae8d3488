"""Pipelines: rules of others, mapped to our events or refused by name; and nothing that a pipeline may not do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaRule
from tests.detect.sigma.conformance import compiled_rule

import threatmatrix
from threatmatrix.detect.sigma.documents import read_documents
from threatmatrix.detect.sigma.ir import And, Leaf, Not, Or, Wild, leaves
from threatmatrix.detect.sigma.pipelines import Pipelines, read_pipelines
from threatmatrix.detect.sigma.rules import EventRule
from threatmatrix.detect.sigma.schema import EVENTS
from threatmatrix.detect.sigma.translate import field_of
from threatmatrix.model.errors import RuleError
from threatmatrix.model.matrix import RuleSource

SHIPPED = sorted((Path(threatmatrix.__file__).parent / "library" / "pipelines").glob("*.yml"))
LOGSOURCE = {"category": "inference"}


def pipeline(*steps: dict[str, Any], **more: Any) -> Pipelines:
    return read_pipelines([text_of(*steps, **more)])


def text_of(*steps: dict[str, Any], **more: Any) -> RuleSource:
    return RuleSource("p.yml", yaml.safe_dump({**more, "transformations": list(steps)}, sort_keys=False), "")


def routed(pipelines: Pipelines, logsource: dict[str, str], /, **fields: Any) -> EventRule:
    detection = {"s": fields, "condition": "s"}
    document = {"title": "t", "logsource": logsource, "detection": detection, "fields": ["User"]}
    return compiled_rule(document, EVENTS, pipelines)


def mapped(pipelines: Pipelines, /, **fields: Any) -> EventRule:
    return routed(pipelines, LOGSOURCE, **fields)


def test_names_are_mapped_in_items_references_and_lists() -> None:
    pipelines = pipeline(
        {"type": "field_name_mapping", "mapping": {"User": "principal", "Account": ["tenant", "host"]}}
    )
    rule = mapped(pipelines, **{"User|fieldref": "Account"})
    assert rule.condition == Or((Leaf("principal", "same", "tenant"), Leaf("principal", "same", "host")))
    assert rule.meta.fields == ("principal",)
    assert mapped(pipelines, Account="x").condition == Or((Leaf("tenant", "equals", "x"), Leaf("host", "equals", "x")))


@pytest.mark.parametrize(
    ("step", "field"),
    [
        ({"type": "field_name_prefix_mapping", "mapping": {"src.": "src_"}}, "src.ip"),
        ({"type": "field_name_prefix", "prefix": "src_"}, "ip"),
        ({"type": "field_name_suffix", "suffix": "_ip"}, "src"),
    ],
)
def test_names_by_prefix_and_suffix(step: dict[str, Any], field: str) -> None:
    assert mapped(pipeline(step), **{field: "x"}).condition == Leaf("src_ip", "equals", "x")


@pytest.mark.parametrize(
    ("step", "written", "value"),
    [
        ({"type": "replace_string", "regex": "^a(.)", "replacement": "\\1b"}, "axe", "xbe"),
        ({"type": "replace_string", "regex": "\\\\", "replacement": "/", "skip_special": True}, "a\\b", "a/b"),
        ({"type": "map_string", "mapping": {"a": "b"}}, "a", "b"),
        ({"type": "set_value", "value": "z"}, "a", "z"),
        ({"type": "case", "method": "upper"}, "aé", "AÉ"),
        ({"type": "convert_type", "target_type": "str"}, 5, "5"),
    ],
)
def test_values_are_changed(step: dict[str, Any], written: Any, value: str) -> None:
    assert mapped(pipeline(step), principal=written).condition == Leaf("principal", "equals", value)


def test_a_text_becomes_a_number() -> None:
    step = {"type": "convert_type", "target_type": "num"}
    assert mapped(pipeline(step), latency_ms="0.5").condition == Leaf("latency_ms", "equals", 0.5)
    with pytest.raises(RuleError, match="'x' is none"):
        mapped(pipeline(step), rows="x")


def test_a_value_becomes_several_that_are_alternatives_even_under_all() -> None:
    step = {"type": "map_string", "mapping": {"*a*": ["*b*", "*c*"]}}
    rule = mapped(pipeline(step), **{"principal|contains|all": ["a", "x"]})
    either = Or((Leaf("principal", "contains", "b"), Leaf("principal", "contains", "c")))
    assert rule.condition == And((either, Leaf("principal", "contains", "x")))


def test_placeholders() -> None:
    values = pipeline({"type": "value_placeholders"}, vars={"Servers": ["srv*", "db"], "Port": 80})
    rule = mapped(values, **{"host|expand": "%Servers%:%Port%"})
    assert rule.condition == Or((Leaf("host", "matches", ("srv", Wild.ANY, ":80")), Leaf("host", "equals", "db:80")))
    assert mapped(values, **{"host|expand": "\\%Servers%Port%"}).condition == Leaf("host", "equals", "%Servers80")
    with pytest.raises(RuleError, match=r"placeholder %Other% stands for.*vars: Other"):
        mapped(values, **{"host|expand": "%Other%"})
    wild = pipeline({"type": "wildcard_placeholders", "include": ["Servers"]})
    assert mapped(wild, **{"host|expand": "x%Servers%"}).condition == Leaf("host", "startswith", "x")
    many = pipeline({"type": "value_placeholders"}, vars={"N": [str(n) for n in range(40)]})
    with pytest.raises(RuleError, match="more than 1000 values"):
        mapped(many, **{"host|expand": "%N%%N%"})


def test_conditions_are_added_and_items_dropped() -> None:
    added = pipeline({"type": "add_condition", "conditions": {"host|endswith": ".example"}, "negated": True})
    condition = mapped(added, principal="x").condition
    assert condition == And((Not(Leaf("host", "endswith", ".example")), Leaf("principal", "equals", "x")))
    include = [{"type": "include_fields", "fields": ["Noise"]}]
    dropped = pipeline({"type": "drop_detection_item", "field_name_conditions": include})
    assert mapped(dropped, principal="x", Noise=1).condition == Leaf("principal", "equals", "x")
    with pytest.raises(RuleError, match=r"detection\.s: a pipeline drops all"):
        mapped(dropped, Noise=1)


@pytest.mark.parametrize(
    ("conditions", "applies"),
    [
        ({"rule_conditions": [{"type": "logsource", "category": "inference"}]}, True),
        ({"rule_conditions": [{"type": "logsource", "product": "x"}]}, False),
        ({"rule_conditions": [{"type": "logsource", "product": "x"}], "rule_cond_not": True}, True),
        ({"rule_conditions": [{"type": "contains_field", "field": "principal"}, {"type": "tag", "tag": "a.b"}]}, False),
        (
            {
                "rule_conditions": [{"type": "contains_field", "field": "principal"}, {"type": "tag", "tag": "a.b"}],
                "rule_cond_op": "or",
            },
            True,
        ),
        ({"rule_conditions": [{"type": "contains_detection_item", "field": "principal", "value": "abc"}]}, True),
        ({"rule_conditions": [{"type": "processing_item_applied", "processing_item_id": "first"}]}, True),
        ({"rule_conditions": [{"type": "processing_item_applied", "processing_item_id": "never"}]}, False),
        ({"detection_item_conditions": [{"type": "match_string", "cond": "any", "pattern": "a.c$"}]}, True),
        ({"detection_item_conditions": [{"type": "match_string", "cond": "all", "pattern": "b"}]}, False),
        ({"detection_item_conditions": [{"type": "match_value", "cond": "any", "value": "abc"}]}, True),
        ({"detection_item_conditions": [{"type": "contains_wildcard", "cond": "any"}]}, False),
        ({"detection_item_conditions": [{"type": "is_null", "cond": "any"}]}, False),
        ({"field_name_conditions": [{"type": "include_fields", "fields": ["prin.*"], "mode": "re"}]}, True),
        ({"field_name_conditions": [{"type": "exclude_fields", "fields": ["principal"]}]}, False),
    ],
)
def test_a_step_concerns_what_its_conditions_say(conditions: dict[str, Any], applies: bool) -> None:
    first = {"id": "first", "type": "case"}
    rule = mapped(pipeline(first, {"type": "set_value", "value": "changed", **conditions}), principal="abc")
    assert (rule.condition == Leaf("principal", "equals", "changed")) == applies


def test_pipelines_run_by_priority() -> None:
    late, early = ({"type": "set_value", "value": name} for name in ("late", "early"))
    pipelines = read_pipelines([text_of(late, priority=20), text_of(early, priority=10)])
    assert mapped(pipelines, principal="x").condition == Leaf("principal", "equals", "late")


def test_a_log_source_is_mapped_or_refused_with_what_could_map_it() -> None:
    change = pipeline({"type": "change_logsource", "category": "http"})
    assert routed(change, {"product": "apache", "service": "access"}, host="x").category == "http"
    with pytest.raises(RuleError, match=r"category None \(product 'apache'\).*change_logsource"):
        routed(Pipelines(), {"product": "apache"}, host="x")
    with pytest.raises(RuleError, match=r"refused by a pipeline: not here"):
        mapped(pipeline({"type": "rule_failure", "message": "not here"}), host="x")


def test_names_of_a_correlation_go_the_same_way() -> None:
    rule = {"title": "t", "logsource": LOGSOURCE, "detection": {"s": {"host": "x"}, "condition": "s"}}
    (document,), _ = read_documents(RuleSource("r.yml", yaml.safe_dump(rule), "t"))
    pipelines = pipeline({"type": "field_name_mapping", "mapping": {"User": "principal", "Two": ["host", "tenant"]}})
    assert field_of(document, "User", EVENTS, pipelines) == "principal"
    assert field_of(document, "other", EVENTS, pipelines) == "other"
    with pytest.raises(RuleError, match="several fields: host, tenant"):
        field_of(document, "Two", EVENTS, pipelines)


@pytest.mark.parametrize(
    ("step", "named"),
    [
        ({"type": "template", "template": "x"}, "'template' is not supported"),
        ({"type": "query_expression_placeholders", "expression": "x"}, "is not supported"),
        ({"type": "file_placeholders", "path": "/etc/passwd"}, "is not supported"),
        ({"type": "http_placeholders", "url": "http://x"}, "is not supported"),
        ({"type": "command_placeholders", "command": "id"}, "is not supported"),
        ({"type": "nest", "items": []}, "is not supported"),
        ({"type": ["case"]}, "is not supported"),
        ({}, "is not supported"),
        ({"type": "case", "allow_external_sources": True}, "'allow_external_sources' is not supported here"),
        ({"type": "case", "rule_cond_expr": "a or b"}, "'rule_cond_expr' is not supported here"),
        ({"type": "case", "method": "snake_case"}, "'snake_case' is not supported"),
        ({"type": "case", "rule_conditions": [{"type": "rule_attribute"}]}, "'rule_attribute' is not supported"),
        ({"type": "case", "rule_conditions": {"a": {"type": "logsource"}}}, "is a list"),
        ({"type": "case", "rule_conditions": [{"type": "logsource"}]}, "names a category"),
        ({"type": "replace_string", "regex": "(?=a)", "replacement": ""}, "not a regular expression of RE2"),
        ({"type": "replace_string", "regex": "a", "replacement": "\\g<0>"}, "refers to groups"),
        ({"type": "field_name_mapping", "mapping": {"a": 1}}, "list of texts"),
        ({"type": "field_name_mapping"}, "mapping from text to text"),
        ({"type": "add_condition", "conditions": {"a": 1}, "template": True}, "'template' is not supported here"),
        ({"type": "add_condition", "conditions": {"a|nonsense": 1}}, "modifier 'nonsense'"),
    ],
)
def test_what_is_not_on_the_list_is_refused_by_name(step: dict[str, Any], named: str) -> None:
    with pytest.raises(RuleError, match=r"^p\.yml:\d+: ") as caught:
        pipeline(step)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "more", [{"finalizers": []}, {"postprocessing": []}, {"allowed_backends": ["splunk"]}, {"priority": "x"}]
)
def test_other_keys_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(RuleError):
        pipeline({"type": "case"}, **more)


def test_those_that_come_with_the_package() -> None:
    pipelines = read_pipelines([RuleSource(file.name, file.read_text(encoding="utf-8"), "") for file in SHIPPED])
    web = routed(
        pipelines, {"category": "webserver"}, **{"cs-uri-stem|endswith": ".pkl", "sc-status": 200, "cs-method": "GET"}
    )
    assert web.category == "http"
    assert {leaf.field for leaf in leaves(web.condition)} == {"endpoint", "status", "method"}
    with pytest.raises(RuleError, match="path without its query"):
        routed(pipelines, {"category": "proxy"}, **{"c-uri|contains": "x"})
    aws = {"product": "aws", "service": "cloudtrail"}
    calls = routed(pipelines, aws, eventSource="iam.amazonaws.com", eventName=["CreateUser", "DeleteUser"])
    assert calls.category == "api_activity"
    logins = routed(pipelines, aws, **{"eventName": "ConsoleLogin", "responseElements.ConsoleLogin": "Failure"})
    assert (logins.category, "outcome" in logins.reads) == ("authentication", True)
    for fields in ({"errorCode": "x"}, {"userIdentity.arn|contains": "x"}, {"eventSource": "s3.amazonaws.com"}):
        with pytest.raises(RuleError, match="refused by a pipeline"):
            routed(pipelines, aws, **fields)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["case", "logsource", "any"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "mapping", "a"]), inner),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["transformations", "vars", "priority", "name"]), JSON)
def test_any_text_is_a_pipeline_or_refused(key: str, value: Any) -> None:
    content = {"transformations": [{"type": "case"}], key: value}
    try:
        pipelines = read_pipelines([RuleSource("p.yml", yaml.safe_dump(content), "")])
    except RuleError:
        return
    assert mapped(pipelines, principal="x").category == "inference"


@pytest.mark.parametrize(
    ("logsource", "fields"),
    [
        ({"category": "webserver"}, {"cs-method": "GET", "cs-uri-stem|contains": "/x", "sc-status": [200, 404]}),
        ({"category": "proxy"}, {"c-useragent|startswith": ["curl", "wget*x"]}),
        ({"product": "aws", "service": "cloudtrail"}, {"eventSource": "iam.amazonaws.com", "eventName": "CreateUser"}),
        ({"product": "aws", "service": "cloudtrail"}, {"eventName": "ConsoleLogin", "sourceIPAddress": "10.0.0.1"}),
    ],
)
def test_pysigma_maps_the_same_rule_to_the_same_fields(logsource: dict[str, str], fields: dict[str, Any]) -> None:
    texts = [file.read_text(encoding="utf-8") for file in SHIPPED]
    ours = routed(read_pipelines([RuleSource("p.yml", text, "") for text in texts]), logsource, **fields)
    rule = SigmaRule.from_dict({"title": "t", "logsource": logsource, "detection": {"s": fields, "condition": "s"}})
    for text in texts:
        ProcessingPipeline.from_yaml(text).apply(rule)
    items = rule.detection.detections["s"].detection_items
    assert {getattr(item, "field", None) for item in items} == set(ours.reads)
    assert rule.logsource.category == ours.category
