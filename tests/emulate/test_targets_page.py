"""The Python examples of docs/targets.md run, from top to bottom; its files of a target are read."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from tests.docs.shown import ROOT, blocks

from threatmatrix.workflows.target_files import load_template

PAGE = ROOT / "docs" / "targets.md"


def test_the_examples_run():
    names: dict[str, object] = {"__name__": "targets"}
    shown = [block for block in blocks(PAGE) if block.info == "python"]
    assert len(shown) == 4
    for block in shown:
        exec(compile(block.text, f"docs/targets.md:{block.line}", "exec"), names)


def test_the_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GATE_KEY", "s3cr3t-of-the-gate")
    whole, batch = (block.text for block in blocks(PAGE) if block.info == "yaml")
    file = tmp_path / "service.yaml"
    file.write_text(whole)
    assert not load_template(file).together
    head = whole[: whole.index("body:")] + "input: {kind: numbers, shape: [4]}\nclasses: 2\n"
    file.write_text(head + textwrap.dedent(batch))
    assert load_template(file).together
