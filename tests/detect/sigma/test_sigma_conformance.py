"""One meaning: the engine, a second reading of the specification, and pySigma's own backend on the same records."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sigma.exceptions import SigmaError
from tests.detect.sigma.conformance import SCHEMA, by_engine, by_sqlite, node_of
from tests.detect.sigma.oracle import matches
from tests.detect.sigma.rule_strategies import detections, events

from threatmatrix.detect.sigma.ir import Node
from threatmatrix.model.errors import RuleError

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.yml"))
FILES = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in CORPUS}
CASES = [(f"{stem}: {case['name']}", case) for stem, file in FILES.items() for case in file["cases"]]
every_case = pytest.mark.parametrize("case", [case for _, case in CASES], ids=[name for name, _ in CASES])


def expected(case: dict[str, Any]) -> tuple[list[dict[str, Any]], list[bool]]:
    records = [*case["matches"], *case["differs"]]
    return records, [True] * len(case["matches"]) + [False] * len(case["differs"])


def test_every_file_says_where_it_comes_from() -> None:
    assert CORPUS
    for file in FILES.values():
        assert file["construct"]
        assert "specification 2" in file["source"] or "appendix 2" in file["source"]


@every_case
def test_engine_and_oracle(case: dict[str, Any]) -> None:
    records, wanted = expected(case)
    assert by_engine([node_of(case["detection"])], records) == [wanted]
    assert [matches(case["detection"], record, SCHEMA.keywords) for record in records] == wanted


@every_case
def test_pysigma_sqlite(case: dict[str, Any]) -> None:
    pytest.importorskip("sigma.backends.sqlite", reason="pysigma-backend-sqlite is not installed")
    if version("pysigma").startswith("1."):
        pytest.skip("the corpus notes what the backend says on pySigma 2")
    records, wanted = expected(case)
    if "sqlite" not in case:
        assert by_sqlite(case["detection"], records) == wanted
    else:  # it cannot say it at all, or says something else
        try:
            found = by_sqlite(case["detection"], records)
        except (SigmaError, ArithmeticError, LookupError, TypeError, ValueError):
            return
        assert found != wanted, "the note on sqlite is out of date"


def node_or_none(rule: dict[str, Any]) -> Node | None:
    """None for the one thing that the strategies can draw and that means nothing."""
    try:
        return node_of(rule)
    except RuleError as error:
        if "at least two bytes" not in str(error):
            raise
        return None


def agree(rules: list[dict[str, Any]], records: list[dict[str, Any]]) -> None:
    compiled = [(rule, node) for rule in rules if (node := node_or_none(rule)) is not None]
    if compiled:
        found = by_engine([node for _, node in compiled], records)
        for (rule, node), one in zip(compiled, found, strict=True):
            assert one == [matches(rule, record, SCHEMA.keywords) for record in records], (rule, node)


RULES = st.lists(detections(SCHEMA), min_size=1, max_size=4)
RECORDS = st.lists(events(SCHEMA), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(RULES, RECORDS)
def test_any_rule_on_any_record(rules: list[dict[str, Any]], records: list[dict[str, Any]]) -> None:
    agree(rules, records)


@pytest.mark.nightly
@settings(max_examples=5_000, deadline=None)
@given(RULES, RECORDS)
def test_any_rule_on_any_record_at_length(rules: list[dict[str, Any]], records: list[dict[str, Any]]) -> None:
    agree(rules, records)
