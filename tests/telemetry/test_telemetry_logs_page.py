"""docs/sources/logs.md: its tables are what the readers say they give, its examples are read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from threatmatrix.model.event import Event
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.readers import SOURCES, Options, get_reader
from threatmatrix.telemetry.readers.mapping_file import MAPPED, parse_mapping
from threatmatrix.telemetry.records import LineParser

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sources" / "logs.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## `([a-z-]+)`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def origins(source: str) -> dict[str, str]:
    """Field → what it comes from, over all categories of a source."""
    found: dict[str, list[str]] = {}
    for fields in SOURCES[source].gives.values():
        for name, origin in fields.items():
            if origin not in found.setdefault(name, []):
                found[name].append(origin)
    return {name: "; ".join(said) for name, said in found.items()}


@pytest.mark.parametrize("source", ["nginx", "envoy", "mlflow", "linux-auth"])
def test_the_table_is_what_the_reader_gives(source: str) -> None:
    table = SECTIONS[source].split("| field | from |\n", 1)[1].split("\n\n", 1)[0]
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", table, re.MULTILINE))
    assert rows == origins(source)


@pytest.mark.parametrize("source", SECTIONS)
def test_the_examples_are_read(source: str) -> None:
    mapping = re.search(r"^\*\*`mapping.yaml`\*\*\n```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert mapping
    reader = get_reader(
        source, Options(mapping=parse_mapping(mapping[1], "mapping.yaml"), written=1_767_300_000_000_000)
    )
    examples = re.findall(r"^```(?:json|text)\n(.*?)^```$", SECTIONS[source], re.MULTILINE | re.DOTALL)
    assert examples
    letters, events = DeadLetterFile(), list[Event]()
    parser = LineParser(reader, "logs.md", letters)
    lines = [line for example in examples for line in example.splitlines()]
    for number, line in enumerate(lines, 1):
        parser.line(line.encode(), number, events)
        assert len(events) == number, (line, letters.reasons)
    assert {event.source for event in events} == {source}


def test_the_keys_of_a_mapping_file_are_described() -> None:
    section = SECTIONS["mapping"]
    for key in ("format", "delimiter", "columns", "category", "time", "id", "fields", "constants", "model", "inputs"):
        assert f"`{key}`" in section
    assert "input_fp" not in MAPPED
