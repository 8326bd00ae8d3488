"""Which records are one request, which never are, and whose word counts."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.telemetry.joining_world import SECOND, START, Request, records_of

from threatmatrix.model.event import Event
from threatmatrix.telemetry.joining import join
from threatmatrix.telemetry.joining.compose import FIELDS, KINDS, ORDERS
from threatmatrix.telemetry.joining.facts import role_of, space_of
from threatmatrix.telemetry.readers import SOURCES


def http(**fields: Any) -> Event:
    base: dict[str, Any] = {
        "event_id": "nginx:r", "time": START, "source": "nginx", "category": "http", "src_ip": "203.0.113.7",
        "request_ref": "r", "endpoint": "/v2/models/labels/infer", "status": 200, "user_agent": "Scanner/4.1",
    }  # fmt: skip
    return Event(**base | fields)


def infer(**fields: Any) -> Event:
    base: dict[str, Any] = {
        "event_id": "gateway:r", "time": START + SECOND, "source": "gateway", "category": "inference",
        "operation": "infer", "model": "labels", "request_ref": "r", "input_fp": "aa", "output_label": "parcel",
    }  # fmt: skip
    return Event(**base | fields)


def span(**fields: Any) -> Event:
    base: dict[str, Any] = {
        "event_id": "otel:t:1", "time": START + SECOND, "source": "otel", "category": "inference",
        "operation": "chat", "model": "labels", "request_ref": "span-1", "trace_id": "t", "tokens_in": 7,
    }  # fmt: skip
    return Event(**base | fields)


def sources(*events: Event) -> list[str]:
    return sorted(event.source for event in join(events).events)


def test_proxy_request_and_response_are_one_event_with_the_best_of_each() -> None:
    records = records_of(Request(1, START, "r", src_ip="198.51.100.9"))
    (event,) = join(records).events
    assert (event.source, event.event_id, event.category, event.operation) == (
        "kserve+nginx", "req:r", "inference", "infer",
    )  # fmt: skip
    assert (event.src_ip, event.status, event.user_agent, event.latency_ms) == ("198.51.100.9", 200, "t1", 20.0)
    assert (event.input_fp, event.output_label, event.output_scores) == ("t1", "t1", (0.75, 0.25))
    assert (event.model, event.row, event.rows, event.input_bytes) == ("labels", 0, 1, 64)
    for order in permutations(records):
        assert join(order).events == [event]


def test_a_proxy_record_flows_into_every_row_and_is_used_up() -> None:
    events = join(records_of(Request(1, START, "r", rows=3))).events
    assert [(event.event_id, event.row, event.user_agent, event.status) for event in events] == [
        ("req:r", 0, "t1", 200), ("req:r:1", 1, "t1", 200), ("req:r:2", 2, "t1", 200),
    ]  # fmt: skip
    request = http(tokens_in=500, input_bytes=9000, output_label="all")
    rows = [infer(event_id=f"gateway:r:{row}", row=row, rows=2, output_label=None, input_fp=None) for row in (0, 1)]
    for event in join([request, *rows]).events:
        assert (event.tokens_in, event.input_bytes, event.output_label) == (None, None, None), "not of one row"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"model": "labels"}, {"model": "spam"}),
        ({"principal": "ann"}, {"principal": "bob"}),
        ({"key_id": "key_1"}, {"key_id": "key_2"}),
        ({"src_ip": "203.0.113.7"}, {"src_ip": "198.51.100.1"}),
        ({"system": "a"}, {"system": "b"}),
        ({"category": "model_access"}, {}),
        ({"operation": "embeddings"}, {"operation": "chat"}),
        ({"method": "GET"}, {"method": "POST"}),
        ({"rows": 2}, {"rows": 3}),
        ({}, {"time": START + 61 * SECOND}),
        ({"request_ref": "r"}, {"request_ref": "R"}),
    ],
)
def test_what_contradicts_is_not_joined(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert sources(http(**one), infer(**other)) == ["gateway", "nginx"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"model": "openai/Labels"}, {"model": "labels"}),
        ({"model": "labels-2024"}, {"model": "labels", "model_version": "labels-2024"}),
        ({"principal": "key_1"}, {"principal": "ann", "key_id": "key_1"}),
        ({}, {"src_ip": "10.0.0.2"}),  # the proxy's own address, as the server behind it sees it
        ({"category": "api_activity"}, {}),
        ({"operation": "infer"}, {"operation": "chat"}),
        ({"latency_ms": 90_000.0}, {"time": START - 100 * SECOND}),  # one logs the end, the other the start
        ({"trace_id": "w3c"}, {"trace_id": "its own"}),
    ],
)
def test_what_only_looks_different_is_joined(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert sources(http(**one), infer(**other)) == ["gateway+nginx"]


def test_whose_word_counts() -> None:
    (event,) = join(
        [
            http(principal="key_1", latency_ms=50.0, host="edge", endpoint="/api/labels", operation="infer"),
            infer(
                principal="ann", key_id="key_1", src_ip="127.0.0.1", latency_ms=40.0, status=500, decision="allow",
                policy_ref="pol-1", endpoint="/v2/models/labels/infer", operation="chat",
            ),
        ]
    ).events  # fmt: skip
    assert (event.principal, event.decision, event.policy_ref) == ("ann", "allow", "pol-1")
    assert (event.src_ip, event.latency_ms, event.status, event.host) == ("203.0.113.7", 50.0, 200, "edge")
    assert (event.endpoint, event.operation, event.time) == ("/api/labels", "chat", START + SECOND)


def test_vectors_of_different_keys_never_mix() -> None:
    full = infer(source="kserve", event_id="kserve:r", input_vec=b"\1", vec_scale=0.5, vec_key="k1", output_label=None)
    other = infer(input_fp="bb", input_vec=b"\2", vec_scale=0.1, vec_key="k2", input_vec_prev=b"\3", vec_key_prev="k0")
    (event,) = join([other, full]).events
    assert (event.input_fp, event.input_vec, event.vec_scale, event.vec_key) == ("aa", b"\1", 0.5, "k1")
    assert (event.input_vec_prev, event.vec_key_prev) == (None, None)


class TestIdsThatRepeat:
    def test_records_with_a_repeated_id_stay_events_of_their_own(self) -> None:
        mine, theirs = http(), http(time=START + SECOND, src_ip="198.51.100.66")
        found = join([mine, theirs, infer()])
        assert sorted(event.source for event in found.events) == ["gateway", "nginx", "nginx"]
        assert len({event.event_id for event in found.events}) == 3
        assert (found.clashes, found.joined, found.duplicates) == (2, 0, 0)

    def test_even_in_the_same_microsecond(self) -> None:
        rows = [infer(row=row, rows=2, input_fp=fp) for row in (0, 1) for fp in ("aa", "bb", "cc")]
        found = join([*rows, http()])
        assert len({event.event_id for event in found.events}) == 7
        assert found.clashes == 6
        assert join([http(), *reversed(rows)]) == found

    def test_what_the_facts_tell_apart_is_joined_all_the_same(self) -> None:
        found = join([http(principal="ann"), http(principal="bob", time=START + 1), infer(principal="bob")])
        assert sorted((event.source, event.principal) for event in found.events) == [
            ("gateway+nginx", "bob"), ("nginx", "ann"),
        ]  # fmt: skip
        assert found.clashes == 2

    def test_an_id_used_again_hours_later_is_another_request(self) -> None:
        later = [replace(event, time=event.time + 3600 * SECOND) for event in (http(), infer())]
        found = join([http(), infer(), *later])
        assert [event.source for event in found.events] == ["gateway+nginx", "gateway+nginx"]
        assert len({event.event_id for event in found.events}) == 2
        assert found.clashes == 0

    def test_a_client_with_one_id_for_everything_is_never_joined(self) -> None:
        many = [
            replace(event, event_id=f"{event.event_id}:{n}", time=event.time + n * 1000)
            for n in range(2000)
            for event in (http(), infer())
        ]
        found = join(many)
        assert len(found.events) == len({event.event_id for event in found.events}) == 4000
        assert (found.joined, found.clashes) == (0, 4000)

    def test_the_same_record_twice_is_one(self) -> None:
        found = join([http(), infer(), http(), infer(), infer()])
        assert [event.source for event in found.events] == ["gateway+nginx"]
        assert (found.duplicates, found.clashes) == (3, 0)

    def test_records_without_an_id_of_their_own_are_never_called_the_same(self) -> None:
        """Two requests in one second may look alike; dropping one would hide a flood."""
        knock = http(request_ref=None, event_id="nginx:1", endpoint="/login")
        assert len(join([knock, replace(knock, event_id="nginx:2")]).events) == 2


class TestByTrace:
    def test_the_only_call_of_a_trace(self) -> None:
        (event,) = join([http(trace_id="t"), span()]).events
        assert (event.source, event.event_id, event.tokens_in, event.status) == ("nginx+otel", "req:r", 7, 200)

    def test_two_calls_of_a_trace_are_not_told_apart(self) -> None:
        more = span(event_id="otel:t:2", request_ref="span-2", time=START + 5 * SECOND)
        assert sources(http(trace_id="t"), span(), more) == ["nginx", "otel", "otel"]
        other = replace(more, model="spam")
        assert sources(http(trace_id="t", model="labels"), span(), other) == ["nginx+otel", "otel"]

    def test_ids_of_one_kind_that_differ_are_two_requests(self) -> None:
        behind = infer(trace_id="t", request_ref="s")
        assert sources(http(trace_id="t"), replace(behind, source="oip")) == ["nginx", "oip"]
        assert sources(http(trace_id="t"), behind) == ["gateway+nginx"], "the gateway makes its own"

    def test_a_path_that_differs_is_another_request(self) -> None:
        assert sources(http(trace_id="t"), span(endpoint="/v1/chat/completions")) == ["nginx", "otel"]
        assert sources(http(trace_id="t", endpoint="/edge/v1/chat"), span(endpoint="/v1/chat")) == ["nginx+otel"]

    def test_request_id_and_trace_make_one_event_of_three(self) -> None:
        records = [http(trace_id="t"), infer(), span()]
        for order in permutations(records):
            assert sources(*order) == ["gateway+nginx+otel"]

    def test_a_weaker_tie_yields_where_the_id_names_another_record(self) -> None:
        """The gateway's record names another record of nginx; the trace cannot take it away."""
        assert sources(http(), infer(trace_id="t"), http(trace_id="t", request_ref=None, event_id="nginx:x")) == [
            "gateway+nginx", "nginx",
        ]  # fmt: skip

    def test_a_span_and_its_details_are_one_record(self) -> None:
        details = span(event_id="otel:t:1:details", tokens_in=None, input_fp="aa")
        (event,) = join([details, span()]).events
        assert (event.source, event.input_fp, event.tokens_in) == ("otel", "aa", 7)


