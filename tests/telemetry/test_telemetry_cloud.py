"""What the readers of the cloud's logs have in common: recognition, the fields they name, and hostile records."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.cloud_reading import EVERYTHING, READERS, SAMPLES, event_of, events_of, filled, options
from tests.telemetry.records_cloud import (
    AGENT,
    BEDROCK_CONVERSE,
    CHAT,
    CHAT_MESSAGES,
    CLOUDTRAIL_INFERENCE,
    LITELLM_FAILURE,
    METADATA,
    QUESTION,
    RETRIEVAL,
    SERVED,
    TOOL,
    span,
    traces,
)
from tests.telemetry.records_cloud import PAGE as PAGE_VIEW

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import CATEGORIES, EVENT_COLUMNS, Event
from threatmatrix.telemetry.readers import SOURCES
from threatmatrix.telemetry.readers.parts import PartlyRead

TYPES = {"VARCHAR": str, "BIGINT": int, "DOUBLE": float, "BLOB": bytes, "DOUBLE[]": tuple}
PAGE = Path(__file__).resolve().parents[2] / "docs" / "sources" / "cloud.md"


@pytest.mark.parametrize("source", READERS)
def test_a_reader_knows_its_own_and_only_its_own(source: str) -> None:
    for record in SAMPLES[source]:
        for lines in (["", "garbage", json.dumps(record)], json.dumps([record], indent=1).split("\n")[:64]):
            assert [name for name, reader in SOURCES.items() if reader.recognises(lines)] == [source]


@pytest.mark.parametrize("source", READERS)
def test_the_samples_show_every_field_that_a_reader_names_and_no_other(source: str) -> None:
    shown: dict[str, set[str]] = {}
    for record in SAMPLES[source]:
        for event in events_of(source, record, EVERYTHING):
            shown.setdefault(event.category, set()).update(filled(event))
    assert shown == {category: set(fields) for category, fields in READERS[source].gives.items()}


@pytest.mark.parametrize("source", READERS)
def test_nothing_asked_means_nothing_kept_of_an_input(source: str) -> None:
    for record in SAMPLES[source]:
        for event in events_of(source, record):
            assert event.input_fp is event.input_raw is event.input_vec is None
            assert "parcel seventeen" not in repr(event)
        for event in events_of(source, record, options()):
            assert event.input_raw is None
            assert "parcel seventeen" not in repr(event)


@pytest.mark.parametrize("source", READERS)
def test_the_same_record_gives_the_same_events(source: str) -> None:
    for record in SAMPLES[source]:
        assert events_of(source, copy.deepcopy(record), options()) == events_of(source, record, options())


def test_the_same_prompt_has_one_fingerprint_in_every_log() -> None:
    """So that one prompt tried on several systems is seen as one."""
    openai = [
        {"role": "system", "content": "You sort parcels."},
        {"role": "user", "content": QUESTION},
    ]
    events = [
        event_of("bedrock", BEDROCK_CONVERSE, options()),
        event_of("otel", traces(CHAT), options()),
        event_of("litellm", {**LITELLM_FAILURE, "messages": openai}, options()),
        event_of("litellm", {**LITELLM_FAILURE, "messages": json.dumps(openai)}, options()),
    ]
    assert len({(event.input_fp, event.input_vec, event.input_bytes) for event in events}) == 1
    assert events[0].input_vec is not None
    assert events[0].input_fp != event_of("litellm", {**LITELLM_FAILURE, "messages": openai[1:]}, options()).input_fp
    as_text = span(1, 3, {"gen_ai.operation.name": "chat", "gen_ai.input.messages": json.dumps(CHAT_MESSAGES)})
    assert (
        event_of("otel", traces(as_text), options()).input_fp
        == event_of("litellm", LITELLM_FAILURE, options()).input_fp
    )


def test_a_call_is_the_same_call_in_bedrocks_log_and_in_cloudtrail() -> None:
    """What the joiner needs: the same request and principal, and no field on which the two disagree."""
    ours, trail = event_of("bedrock", BEDROCK_CONVERSE), event_of("cloudtrail", CLOUDTRAIL_INFERENCE)
    assert ours.request_ref == trail.request_ref
    assert ours.principal == trail.principal is not None
    agreed = ("category", "operation", "tenant", "host", "model", "session")
    assert {name: getattr(ours, name) for name in agreed} == {name: getattr(trail, name) for name in agreed}
    assert (trail.src_ip, trail.user_agent is None, ours.src_ip) == ("198.51.100.7", False, None)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["", "-", "2026-01-01T00:00:00Z", "1e999", "200", "success", "infer", "[1]", '{"a": []}', "arn:"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every holder and key below a value."""
    found: list[tuple[Any, Any]] = []
    held = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(held):
        found.append((value, key))
        found += places(item)
    return found


