"""Rules as queries of a SIEM: what keeps its meaning is converted, everything else is refused with the reason."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from threatmatrix.detect.convert.capabilities import BACKENDS
from threatmatrix.knowledge import load_library
from threatmatrix.model.errors import InputError, MissingExtraError, RuleError, UnknownNameError
from threatmatrix.workflows.convert import Conversion, convert_rules

LIBRARY = load_library(None)
INSTALLED = importlib.util.find_spec("sigma.backends.splunk") is not None
needs_backends = pytest.mark.skipif(not INSTALLED, reason="needs [convert]: make test-convert")


def rule(detection: dict[str, Any], **more: Any) -> dict[str, Any]:
    logsource = {"category": "http"}
    return {"title": "A rule", "name": "a_rule", "logsource": logsource, "detection": detection, **more}


def one(**fields: Any) -> dict[str, Any]:
    return rule({"s": fields, "condition": "s"})


def converted(folder: Path, to: str, *documents: dict[str, Any], pipeline: dict[str, Any] | None = None) -> Conversion:
    (folder / "rule.yml").write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    mapping = None
    if pipeline:
        mapping = folder / "pipeline.yaml"
        mapping.write_text(yaml.safe_dump(pipeline), encoding="utf-8")
    return convert_rules(LIBRARY, to, paths=[folder / "rule.yml"], pipeline=mapping)


def query(folder: Path, to: str, *documents: dict[str, Any], pipeline: dict[str, Any] | None = None) -> str:
    report = converted(folder, to, *documents, pipeline=pipeline)
    assert not report.refused, report.refused
    assert not report.invalid, report.invalid
    (found,) = report.converted
    return found.query


def test_without_the_optional_part_it_says_what_to_install() -> None:
    if INSTALLED:
        pytest.skip("the backends are installed here")
    with pytest.raises(MissingExtraError, match=r"threatmatrix\[convert\]"):
        convert_rules(LIBRARY, "splunk")


def test_an_unknown_siem_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="splunk"):
        convert_rules(LIBRARY, "splunkk")


@needs_backends
@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("splunk", 'category="http" user_agent="curl/*" NOT src_ip="10.0.0.0/8"'),
        ("elasticsearch", r"category:http AND (user_agent:curl\/* AND (NOT src_ip:10.0.0.0\/8))"),
        ("opensearch", r"category:http AND (user_agent:curl\/* AND (NOT src_ip:10.0.0.0\/8))"),
    ],
)
def test_a_plain_rule_asks_for_its_category_too(tmp_path: Path, to: str, expected: str) -> None:
    detection = {"s": {"user_agent|startswith": "curl/"}, "own": {"src_ip|cidr": "10.0.0.0/8"}}
    assert query(tmp_path, to, rule({**detection, "condition": "s and not own"})) == expected


@needs_backends
def test_the_siems_own_names_come_from_a_pipeline(tmp_path: Path) -> None:
    mapping = {"user_agent": "user_agent.original", "category": "event.dataset"}
    pipeline = {"name": "ours", "transformations": [{"type": "field_name_mapping", "mapping": mapping}]}
    found = query(tmp_path, "elasticsearch", one(user_agent="curl"), pipeline=pipeline)
    assert found == "event.dataset:http AND user_agent.original:curl"


@needs_backends
def test_a_pipeline_that_would_run_something_is_refused(tmp_path: Path) -> None:
    pipeline = {"name": "ours", "transformations": [{"type": "nest", "items": []}]}
    with pytest.raises(RuleError, match=r"pipeline\.yaml"):
        query(tmp_path, "splunk", one(user_agent="curl"), pipeline=pipeline)


@needs_backends
@pytest.mark.parametrize(
    ("to", "detection", "reason"),
    [
        ("splunk", one(**{"host|cased": "A"}), "with case"),
        ("splunk", one(host="a?b"), "any number of characters"),
        ("splunk", one(host=r"a\*b"), "literal asterisk"),
        ("splunk", one(**{"host|re": ["a1", "b2"]}), "overwrite fields"),
        ("splunk", rule({"s": {"host|re": "a"}, "condition": "not s"}), "without the field"),
        ("splunk", one(**{"host|fieldref": "object"}), "with case"),
        ("splunk", rule({"s": ["a", "b"], "condition": "s"}), "whole tokens"),
        ("elasticsearch", one(**{"host|re": "a[0-9]"}), "the whole value"),
        ("opensearch", one(host="a<b"), "a range"),
        ("elasticsearch", one(host="NOT"), "operator"),
        ("kusto", one(host="a*b"), "not anchored"),
        ("kusto", one(**{"src_ip|cidr": "2001:db8::/32"}), "null for IPv6"),
        ("kusto", one(status=[200, 403]), "written as texts"),
        ("kusto", rule({"s": {"status": 200}, "condition": "not s"}), "absent number"),
        ("kusto", rule({"s": {"rows|gte": 5}, "condition": "not s"}), "absent number"),
        ("kusto", rule({"s": {"src_ip|cidr": "10.0.0.0/8"}, "condition": "not s"}), "no address"),
        ("kusto", one(host=None), "isnull"),
        ("kusto", one(**{"host|exists": False}), "isempty"),
        ("kusto", one(**{"time|hour": 3}), "take a time apart"),
    ],
)
def test_what_would_change_is_refused(tmp_path: Path, to: str, detection: dict[str, Any], reason: str) -> None:
    report = converted(tmp_path, to, detection)
    assert not report.converted
    (refused,) = report.refused
    assert reason in " ".join(refused.reasons)


@needs_backends
@pytest.mark.parametrize(
    ("detection", "part"),
    [
        ({"able": {"host": "a"}, "notable": {"host": "b"}, "condition": "notable"}, "condition"),
        ({"a": {"host": "a"}, "b": {"host": "b"}, "a-b": {"host": "c"}, "condition": "1 of a-b"}, "condition"),
        ({"s": {"host": "ok", "object|base64offset|contains": "Größe"}, "condition": "s"}, "s.object|base64offset"),
        ({"s": {"object|utf16|base64offset|contains": "cmd"}, "condition": "s"}, "s.object|utf16"),
        ({"s": {"object|contains|windash": "–x"}, "condition": "s"}, "s.object|contains|windash"),
        ({"s": {"host|cidr": "::ffff:10.0.0.0/104"}, "condition": "s"}, "s.host|cidr"),
        ({"s": [{"host": "a"}, {"object|utf16|base64": "b"}], "condition": "s"}, "reads s otherwise"),
    ],
)
def test_what_pysigma_itself_misreads_is_refused(tmp_path: Path, detection: dict[str, Any], part: str) -> None:
    report = converted(tmp_path, "splunk", rule(detection))
    assert not report.converted
    assert not report.invalid
    assert any(reason.startswith("pySigma") and part in reason for reason in report.refused[0].reasons) or (
        part == "condition" and "Expected end of text" in report.refused[0].reasons[0]
    )


@needs_backends
@pytest.mark.parametrize(
    ("key", "value"), [("time|hour|gte", 3), ("host|fieldref|cased", "object"), ("object|utf16le|base64", "cmd")]
)
def test_modifiers_that_pysigma_does_not_know_are_refused(tmp_path: Path, key: str, value: Any) -> None:
    report = converted(tmp_path, "kusto", one(**{key: value}))
    assert not report.converted
    assert len(report.refused) == 1


@needs_backends
@pytest.mark.parametrize("to", BACKENDS)
@pytest.mark.parametrize("name", ['a" OR b="c', "x) or 1==1 //", "f*", "a:b", "not", 'a" OR "b', "a\x1b[2J"])
def test_a_field_name_cannot_become_a_part_of_the_query(tmp_path: Path, to: str, name: str) -> None:
    report = converted(tmp_path, to, one(**{name: "x"}))
    assert not report.converted
    assert "as a name" in " ".join(report.refused[0].reasons)


@needs_backends
def test_a_name_with_a_dot_would_be_a_text_to_kusto_and_stays_a_name_elsewhere(tmp_path: Path) -> None:
    assert query(tmp_path, "splunk", one(**{"user.name": "x"})) == 'category="http" user.name="x"'
    assert query(tmp_path, "elasticsearch", one(**{"user.name": "x"})) == "category:http AND user.name:x"
    assert not converted(tmp_path, "kusto", one(**{"user.name": "x"})).converted


@needs_backends
@pytest.mark.parametrize("to", BACKENDS)
@pytest.mark.parametrize("value", ["a\x1b[2Jb", "a\nb", "a\u202eb", "a\x9bb", "a\u2028b"])
def test_what_steers_a_terminal_does_not_reach_a_query(tmp_path: Path, to: str, value: str) -> None:
    for key in ("host", "host|contains"):
        report = converted(tmp_path, to, one(**{key: value}))
        assert not report.converted
        assert "control or direction character" in " ".join(report.refused[0].reasons)


@needs_backends
@pytest.mark.parametrize(("value", "reason"), [("*", "absent value"), ("", "empty text"), (True, "texts alone")])
def test_kusto_cannot_tell_nothing_from_empty(tmp_path: Path, value: Any, reason: str) -> None:
    report = converted(tmp_path, "kusto", one(host=value))
    assert not report.converted
    assert reason in " ".join(report.refused[0].reasons)


@needs_backends
def test_a_folder_without_rules_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rule file here"):
        convert_rules(LIBRARY, "splunk", paths=[tmp_path])
    with pytest.raises(InputError, match="no pipeline here"):
        convert_rules(LIBRARY, "splunk", pipeline=tmp_path)


@needs_backends
def test_a_list_of_conditions_is_one_query(tmp_path: Path) -> None:
    searches = {"a": {"host": "x"}, "b": {"object": "y"}}
    document = rule({**searches, "condition": ["a", "b"]})
    assert query(tmp_path, "splunk", document) == 'category="http" host="x" OR object="y"'  # OR binds first


@needs_backends
def test_what_a_pipeline_adds_is_refused_as_if_it_stood_in_the_rule(tmp_path: Path) -> None:
    steps = [{"type": "field_name_mapping", "mapping": {"host": ["host.name", "host.fqdn"]}}]
    pipeline = {"name": "ours", "transformations": steps}
    report = converted(tmp_path, "splunk", one(**{"host|re": "a[0-9]"}), pipeline=pipeline)
    assert not report.converted
    assert "overwrite fields" in " ".join(report.refused[0].reasons)


@needs_backends
@pytest.mark.parametrize("to", BACKENDS)
@pytest.mark.parametrize(
    ("kind", "more", "reasons"),
    [
        ("event_count", {"condition": {"gte": 3}}, {"splunk": "tumble", "opensearch": "timespan is dropped"}),
        ("value_count", {"condition": {"gte": 3, "field": "object"}}, {"elasticsearch": "tumble"}),
        ("temporal_ordered", {}, {"splunk": "order would not be checked", "opensearch": "order is not checked"}),
        ("temporal", {}, {"splunk": "overwrites the field event_type", "kusto": "no correlations"}),
    ],
)
def test_every_correlation_is_refused_and_its_rules_with_it(
    tmp_path: Path, to: str, kind: str, more: dict[str, Any], reasons: dict[str, str]
) -> None:
    correlation = {"type": kind, "rules": ["a_rule"], "group-by": ["src_ip"], "timespan": "5m", **more}
    report = converted(tmp_path, to, one(host="x"), {"title": "Many", "correlation": correlation})
    by_title = {refused.title: " ".join(refused.reasons) for refused in report.refused}
    assert not report.converted
    assert "a part of Many" in by_title["A rule"]
    assert reasons.get(to, "") in by_title["Many"]
    correlation["generate"] = True
    report = converted(tmp_path, to, one(host="x"), {"title": "Many", "correlation": correlation})
    assert [found.title for found in report.converted] == ["A rule"]


@needs_backends
def test_anybodys_rules_of_any_logsource(tmp_path: Path) -> None:
    logsource = {"product": "windows", "category": "process_creation"}
    document = {**one(**{"CommandLine|contains|windash": "-enc"}), "logsource": logsource}
    report = converted(tmp_path, "splunk", document, {"title": "broken", "logsource": logsource, "detection": {}})
    (found,) = report.converted
    assert dict(found.logsource) == logsource
    assert "category=" not in found.query
    assert '"*-enc*"' in found.query
    assert len(report.invalid) == 1


@needs_backends
@pytest.mark.parametrize("to", BACKENDS)
def test_the_librarys_rules_are_converted_or_refused_one_by_one(to: str) -> None:
    report = convert_rules(LIBRARY, to)
    assert not report.invalid
    assert all(found.query for found in report.converted)
    assert all(refused.reasons for refused in report.refused)
    assert len(report.converted) >= 10
