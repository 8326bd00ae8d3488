"""The capability table is what the backends really write: each entry is held to a query that shows it.

Needs the backends of [convert], which ask for pySigma 1.5: ``make test-convert`` runs this in their environment.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from threatmatrix.detect.convert.capabilities import BACKENDS, FEATURES
from threatmatrix.detect.sigma.rules import KINDS

pytest.importorskip("sigma.backends.splunk", reason="needs [convert]: make test-convert")
pytest.importorskip("sigma.backends.elasticsearch", reason="needs [convert]: make test-convert")
pytest.importorskip("sigma.backends.opensearch", reason="needs [convert]: make test-convert")
pytest.importorskip("sigma.backends.kusto", reason="needs [convert]: make test-convert")

from sigma.backends.elasticsearch import EqlBackend, ESQLBackend, LuceneBackend
from sigma.backends.kusto import KustoBackend
from sigma.backends.opensearch.opensearch_ppl import OpenSearchPPLBackend
from sigma.backends.splunk import SplunkBackend
from sigma.collection import SigmaCollection

A = {"title": "A", "name": "a", "logsource": {"category": "http"}, "detection": {"s": {"host": "x"}, "condition": "s"}}
B = {"title": "B", "name": "b", "logsource": {"category": "http"}, "detection": {"s": {"host": "y"}, "condition": "s"}}


def written(backend: Any, detection: dict[str, Any]) -> str:
    rule = {"title": "A", "logsource": {"category": "http"}, "detection": detection}
    return str(backend().convert(SigmaCollection.from_yaml(yaml.safe_dump(rule)))[0])


def correlated(backend: Any, kind: str, **more: Any) -> str:
    correlation = {"type": kind, "rules": ["a", "b"], "group-by": ["src_ip"], "timespan": "5m", **more}
    documents = [A, B, {"title": "C", "correlation": correlation}]
    return str(backend().convert(SigmaCollection.from_yaml(yaml.safe_dump_all(documents)))[-1])


def one(**fields: Any) -> dict[str, Any]:
    return {"s": fields, "condition": "s"}


@pytest.mark.parametrize(
    ("backend", "detection", "shows"),
    [
        pytest.param(SplunkBackend, one(host="a?b"), 'host="a*b"', id="splunk: ? is *"),
        pytest.param(SplunkBackend, one(host=r"a\*b"), r'host="a\*b"', id="splunk: * cannot be escaped"),
        pytest.param(SplunkBackend, one(**{"host|re": ["a1", "b2"]}), "| rex field=host", id="splunk: rex overwrites"),
        pytest.param(SplunkBackend, one(**{"host|fieldref": "object"}), "where 'host'='object'", id="splunk: fieldref"),
        pytest.param(SplunkBackend, {"k": ["a b"], "condition": "k"}, '"a b"', id="splunk: keyword is a token"),
        pytest.param(LuceneBackend, one(**{"host|re": "a[0-9]"}), "host:/a[0-9]/", id="lucene: anchored"),
        pytest.param(LuceneBackend, one(host=["a<b"]), r"host:a\<b", id="lucene: < cannot be escaped"),
        pytest.param(LuceneBackend, one(host="OR"), "host:OR", id="lucene: OR is an operator"),
        pytest.param(KustoBackend, one(host="a?b*c"), 'host matches regex "a.b.*c"', id="kusto: unanchored, cased"),
        pytest.param(
            KustoBackend, one(**{"src_ip|cidr": "2001:db8::/32"}), "ipv4_is_in_range(src_ip", id="kusto: no IPv6"
        ),
        pytest.param(KustoBackend, one(status=[200, 403]), 'status in~ ("200", "403")', id="kusto: numbers as text"),
        pytest.param(KustoBackend, one(**{"host|all": ["a", "b"]}), 'host has_all ("a", "b")', id="kusto: has_all"),
        pytest.param(KustoBackend, one(host=None), "isnull(host)", id="kusto: a string is never null"),
        pytest.param(
            KustoBackend, {"s": {"status": 3}, "condition": "not s"}, "not(status == 3)", id="kusto: null stays null"
        ),
        pytest.param(KustoBackend, {"k": ["a b"], "condition": "k"}, '"a b"', id="kusto: a text alone"),
        pytest.param(KustoBackend, one(host="*"), 'host startswith ""', id="kusto: anything, and nothing"),
        pytest.param(KustoBackend, one(host=""), 'host =~ ""', id="kusto: empty, and nothing"),
        pytest.param(KustoBackend, one(host=True), "host =~ true", id="kusto: no text"),
        pytest.param(KustoBackend, one(**{"a.b": "x"}), "'a.b' =~ \"x\"", id="kusto: a name becomes a text"),
        pytest.param(SplunkBackend, one(**{'a" b': "x"}), '"a" b"="x"', id="splunk: a quote in a name"),
        pytest.param(LuceneBackend, one(**{"a:b": "x"}), "a:b:x", id="lucene: a colon in a name"),
    ],
)
def test_what_the_backend_writes_is_not_what_sigma_says(backend: Any, detection: dict[str, Any], shows: str) -> None:
    assert shows in written(backend, detection)


@pytest.mark.parametrize("backend", [SplunkBackend, LuceneBackend, KustoBackend])
@pytest.mark.parametrize("modifier", ["cased", "hour"])
def test_what_a_backend_cannot_write_it_refuses_itself(backend: Any, modifier: str) -> None:
    with pytest.raises(NotImplementedError):
        written(backend, one(**{f"host|{modifier}": 3 if modifier == "hour" else "A"}))


@pytest.mark.parametrize("kind", ["event_count", "value_count", "temporal"])
def test_windows_of_splunk_and_esql_tumble(kind: str) -> None:
    condition = {"condition": {"gte": 3, "field": "object"} if kind == "value_count" else {"gte": 2}}
    assert "| bin _time span=5m" in correlated(SplunkBackend, kind, **condition)
    assert "date_trunc(5minutes, @timestamp)" in correlated(ESQLBackend, kind, **condition)


def test_opensearch_ppl_drops_the_timespan_and_the_order() -> None:
    count = correlated(OpenSearchPPLBackend, "event_count", condition={"gte": 3})
    assert "5m" not in count
    ordered = correlated(OpenSearchPPLBackend, "temporal_ordered")
    assert ordered == correlated(OpenSearchPPLBackend, "temporal")
    assert "dc(EventID)" in ordered


def test_eql_drops_a_timespan_and_repeats_a_step() -> None:
    assert "5m" not in correlated(EqlBackend, "temporal")
    assert correlated(EqlBackend, "temporal_ordered").endswith("with runs=2")


@pytest.mark.parametrize("backend", [LuceneBackend, KustoBackend])
def test_no_correlations_at_all(backend: Any) -> None:
    with pytest.raises(NotImplementedError):
        correlated(backend, "event_count", condition={"gte": 3})


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=lambda one: one.name)
def test_the_table_is_whole(backend: Any) -> None:
    assert set(backend.features) <= set(FEATURES)
    assert set(backend.correlations) == set(KINDS)
    assert all((*backend.features.values(), *backend.correlations.values(), backend.expression, *backend.assumes))
