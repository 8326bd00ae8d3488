"""docs/sources/serving.md: its examples are read by the source above them, its tables name what the readers give."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.telemetry.serving_reading import PATH, READERS, parse

from threatmatrix.telemetry.messages import split_http
from threatmatrix.telemetry.readers.base import fields_of

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sources" / "serving.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## `(\w+)`.*?\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("source", READERS)
def test_the_example_is_an_event_with_an_input(source: str) -> None:
    kind = "http" if source == "kserve" else "json"
    *_, example = re.findall(rf"```{kind}\n(.*?)\n```", SECTIONS[source], flags=re.DOTALL)
    assert READERS[source].recognises(example.splitlines())
    record = next(iter(split_http(example.encode())))[1] if kind == "http" else json.loads(example)
    (event,) = parse(source, record, PATH)
    assert event.input_vec is not None
    assert event.request_ref is not None


@pytest.mark.parametrize("source", READERS)
def test_the_table_names_exactly_what_the_reader_gives(source: str) -> None:
    table = SECTIONS[source].split("| field | from |\n| --- | --- |\n", 1)[1]
    named = [
        name for row in table.splitlines() if row.startswith("|") for name in re.findall(r"`(\w+)`", row.split("|")[1])
    ]
    assert len(named) == len(set(named))
    assert set(named) == fields_of(READERS[source])