class TestByWho:
    WHO: ClassVar = {"request_ref": None, "principal": "ann", "model": "labels"}

    def test_the_only_request_of_a_principal(self) -> None:
        (event,) = join([http(**self.WHO), span(**self.WHO, trace_id=None)]).events
        assert (event.source, event.event_id) == ("nginx+otel", "otel:t:1")

    @pytest.mark.parametrize("twice", ["nginx", "otel"])
    def test_never_where_the_principal_asked_twice_about_then(self, twice: str) -> None:
        one, other = http(**self.WHO), span(**self.WHO, trace_id=None)
        again = replace(one if twice == "nginx" else other, event_id="x", time=START + 100 * SECOND)
        assert len(join([one, other, again]).events) == 3

    def test_never_without_a_model_or_path_in_common_nor_from_two_addresses(self) -> None:
        assert len(join([http(**self.WHO | {"model": None}), span(**self.WHO, trace_id=None)]).events) == 2
        assert len(join([http(**self.WHO), span(**self.WHO, trace_id=None, src_ip="10.0.0.2")]).events) == 2

    def test_it_yields_to_the_trace_whatever_else_there_is(self) -> None:
        """Otherwise a second span of the principal would unite what was apart before it came."""
        call, served = (
            span(principal="ann"),
            infer(source="kserve", event_id="kserve:x", request_ref=None, trace_id="t"),
        )
        others = [infer(principal="ann", request_ref="s"), infer(source="kserve", event_id="kserve:s", request_ref="s")]
        joined = ["gateway+kserve", "kserve+otel"]
        assert sources(call, served, *others) == joined
        again = span(event_id="otel:u:2", request_ref="span-2", trace_id="u", principal="ann")
        assert sources(call, served, *others, again) == [*joined, "otel"]

    def test_logins_are_never_joined(self) -> None:
        login = http(category="authentication", principal="root", request_ref="r", model=None)
        assert join([login, replace(login, source="linux-auth", event_id="l")]).joined == 0


