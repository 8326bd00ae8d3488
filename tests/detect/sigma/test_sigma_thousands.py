"""A folder as large as SigmaHQ's: what cannot run is refused by name, and stops nothing else."""

from __future__ import annotations

from benchmarks.engine_rules import sigma_rules
from benchmarks.engine_world import SCHEMA

from threatmatrix.detect.sigma.compile import compile_rules
from threatmatrix.model.matrix import RuleSource

BROKEN = {
    "torn.yml": "title: torn\ndetection: {",
    "lookbehind.yml": "title: a\nlogsource: {category: http}\ndetection: {s: {url|re: '(?<=a)b'}, condition: s}",
    "modifier.yml": "title: b\nlogsource: {category: http}\ndetection: {s: {url|like: a}, condition: s}",
    "windows.yml": "title: c\nlogsource: {product: windows}\ndetection: {s: {url: a}, condition: s}",
    "old.yml": "title: d\nlogsource: {category: http}\ndetection: {s: {url: a}, condition: s | count() > 5}",
}
RULES = 1_500


def test_thousands_compile_and_the_broken_are_named() -> None:
    sources = [RuleSource(f"rule-{number}.yml", text, "") for number, text in enumerate(sigma_rules(RULES))]
    at = 7
    for name, text in BROKEN.items():
        sources.insert(at, RuleSource(name, text, ""))
        at += 200
    compiled = compile_rules(sources, schema=SCHEMA)
    assert len(compiled.rules) == RULES
    assert [error.file for error in compiled.refused] == list(BROKEN)
    assert all(error.message.startswith(error.file) for error in compiled.refused)
