"""Every kind of library file has a JSON Schema, and every file of the library fits its own."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest
import yaml

from threatmatrix.detect.sigma.chains import MODIFIERS
from threatmatrix.detect.sigma.rules import KINDS as KINDS_OF_RULES
from threatmatrix.detect.sigma.transformations import TRANSFORMATIONS
from threatmatrix.knowledge import LIBRARY, schemas_rules
from threatmatrix.knowledge.schemas_rules import rule_schema
from threatmatrix.respond.schema import playbook_schema
from threatmatrix.telemetry.schema import sample_schema

SCHEMAS = LIBRARY / "schemas"
TEMPLATES = LIBRARY / "templates"
KINDS = {
    "matrix.yaml": "matrix",
    "techniques/*/technique.yaml": "technique",
    "techniques/*/procedures/*.yaml": "procedure",
    "techniques/*/controls.yaml": "controls",
    "techniques/*/rules/*.yml": "rule",
    "suppressions/*.yml": "suppression",
    "pipelines/*.yml": "pipeline",
    "techniques/*/playbook.json": "playbook",
    "techniques/*/samples/*.jsonl": "sample",
    "cases/*/case.yaml": "case",
    "cases/*/replay.yaml": "replay",
    "mitigations/*.yaml": "mitigation",
    "vulnerabilities/*.yaml": "vulnerability",
    "index/changes.yaml": "changes",
    "index/a*.yaml": "index",
}
FILES = [(path, kind) for pattern, kind in KINDS.items() for path in sorted(LIBRARY.glob(pattern))]


@cache
def schema(kind: str) -> jsonschema.Draft202012Validator:
    content = json.loads((SCHEMAS / f"{kind}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(content)
    return jsonschema.Draft202012Validator(content)


def documents(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return [json.loads(text)]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return list(yaml.load_all(text, Loader=DatesStayText if path.suffix == ".yml" else yaml.SafeLoader))


class DatesStayText(yaml.SafeLoader):
    """As everywhere in the library."""

    yaml_implicit_resolvers: ClassVar = {
        sign: [(tag, form) for tag, form in resolvers if not tag.endswith(":timestamp")]
        for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@pytest.mark.parametrize(("path", "kind"), FILES, ids=[str(path.relative_to(LIBRARY)) for path, _ in FILES])
def test_a_file_fits_the_schema_of_its_kind(path: Path, kind: str) -> None:
    validator = schema(kind)
    for content in documents(path):
        found = [error.message for error in validator.iter_errors(content)]
        assert not found


def test_no_file_of_the_library_is_without_a_schema() -> None:
    files = {path for path in LIBRARY.rglob("*") if path.is_file() and not {SCHEMAS, TEMPLATES} & set(path.parents)}
    assert files == {path for path, _ in FILES}


def test_the_schemas_on_disk_are_those_of_the_code() -> None:
    for name, text in (("playbook", playbook_schema()), ("sample", sample_schema())):
        module = {"playbook": "respond", "sample": "telemetry"}[name]
        assert (SCHEMAS / f"{name}.json").read_text(encoding="utf-8") == text, (
            f"stale: run python -m threatmatrix.{module}.schema src/threatmatrix/library/schemas/{name}.json"
        )


SUPPRESSION: dict[str, Any] = {
    "title": "The load test",
    "description": "It runs every night.",
    "owner": "platform team",
    "expires": "2027-03-31",
    "logsource": {"category": "inference"},
    "filter": {"rules": ["inference_burst"], "load": {"principal": "load-test"}, "condition": "not load"},
}


def test_a_right_one_fits() -> None:
    assert schema("suppression").is_valid(SUPPRESSION)


def test_the_schemas_name_what_the_engine_knows() -> None:
    assert schemas_rules.MODIFIERS == MODIFIERS
    assert set(schemas_rules.TRANSFORMATIONS) == set(TRANSFORMATIONS)
    assert tuple(rule_schema()["oneOf"][1]["properties"]["correlation"]["properties"]["type"]["enum"]) == KINDS_OF_RULES


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("rule", {"correlation": {"type": "often", "rules": ["a"], "timespan": "1m", "condition": {"gte": 2}}}),
        ("rule", {"correlation": {"type": "event_count", "rules": ["a"], "timespan": "1m", "condition": {"some": 2}}}),
        ("rule", {"detection": {"a": {"model|near": 1}, "condition": "a"}, "logsource": {"category": "inference"}}),
        (
            "rule",
            {
                "logsource": {"category": "inference"},
                "detection": {"a": {"model": "m"}, "condition": "a"},
                "tests": [{"name": "t", "fires": True, "events": [{"at": "soon"}]}],
            },
        ),
        (
            "rule",
            {"logsource": {"category": "inference", "product": "x"}, "detection": {"a": {"b": 1}, "condition": "a"}},
        ),
        ("sample", {"v": 1, "time": "today", "event_id": "x", "category": "inference"}),
        ("playbook", {"type": "playbook"}),
        ("suppression", SUPPRESSION | {"expires": "never"}),
        ("suppression", {key: value for key, value in SUPPRESSION.items() if key != "owner"}),
        ("pipeline", {"transformations": [{"type": "query_expression_placeholders"}]}),
    ],
)
def test_what_does_not_run_here_does_not_fit(kind: str, change: dict[str, Any]) -> None:
    base = {"title": "t", "id": "x", "description": "d", "level": "low"} if kind == "rule" else {}
    assert not schema(kind).is_valid(base | change)
