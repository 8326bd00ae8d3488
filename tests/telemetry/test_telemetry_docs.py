"""docs/telemetry.md lists every field of an event and every source: undocumented means failing."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.readers import SOURCES, Where

DOC = (Path(__file__).resolve().parents[2] / "docs" / "telemetry.md").read_text(encoding="utf-8")


def rows_of(heading: str) -> dict[str, list[str]]:
    """First cell (a name in backquotes) → the cells, of the table under a heading."""
    section = re.split(r"^## ", DOC.split(f"## {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:3] == "| `"
    ]
    return {row[0].strip("`"): row for row in cells}


FIELDS = rows_of("The fields of an event")


@pytest.mark.parametrize("field", EVENT_COLUMNS)
def test_every_field_is_listed_with_type_and_sources(field: str) -> None:
    assert field in FIELDS, f"docs/telemetry.md lacks a row for {field}"
    _, kind, meaning, *sources = FIELDS[field]
    assert kind == f"{EVENT_COLUMNS[field]}"
    assert len(meaning) > 10
    given = {name for name, cell in zip(SOURCES, sources, strict=True) if cell not in ("", "–")}
    assert given == {name for name, reader in SOURCES.items() if field in reader.fields}


def test_no_field_is_listed_that_does_not_exist() -> None:
    assert set(FIELDS) == set(EVENT_COLUMNS) == {field.name for field in dataclasses.fields(Event)}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_is_described(source: str) -> None:
    assert f"### `{source}`" in DOC


def test_every_example_record_is_read_by_the_source_above_it() -> None:
    examples = re.findall(r"### `(\w+)`.*?```json\n(.*?)\n```", DOC, flags=re.DOTALL)
    assert [source for source, _ in examples] == list(SOURCES)
    for source, example in examples:
        reader = SOURCES[source]
        assert reader.recognises(example.splitlines())
        assert reader.parse(json.loads(example), Where())[0].source == source
