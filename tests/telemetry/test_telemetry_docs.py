"""docs/telemetry.md lists every field and source, docs/sources what each fills: undocumented means failing."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from threatmatrix.model.event import CATEGORIES, EVENT_COLUMNS, Event
from threatmatrix.telemetry.readers import SOURCES
from threatmatrix.telemetry.readers.base import fields_of

DOCS = Path(__file__).resolve().parents[2] / "docs"
DOC = (DOCS / "telemetry.md").read_text(encoding="utf-8")
PAGES = "\n".join(path.read_text(encoding="utf-8") for path in sorted((DOCS / "sources").glob("*.md")))


def rows_of(heading: str) -> dict[str, list[str]]:
    """First cell (a name in backquotes) → the cells, of the table under a heading."""
    section = re.split(r"^## ", DOC.split(f"## {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:3] == "| `"
    ]
    return {row[0].strip("`"): row for row in cells}


FIELDS = rows_of("The fields of an event")


@pytest.mark.parametrize("field", EVENT_COLUMNS)
def test_every_field_is_listed_with_its_type(field: str) -> None:
    assert field in FIELDS, f"docs/telemetry.md lacks a row for {field}"
    _, kind, meaning = FIELDS[field]
    assert kind == EVENT_COLUMNS[field]
    assert len(meaning) > 10


def test_no_field_is_listed_that_does_not_exist() -> None:
    assert set(FIELDS) == set(EVENT_COLUMNS) == {field.name for field in dataclasses.fields(Event)}


def test_every_category_is_listed() -> None:
    assert set(rows_of("The categories")) == set(CATEGORIES)


def test_every_source_is_listed_with_its_categories() -> None:
    listed = rows_of("Sources")
    assert set(listed) == set(SOURCES)
    for name, row in listed.items():
        assert set(re.findall(r"\w+", row[2])) == set(SOURCES[name].gives), name


@pytest.mark.parametrize("source", SOURCES)
def test_every_field_that_a_source_fills_is_in_its_section(source: str) -> None:
    parts = re.split(rf"^#+ .*`{re.escape(source)}`.*$", PAGES, maxsplit=1, flags=re.MULTILINE)
    assert len(parts) == 2, f"docs/sources has no heading with `{source}`"
    section = re.split(r"^#{1,2} ", parts[1], maxsplit=1, flags=re.MULTILINE)[0]
    absent = [field for field in sorted(fields_of(SOURCES[source])) if f"`{field}`" not in section]
    assert not absent, f"the section on {source} does not say what fills {', '.join(absent)}"