class TestNames:
    def test_no_request_id_can_pass_for_the_row_of_another(self) -> None:
        rows = [infer(request_ref="a", row=row, rows=2) for row in (0, 1)]
        sly = [infer(request_ref="a:1"), infer(request_ref="a%3A1"), infer(request_ref="a~1")]
        found = join([*rows, *sly]).events
        assert len({event.event_id for event in found}) == 5

    def test_long_and_crooked_ids(self) -> None:
        ids = [event.event_id for event in join([infer(request_ref=ref) for ref in ("x" * 5000, "\n\0é", "")]).events]
        assert len(set(ids)) == 3
        assert all(len(name) < 220 and name.isascii() and name.isprintable() for name in ids)

    def test_a_joined_event_may_be_joined_again(self) -> None:
        first = join([http(trace_id="t"), infer()]).events
        assert join(first).events == first
        (event,) = join([*first, span()]).events
        assert (event.source, event.event_id, event.tokens_in) == ("gateway+nginx+otel", "req:r", 7)
        assert event == join([http(trace_id="t"), infer(), span()]).events[0]


def test_every_source_has_its_place() -> None:
    assert {name for name in SOURCES if name not in KINDS} <= {"mapping", "linux-auth"}
    assert FIELDS["status"] == "place"
    assert FIELDS["principal"] == "who"
    assert FIELDS["input_vec"] == "content"
    assert space_of("nginx") == space_of("kserve") != space_of("litellm")
    assert space_of("a+b") == ""


