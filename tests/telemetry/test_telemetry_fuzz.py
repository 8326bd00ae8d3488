"""Whatever a line holds: at least one event or exactly one dead letter, never an exception."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.log_records import RECORDS

from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.columns import to_table
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.documents import parse_document
from threatmatrix.telemetry.readers import SOURCES, get_reader
from threatmatrix.telemetry.records import LineParser

CON = duckdb.connect()  # one for all examples: opening takes longer than an example
SQL_TYPES = {"VARCHAR": str, "BIGINT": int, "DOUBLE": float, "BLOB": bytes, "DOUBLE[]": tuple}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["", "-", "2026-01-01T00:00:00Z", "1e999", "200", "success", "\ud800", "inference", "AAEC"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)


def keys_of(source: str) -> st.SearchStrategy[str]:
    record = RECORDS[source]
    nested = [key for value in record.values() if isinstance(value, dict) for key in value]
    return st.sampled_from([*record, *nested])


@st.composite
def almost_valid(draw: st.DrawFn, source: str) -> bytes:
    """A valid record with some values exchanged or removed, perhaps cut or with bytes exchanged."""
    record: dict[str, Any] = json.loads(json.dumps(RECORDS[source]))
    for key in draw(st.lists(keys_of(source), max_size=4)):
        holder = record if key in record else record.get("metadata", record)
        if draw(st.booleans()) and isinstance(holder, dict):
            holder[key] = draw(VALUES)
        elif isinstance(holder, dict):
            holder.pop(key, None)
    line = json.dumps(record).encode()
    if draw(st.integers(0, 3)) == 0:
        line = line[: draw(st.integers(0, len(line)))]
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(line)))
        line = line[:at] + draw(st.binary(max_size=3)) + line[at + 1 :]
    return line.replace(b"\n", b" ")


def check(source: str, raw: bytes) -> None:
    letters = DeadLetterFile()
    parser = LineParser(get_reader(source, b"secret"), "fuzz", letters)
    events: list[Event] = []
    parser.line(raw, 1, events)
    if raw.decode("utf-8", "replace").strip():
        assert (len(events) >= 1) != (letters.count == 1)
    assert letters.count <= 1
    for event in events:
        for column, sql in EVENT_COLUMNS.items():
            value = getattr(event, column)
            assert value is None or type(value) is SQL_TYPES[sql], column
    to_table(CON, "t", events)  # what a reader lets through, the database takes


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_almost_valid_lines(source: str, data: st.DataObject) -> None:
    check(source, data.draw(almost_valid(source)))


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=60, deadline=None)
@given(value=VALUES)
def test_any_json(source: str, value: Any) -> None:
    check(source, json.dumps(value).encode())


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=60, deadline=None)
@given(raw=st.binary(max_size=200))
def test_any_bytes(source: str, raw: bytes) -> None:
    check(source, raw.replace(b"\n", b""))


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=300), values=st.lists(VALUES, max_size=3), indent=st.sampled_from([None, 1]))
def test_any_document(raw: bytes, values: list[Any], indent: int | None) -> None:
    parser = LineParser(get_reader("litellm"), "fuzz", DeadLetterFile())
    document = json.dumps([RECORDS["litellm"], *values], indent=indent).encode()
    events: list[Event] = []
    parse_document("fuzz", document + raw, parser, events)
    assert parser.events == len(events) >= 1
    parse_document("fuzz", raw, parser, events)
