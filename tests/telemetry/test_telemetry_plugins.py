"""Readers of other packages: the one of docs/sources/adding.md, and every way in which one can be broken."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from threatmatrix.model.errors import UnknownNameError, UsageError
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.readers import SOURCES, check_source, get_reader
from threatmatrix.telemetry.readers.plugins import check_reader
from threatmatrix.telemetry.reading import read_events

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sources" / "adding.md").read_text(encoding="utf-8")

Install = Callable[..., None]


def shown(name: str) -> str:
    """The block of the page under the line that names a file."""
    match = re.search(rf"^\*\*`{re.escape(name)}`\*\*\n+```\w*\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert match, name
    return match[1]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """``install(package, entry point line, code)``: a distribution with one module, as pip would leave it."""
    monkeypatch.syspath_prepend(tmp_path)

    def into(package: str, point: str, code: str = "") -> None:
        (tmp_path / f"{package}.py").write_text(code)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[threatmatrix.readers]\n{point}\n")

    return into


def test_the_reader_of_the_page(install: Install, tmp_path: Path) -> None:
    code = shown("triage_reader.py")
    install("triage_reader", shown("pyproject.toml").rsplit("\n[", 1)[-1].split("\n", 1)[1].replace('"', ""), code)
    assert "triage" in SOURCES
    assert check_reader(SOURCES["triage"], "triage") == ""
    example = shown("triage.jsonl")
    log = tmp_path / "log.jsonl"
    log.write_text(example + '{"when": "soon", "verdict": 1}\n')
    letters = DeadLetterFile()
    events = [event for batch in read_events([log], dead_letters=letters) for event in batch]
    assert len(events) == len(example.splitlines())
    assert {event.source for event in events} == {"triage"}
    assert letters.count == 1
    for event in events:
        filled = {name for name in SOURCES["triage"].gives[event.category] if getattr(event, name) is not None}
        assert {"event_id", "time", "source", "category"} <= filled
    assert [json.loads(line)["case"] for line in example.splitlines()] == [event.request_ref for event in events]


def reader(**changes: str) -> str:
    """The code of a reader, with some of its parts exchanged; "" leaves one out."""
    parts = {
        "name": "name = 'acme'",
        "description": "description = 'a log'",
        "form": "form = 'lines'",
        "gives": "gives = {'http': dict.fromkeys(('event_id', 'time', 'source', 'category'), 'x')}",
        "recognises": "def recognises(self, first_lines): return False",
        "parse": "def parse(self, record, where): return ()",
        "with_options": "def with_options(self, options): return self",
        **changes,
    }
    return "class AcmeReader:\n    'A log.'\n" + "".join(f"    {part}\n" for part in parts.values() if part)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("x = 1", "AttributeError"),
        ("class AcmeReader:\n    def __init__(self, x): pass\n", "TypeError"),
        (reader(name="name = 'other'"), "its attribute name must be 'acme'"),
        (reader(description=""), "lacks a description"),
        (reader(form="form = 'table'"), "its form must be one of lines, documents, text, http"),
        (reader(gives="gives = []"), "gives must be a dict"),
        (reader(gives="gives = {'gossip': {}}"), "category that does not exist"),
        (reader(gives="gives = {'http': {'colour': 'x'}}"), "fields that do not exist: colour"),
        (reader(gives="gives = {'http': {'time': 'x'}}"), "gives must name category"),
        (reader(parse=""), "lacks the method parse"),
    ],
)
def test_a_broken_plugin_is_named(install: Install, code: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(__import__("sys").modules, "acme_logs", raising=False)
    install("acme_logs", "acme = acme_logs:AcmeReader", code)
    check_source("acme")
    check_source("nginx")
    assert get_reader("nginx").name == "nginx"  # nothing of the plugin is imported for that
    with pytest.raises(UsageError, match=re.escape(problem)) as error:
        get_reader("acme")
    assert "'acme' of the package acme_logs" in str(error.value)


def test_two_packages_with_one_name(install: Install) -> None:
    install("acme_one", "acme = acme_one:AcmeReader", reader())
    install("acme_two", "acme = acme_two:AcmeReader", reader())
    with pytest.raises(UsageError, match="several packages bring a reader 'acme': acme_one, acme_two"):
        get_reader("acme")


def test_a_plugin_cannot_take_the_place_of_a_reader_of_ours(install: Install) -> None:
    install("acme_nginx", "nginx = acme_nginx:AcmeReader", reader())
    assert list(SOURCES).count("nginx") == 1
    assert type(get_reader("nginx")).__module__ == "threatmatrix.telemetry.readers.nginx"


def test_without_a_plugin_its_name_is_unknown() -> None:
    with pytest.raises(UnknownNameError):
        check_source("acme")
