"""What each SIEM backend of pySigma changes, by feature: the reasons for which a rule is refused.

Read in, and tried on, the backends that ``[convert]`` resolves to: splunk 2.1, elasticsearch 2.1 (Lucene),
opensearch 2.0 (Lucene), kusto 1.0; tests/convert holds the table to what they really write. A feature that is not
listed keeps its meaning, given what the backend ``assumes``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from threatmatrix.detect.sigma.rules import KINDS, Kind
from threatmatrix.model.errors import UnknownNameError

__all__ = ["BACKENDS", "FEATURES", "Backend", "Feature", "backend_named"]

Feature = Literal[
    "cased",
    "wildcard one",
    "wildcard inside",
    "literal asterisk",
    "literal angle bracket",
    "reserved word",
    "regex",
    "regex beside or",
    "negated regex",
    "cidr of IPv6",
    "negated cidr",
    "negated number",
    "numbers in a list",
    "texts that must all be equal",
    "no value",
    "fieldref",
    "time part",
    "keyword",
    "any value",
    "empty text",
    "truth value",
    "control character",
]

FEATURES: Mapping[Feature, str] = MappingProxyType(
    {
        "cased": "text compared with its case (cased)",
        "wildcard one": "the wildcard ?",
        "wildcard inside": "a wildcard inside a value",
        "literal asterisk": r"an asterisk that is meant literally (\*)",
        "literal angle bracket": "a value with < or >",
        "reserved word": "the value AND, OR or NOT",
        "regex": "a regular expression (re)",
        "regex beside or": "a regular expression in an OR",
        "negated regex": "a regular expression under not",
        "cidr of IPv6": "an IPv6 network",
        "negated cidr": "a network under not",
        "negated number": "a number under not, of a field that may be absent",
        "numbers in a list": "a list of numbers",
        "texts that must all be equal": "one field that must equal several texts",
        "no value": "null, or exists: false",
        "fieldref": "one field compared with another",
        "time part": "a part of the time (hour, day …)",
        "keyword": "a value without a field",
        "any value": "a value that is nothing but *",
        "empty text": "an empty text",
        "truth value": "true or false",
        "control character": "a control or direction character in a value",
    }
)
"""Each feature of a rule that some backend changes, in words."""

_TUMBLING = (
    "its windows tumble: it cuts the time at fixed boundaries, and what lies on both sides of one is never counted"
    " together"
)
_NO_CORRELATIONS = "this backend writes no correlations"
_NO_CASE = "the backend cannot compare with case"
_NO_PARTS = "the backend cannot take a time apart"
_RAW = "it would stand in the query as it is: a terminal obeys it, and an editor hides or breaks it"
_UNANCHORED = "keywords become searches for whole tokens, not for a part of the record"


@dataclass(frozen=True, slots=True)
class Backend:
    """One target of ``rules convert``."""

    name: str
    title: str  # the product and its query language
    module: str
    cls: str
    assumes: tuple[str, ...]  # what must hold at the SIEM for a converted rule to mean what it says
    names: re.Pattern[
        str
    ]  # fields that it writes so that they stay names: what it quotes or escapes wrongly is refused
    features: Mapping[Feature, str]  # what it changes → how
    correlations: Mapping[Kind, str]  # kind → why it is refused; a kind that is missing is converted
    expression: str  # why boolean conditions of temporal correlations are refused


def _all_kinds(**reasons: str) -> Mapping[Kind, str]:
    return MappingProxyType({kind: reasons.get(kind, reasons.get("other", "")) for kind in KINDS})


_SPLUNK = Backend(
    name="splunk",
    title="Splunk SPL",
    module="sigma.backends.splunk",
    cls="SplunkBackend",
    assumes=(
        "the fields are extracted under the names that the query uses",
        "text is compared without case, as the search command does",
    ),
    names=re.compile(r"[\w@][\w.@ {}-]*"),  # anything else is quoted, and a quote in it is not escaped
    features=MappingProxyType(
        {
            "cased": _NO_CASE,
            "wildcard one": "? becomes *, which stands for any number of characters",
            "literal asterisk": "the search command has no way to write a literal asterisk: it becomes a wildcard",
            "regex beside or": "it is written as rex and eval, which overwrite fields of the event",
            "negated regex": "the regex command keeps or drops events without the field otherwise than Sigma",
            "fieldref": "where compares with case, Sigma without",
            "time part": _NO_PARTS,
            "keyword": _UNANCHORED,
            "control character": _RAW,
        }
    ),
    correlations=_all_kinds(
        event_count=_TUMBLING,
        value_count=_TUMBLING,
        temporal=f"{_TUMBLING}; and it overwrites the field event_type",
        temporal_ordered="the backend does not write it: the order would not be checked",
        other="the backend does not write it",
    ),
    expression=f"{_TUMBLING}; and it overwrites the field event_type",
)

_LUCENE_FEATURES: Mapping[Feature, str] = MappingProxyType(
    {
        "cased": _NO_CASE,
        "literal angle bracket": "query_string cannot escape < and >: it would compare a range",
        "reserved word": "query_string reads it as an operator",
        "regex": "Lucene's expressions match the whole value and have another syntax, without (?i)",
        "regex beside or": "Lucene's expressions match the whole value and have another syntax, without (?i)",
        "negated regex": "Lucene's expressions match the whole value and have another syntax, without (?i)",
        "fieldref": "Lucene cannot compare two fields",
        "time part": _NO_PARTS,
        "keyword": "keywords are looked up in the analysed default fields, not in the record",
        "control character": _RAW,
    }
)
_LUCENE_NAMES = re.compile(r"[\w@][\w.@ -]*")  # the backend escapes white space and * alone
_LUCENE_ASSUMES = (
    "text fields are of type keyword with a lowercase normalizer: otherwise they are compared with case, or as words",
    "addresses are of type ip, numbers of a numeric type",
)

_ELASTICSEARCH = Backend(
    name="elasticsearch",
    title="Elasticsearch Lucene query string",
    module="sigma.backends.elasticsearch",
    cls="LuceneBackend",
    assumes=_LUCENE_ASSUMES,
    names=_LUCENE_NAMES,
    features=_LUCENE_FEATURES,
    correlations=_all_kinds(
        event_count=f"Lucene has none, and with ES|QL {_TUMBLING}",
        value_count=f"Lucene has none, and with ES|QL {_TUMBLING}",
        temporal=f"Lucene has none, and with ES|QL {_TUMBLING}; with EQL the timespan is dropped (sample)",
        temporal_ordered="Lucene has none, and the sequence that the EQL backend writes asks for its last step again"
        " and again (with runs)",
        other="the backend does not write it",
    ),
    expression="the backend does not write boolean conditions",
)

_OPENSEARCH = Backend(
    name="opensearch",
    title="OpenSearch Lucene query string",
    module="sigma.backends.opensearch",
    cls="OpensearchLuceneBackend",
    assumes=_LUCENE_ASSUMES,
    names=_LUCENE_NAMES,
    features=_LUCENE_FEATURES,
    correlations=_all_kinds(
        event_count="Lucene has none, and with PPL the timespan is dropped: it counts over all time",
        value_count="Lucene has none, and with PPL the timespan is dropped: it counts over all time",
        temporal=f"Lucene has none, and with PPL {_TUMBLING}; it counts the field EventID in place of the rules",
        temporal_ordered="Lucene has none, and with PPL the order is not checked",
        other="the backend does not write it",
    ),
    expression="Lucene has none, and with PPL the condition is dropped",
)

_KUSTO = Backend(
    name="kusto",
    title="Kusto Query Language (Sentinel, Defender)",
    module="sigma.backends.kusto",
    cls="KustoBackend",
    assumes=(
        "text columns are of type string, where an absent value is the empty text",
        "numbers are of type int, long or real",
    ),
    names=re.compile(r"[A-Za-z_]\w*"),  # others are put in single quotes, which makes a text of them
    features=MappingProxyType(
        {
            "cased": _NO_CASE,
            "wildcard one": "it becomes a regular expression that compares with case and is not anchored",
            "wildcard inside": "it becomes a regular expression that compares with case and is not anchored",
            "cidr of IPv6": "it becomes ipv4_is_in_range, which is null for IPv6",
            "negated cidr": "ipv4_is_in_range is null for what is no address, and so is its negation",
            "negated number": "a comparison with an absent number is null in Kusto, and so is its negation",
            "numbers in a list": "they are written as texts in in~, which no numeric column equals",
            "texts that must all be equal": "it becomes has_all, which looks for words",
            "no value": "isnull is never true of a string, and isempty cannot tell an empty text from none",
            "fieldref": "the backend cannot compare two fields",
            "time part": _NO_PARTS,
            "keyword": "the text would stand alone in the query, which Kusto rejects",
            "any value": 'it becomes startswith "", which an absent value fulfils too',
            "empty text": "an absent value is the empty text as well",
            "truth value": "it is compared with =~, which takes texts alone",
            "control character": _RAW,
        }
    ),
    correlations=_all_kinds(other=_NO_CORRELATIONS),
    expression=_NO_CORRELATIONS,
)

BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {backend.name: backend for backend in (_ELASTICSEARCH, _KUSTO, _OPENSEARCH, _SPLUNK)}
)


def backend_named(name: str) -> Backend:
    """Raises UnknownNameError."""
    try:
        return BACKENDS[name]
    except KeyError:
        raise UnknownNameError("backend", name, BACKENDS) from None