def test_request_and_response_are_told_by_what_they_say() -> None:
    asked = infer(source="kserve", output_label=None)
    assert role_of(asked) == "ask"
    assert role_of(replace(asked, output_label="x")) == "whole"
    assert role_of(replace(asked, input_fp=None, status=200)) == "answer"
    assert role_of(replace(asked, input_fp=None)) == "ask"
    assert role_of(infer()) == "whole"


def test_the_page_has_the_precedence_of_the_code() -> None:
    text = (Path(__file__).parents[2] / "docs" / "joining.md").read_text(encoding="utf-8")
    section = text.partition("## Whose word counts")[2].partition("\n## ")[0]
    assert {
        name: tuple(kinds.split(", "))
        for name, kinds in re.findall(r"^\| (\w+) \| (\w+(?:, \w+){5}) \|$", section, re.M)
    } == (ORDERS)
    told = {
        order: set(re.findall(r"`(\w+)`", names))
        for names, order in re.findall(r"^\| (`.*) \| (\w+) \|$", section, re.M)
    }
    for order in ("place", "who"):
        assert told[order] == {name for name, its in FIELDS.items() if its == order}
    kinds = re.findall(r"(Proxies|Gateways|Models|Trace|Audit): ([^.]*)\.", section)
    named = {source: kind for kind, sources in kinds for source in re.findall(r"`(\w+)`", sources)}
    assert named == {
        source: {"proxy": "Proxies"}.get(kind, kind.capitalize() + "s" * (kind in ("gateway", "model")))
        for source, kind in KINDS.items()
    }