@st.composite
def almost_valid(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A valid record with some values exchanged or removed, wherever they stand."""
    source = draw(st.sampled_from(sorted(READERS)))
    record = copy.deepcopy(draw(st.sampled_from(SAMPLES[source])))
    for _ in range(draw(st.integers(1, 4))):
        found = places(record)
        if not found:
            break
        holder, key = found[draw(st.integers(0, len(found) - 1))]
        if draw(st.booleans()):
            holder[key] = draw(VALUES)
        else:
            del holder[key]
    return source, record


def check(source: str, record: dict[str, Any]) -> None:
    """Events, each of the right types and with named fields only, or a FormatError; never another exception."""
    errors: list[FormatError] = []
    events: list[Event] = []
    try:
        events += events_of(source, record, EVERYTHING)
    except PartlyRead as partly:
        events += partly.events
        errors += [error for _, error in partly.refused]
    except FormatError as error:
        errors.append(error)
    assert events or errors or source == "otel", "an export of spans may hold nothing for us"
    assert all(isinstance(error, FormatError) and error.line == 4 for error in errors)
    gives = READERS[source].gives
    for event in events:
        assert event.category in CATEGORIES
        assert filled(event) <= set(gives[event.category])
        for name in filled(event):
            value = getattr(event, name)
            assert type(value) is TYPES[EVENT_COLUMNS[name]], name
            assert type(value) is not int or 0 <= value < 2**63


@settings(max_examples=200)
@given(case=almost_valid())
def test_almost_valid_records(case: tuple[str, dict[str, Any]]) -> None:
    check(*case)


@settings(max_examples=60)
@given(source=st.sampled_from(sorted(READERS)), record=st.dictionaries(st.text(max_size=6), VALUES, max_size=4))
def test_any_object(source: str, record: dict[str, Any]) -> None:
    check(source, record)


@pytest.mark.parametrize("source", READERS)
def test_every_value_of_a_wrong_type(source: str) -> None:
    """Each value of each sample, one after the other, exchanged for one of each type."""
    spans = (CHAT, TOOL, AGENT, RETRIEVAL, SERVED, METADATA, PAGE_VIEW)  # one to a record: quickly read
    for sample in map(traces, spans) if source == "otel" else SAMPLES[source]:
        record = copy.deepcopy(sample)
        for holder, key in places(record):
            was = holder[key]
            for odd in (None, True, -1.5, "x", [{}], {"x": 1}):
                holder[key] = odd
                check(source, record)
            holder[key] = was
        assert record == sample


def deep_records() -> dict[str, dict[str, Any]]:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    blob = {"key": "gen_ai.prompt", "value": {"x": deep}}
    return {
        "bedrock": {**BEDROCK_CONVERSE, "input": {"inputBodyJson": {"prompt": deep}}},
        "litellm": {**LITELLM_FAILURE, "messages": deep},
        "otel": traces({**CHAT, "attributes": [blob, *CHAT["attributes"][:9]]}),
    }


@pytest.mark.parametrize("source", ["bedrock", "litellm", "otel"])
def test_deep_values_are_refused_by_key(source: str) -> None:
    with pytest.raises(FormatError, match="nested too deeply"):
        events_of(source, deep_records()[source])


def rows_of(source: str) -> dict[tuple[str, str], set[str]]:
    """(Field, origin) → categories, from the table of a source on the page."""
    section = re.split(rf"^## .*`{source}`.*$", PAGE.read_text(encoding="utf-8"), maxsplit=1, flags=re.MULTILINE)[1]
    section = section.split("\n## ", 1)[0]
    table = section.split("| field | of | from |\n", 1)[1]
    rows = [line.strip("|").split("|", 2) for line in table.splitlines() if line.startswith("| `")]
    return {(field.strip(" `"), origin.strip()): set(re.findall(r"\w+", where)) for field, where, origin in rows}


@pytest.mark.parametrize("source", READERS)
def test_the_page_says_of_every_field_what_the_reader_says(source: str) -> None:
    gives = READERS[source].gives
    expected: dict[tuple[str, str], set[str]] = {}
    for category, fields in gives.items():
        for field, origin in fields.items():
            expected.setdefault((field, origin), set()).add(category)
    shown = {key: set(gives) if where == {"all"} else where for key, where in rows_of(source).items()}
    assert shown == expected


@pytest.mark.parametrize("source", READERS)
def test_every_example_on_the_page_is_read(source: str) -> None:
    section = re.split(rf"^## .*`{source}`.*$", PAGE.read_text(encoding="utf-8"), maxsplit=1, flags=re.MULTILINE)[1]
    examples = re.findall(r"```json\n(.*?)\n```", section.split("\n## ", 1)[0], flags=re.DOTALL)
    assert examples
    for example in examples:
        assert READERS[source].recognises(example.split("\n"))
        assert events_of(source, json.loads(example), options())
