"""docs/converting.md shows what the backends write today."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.docs.shown import ROOT, blocks

from threatmatrix.knowledge import load_library
from threatmatrix.workflows.convert import convert_rules

pytest.importorskip("sigma.backends.splunk", reason="needs [convert]: make test-convert")

PAGE = ROOT / "docs" / "converting.md"


def test_the_example_is_what_comes_out(tmp_path: Path) -> None:
    shown = blocks(PAGE)
    (rules,) = [block.text for block in shown if block.file == "rules.yml"]
    (query,) = [block.text for block in shown if block.info == "splunk"]
    (refusal,) = [block.text for block in shown if block.info == "text"]
    (tmp_path / "rules.yml").write_text(rules, encoding="utf-8")
    report = convert_rules(load_library(None), "splunk", paths=[tmp_path / "rules.yml"])
    (converted,), (refused,) = report.converted, report.refused
    assert query.splitlines()[1] == converted.query
    assert refusal.splitlines()[0] == f"refused: {refused.title}: {'; '.join(refused.reasons)}"


def test_the_pipeline_on_the_page_is_taken(tmp_path: Path) -> None:
    shown = blocks(PAGE)
    (rules,) = [block.text for block in shown if block.file == "rules.yml"]
    (names,) = [block.text for block in shown if block.info == "yaml" and "field_name_mapping" in block.text]
    assert yaml.safe_load(names)["transformations"]
    (tmp_path / "rules.yml").write_text(rules, encoding="utf-8")
    (tmp_path / "names.yaml").write_text(names, encoding="utf-8")
    made = convert_rules(
        load_library(None), "elasticsearch", paths=[tmp_path / "rules.yml"], pipeline=tmp_path / "names.yaml"
    )
    assert "user_agent.original" in made.converted[0].query
    assert "event.dataset:model_access" in made.converted[0].query
