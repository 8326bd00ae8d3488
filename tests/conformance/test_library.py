"""Every unit of library/ keeps what the library promises; an absent part is no error, coverage counts it.

With THREATMATRIX_LIBRARY=DIR the same suite walks the library with that directory laid over it.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import pytest

from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.monitors import MONITORS, build_monitor
from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.sigma.rules import Correlation, EventRule
from threatmatrix.emulate.attacks import attack_kind
from threatmatrix.emulate.params import parse_params
from threatmatrix.emulate.run import SAME
from threatmatrix.emulate.variants import parse_variant
from threatmatrix.knowledge import load_library
from threatmatrix.knowledge.index import load_index
from threatmatrix.knowledge.jsonschemas import json_schemas
from threatmatrix.knowledge.yamlfile import load_yaml
from threatmatrix.model.detection import Severity
from threatmatrix.model.event import EVENT_COLUMNS
from threatmatrix.model.matrix import (
    CaseStudy,
    Control,
    Guidance,
    Mitigation,
    MonitorSpec,
    RuleSource,
    Technique,
    Vulnerability,
)
from threatmatrix.model.procedure import Procedure
from threatmatrix.respond.cacao import load_playbook
from threatmatrix.telemetry.reading import read_events
from threatmatrix.workflows.rule_documents import rule_documents
from threatmatrix.workflows.rule_lint import lint_rule_files
from threatmatrix.workflows.rule_tests import RehearsedRule, rehearse
from threatmatrix.workflows.rulesets import compile_library

OVERLAY = os.environ.get("THREATMATRIX_LIBRARY")
LIBRARY = load_library(Path(OVERLAY) if OVERLAY else None)
SCHEMAS = json_schemas()
TECHNIQUES = list(LIBRARY.techniques.values())
RULES = LIBRARY.rules()
PROCEDURES = LIBRARY.procedures()
CONTROLS = [control for technique in TECHNIQUES for control in technique.controls]
MONITORED = [(technique, spec) for technique in TECHNIQUES for spec in technique.monitors]
PLAYBOOKS = [technique for technique in TECHNIQUES if technique.playbook]
CASES = list(LIBRARY.cases.values())


def slug_of(value: object) -> str:
    return getattr(value, "slug", "") or getattr(value, "id", "")


def validate(data: object, schema: str) -> None:
    jsonschema.Draft202012Validator(SCHEMAS[f"{schema}.json"]).validate(data)


def shipped(*parts: str) -> Path | None:
    """A file of the library, unless an overlay stands in for it: an overlay's may hold some keys only."""
    overlaid = LIBRARY.overlay and LIBRARY.overlay.joinpath(*parts).exists()
    path = LIBRARY.root.joinpath(*parts)
    return path if path.exists() and not overlaid else None


# --- techniques -----------------------------------------------------------------------------------


@pytest.mark.parametrize("technique", TECHNIQUES, ids=slug_of)
def test_a_technique_says_what_it_is_in_plain_words(technique: Technique) -> None:
    path = shipped("techniques", technique.slug, "technique.yaml")
    if path:
        validate(load_yaml(path).data, "technique")
    sentences = re.findall(r"[.!?](?:\s|$)", technique.description)
    assert len(sentences) >= 2, "a description has two sentences at least"
    assert len(technique.description) >= 100


SHIPPED = [technique for technique in TECHNIQUES if shipped("techniques", technique.slug, "technique.yaml")]


@pytest.mark.parametrize("technique", SHIPPED, ids=slug_of)
def test_a_shipped_technique_helps_an_analyst_before_any_rule_exists(technique: Technique) -> None:
    assert len(technique.needs) >= 60
    assert technique.telemetry
    assert all(len(trace.shows) >= 40 for trace in technique.telemetry)
    assert technique.guidance
    for text in (technique.guidance.detect, technique.guidance.respond, technique.guidance.remediate):
        assert len(re.findall(r"[.!?](?:\s|$)", text)) >= 2
    assert technique.references
    assert all(reference.url for reference in technique.references)
    assert LIBRARY.mitigations_of(technique.slug), "no mitigation names it"


def test_no_two_techniques_say_the_same() -> None:
    """Guidance that could stand under any technique helps with none: no nine words stand under two."""
    seen: dict[str, str] = {}
    for technique in SHIPPED:
        assert technique.guidance
        traces = " ".join(trace.shows for trace in technique.telemetry)
        guidance = technique.guidance
        for text in (technique.description, technique.needs, traces, *vars_of(guidance)):
            words = re.findall(r"\w+", text.lower())
            for phrase in {" ".join(words[at : at + 9]) for at in range(len(words) - 8)}:
                other = seen.setdefault(phrase, technique.slug)
                assert other == technique.slug, f"{technique.slug} and {other} both say: {phrase}"


def vars_of(guidance: Guidance) -> tuple[str, str, str]:
    return guidance.detect, guidance.respond, guidance.remediate


@pytest.mark.parametrize("technique", TECHNIQUES, ids=slug_of)
def test_ids_stand_in_the_index_under_their_names(technique: Technique) -> None:
    index = load_index()
    for item in (*technique.atlas, *technique.attack):
        entry = index.get(item.id)
        assert entry, item.id
        assert {item.name, item.name.rpartition(": ")[2]} & set(entry.names), (item.id, entry.names)


@pytest.mark.parametrize("technique", TECHNIQUES, ids=slug_of)
def test_references_have_titles_and_ids_are_named_once(technique: Technique) -> None:
    procedures = chain.from_iterable(procedure.references for procedure in technique.procedures)
    assert all(reference.title for reference in (*technique.references, *procedures))
    for ids in (technique.atlas, technique.attack):
        assert len({item.id for item in ids}) == len(ids)


# --- rules ----------------------------------------------------------------------------------------


@cache
def ruleset() -> RuleSet:
    return compile_library(LIBRARY)


@cache
def documents() -> dict[str, list[dict[str, Any]]]:
    return {rule.file: [document.raw for _, document in rule_documents(rule)] for rule in RULES}


@cache
def results_of() -> dict[str, list[RehearsedRule]]:
    """File → its rules with the results of the tests that they carry: all of the library in one run."""
    files: dict[str, list[RehearsedRule]] = {}
    for each in rehearse((), LIBRARY).rules:
        files.setdefault(each.file, []).append(each)
    return files


def rule_name(rule: RuleSource) -> str:
    return f"{rule.technique}/{Path(rule.file).name}"


def test_every_rule_compiles() -> None:
    assert ruleset().refused == ()


def test_lint_of_the_rules_finds_nothing() -> None:
    """Ids, descriptions, levels, false positives, tests of both kinds, known fields and tags, conditions with sense."""
    found = [item for item in lint_rule_files((), LIBRARY).findings if item.severity != "note"]
    assert not [f"{item.file}:{item.line}: {item.check}: {item.message}" for item in found]


@pytest.mark.parametrize("rule", RULES, ids=rule_name)
def test_a_rule_is_documented_and_keeps_its_tests(rule: RuleSource) -> None:
    for document in documents()[rule.file]:
        assert UUID(document["id"])
        assert re.fullmatch(r"[a-z0-9_]+", document["name"])
        assert document["falsepositives"]
        assert document["level"] in Severity.__members__
        assert len(document["description"]) >= 60
        assert f"threatmatrix.{rule.technique}" in document["tags"]
        assert set(document.get("fields", ())) <= EVENT_COLUMNS.keys()
    for each in results_of()[rule.file]:
        assert not [f"{item.name}: {item.problem}" for item in each.results if not item.passed]
        assert {item.expected for item in each.results} == {True, False}


def test_ids_names_and_titles_are_unique() -> None:
    for key in ("id", "name", "title"):
        values = Counter(document[key] for each in documents().values() for document in each)
        assert not [value for value, n in values.items() if n > 1]


TRADITIONAL = {"authentication", "api_activity", "http"}  # records that every network has


def test_the_rules_span_the_matrix() -> None:
    """What issue 5 asks for: sixty rules, and ten ordered chains that join traditional steps and ML steps."""
    rules = [*ruleset().rules, *ruleset().correlations]
    assert len(rules) >= 60
    kinds = {slug: technique.kind for slug, technique in LIBRARY.techniques.items()}
    assert {kinds[rule.meta.technique] for rule in rules} == {"ml", "enterprise"}
    by_key = {rule.meta.key: rule for rule in rules}

    def kinds_of(rule: EventRule | Correlation) -> set[str]:
        """``ml`` and ``enterprise``, by the techniques and by the records of a rule and all that it is made of."""
        if isinstance(rule, EventRule):
            return {kinds[rule.meta.technique], "enterprise" if rule.category in TRADITIONAL else "ml"}
        return {kinds[rule.meta.technique]}.union(*(kinds_of(by_key[key]) for key in rule.rules))

    chains = [rule for rule in ruleset().correlations if rule.kind == "temporal_ordered"]
    assert sum(kinds_of(rule) == {"ml", "enterprise"} for rule in chains) >= 10


SAMPLED = [technique for technique in TECHNIQUES if technique.samples]


def titles(path: str) -> set[str]:
    loud = replace(ruleset(), rules=tuple(replace(rule, silent=False) for rule in ruleset().rules))
    with RuleEngine(loud) as engine:
        events = [event for batch in read_events([Path(path)], "gateway") for event in batch]
        return {finding.title for finding in (*engine.feed(events), *engine.finish())}


@pytest.mark.parametrize("technique", SAMPLED, ids=slug_of)
def test_the_samples_of_a_technique_fire_its_rules_and_the_benign_ones_none(technique: Technique) -> None:
    assert technique.samples
    metas = [rule.meta for rule in (*ruleset().rules, *ruleset().correlations)]
    if technique.samples.attack and technique.rules:
        assert titles(technique.samples.attack) & {meta.title for meta in metas if meta.technique == technique.slug}
    if technique.samples.benign:
        levels = {meta.title: meta.level for meta in metas}
        # steps of chains are there to be met by honest traffic: they say so by their level
        assert {levels[title] for title in titles(technique.samples.benign)} <= {"informational", "low"}


# --- monitors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("technique", "spec"), MONITORED, ids=[f"{technique.slug}/{spec.use}" for technique, spec in MONITORED]
)
def test_a_monitor_exists_and_takes_its_numbers(technique: Technique, spec: MonitorSpec) -> None:
    assert spec.use in MONITORS
    assert build_monitor(spec, technique.slug).name == spec.use


# --- procedures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("procedure", PROCEDURES, ids=slug_of)
def test_a_procedure_has_a_budget_a_revert_and_an_attack(procedure: Procedure) -> None:
    for step in (*procedure.warm_up, *procedure.steps):
        parse_params(attack_kind(step.use).params, {k: v for k, v in step.params.items() if k != "repeats"})
    assert procedure.max_queries > 0 or attack_kind(procedure.use).access in ("none", "file", "train")
    assert len(procedure.revert) > 3, "a revert says what to undo, or why there is nothing"
    assert procedure.description
    if procedure.norm != "none":
        assert procedure.threshold > 0, "success is reported at a norm"
        assert procedure.control == SAME or attack_kind(procedure.control), "success is compared with a random control"


@pytest.mark.parametrize("procedure", PROCEDURES, ids=slug_of)
def test_what_a_procedure_expects_to_trip_exists(procedure: Procedure) -> None:
    known = {Path(rule.file).stem for rule in RULES} | {spec.use for _, spec in MONITORED}
    assert set(procedure.expected_detections) <= known


@pytest.mark.parametrize("procedure", PROCEDURES, ids=slug_of)
def test_the_controls_of_a_procedure_and_who_knows_of_them_exist(procedure: Procedure) -> None:
    for expected in procedure.controls:
        assert expected.id in {control.id for control in CONTROLS}
        assert not expected.adaptive or parse_variant(expected.adaptive).name.startswith("adaptive-")


# --- playbooks and controls -----------------------------------------------------------------------


@pytest.mark.parametrize("technique", PLAYBOOKS, ids=slug_of)
def test_a_playbook_is_valid_and_its_graph_closes(technique: Technique) -> None:
    playbook = load_playbook(technique.playbook)
    assert playbook.name


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: f"{control.technique}/{control.id}")
def test_a_control_has_a_measured_effect(control: Control) -> None:
    assert set(control.measured) == {"attack", "before", "after", "n", "source"}
    assert control.measured["n"] >= 20, "fewer samples say nothing"
    assert control.measured["after"] <= control.measured["before"], "a control that does not help is none"
    assert control.cost
    assert control.defeated_by


# --- case studies ---------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=slug_of)
def test_a_case_study_is_a_chain_of_cells_with_sources(case: CaseStudy) -> None:
    cells = {cell.key for cell in LIBRARY.cells()}
    assert all(f"{step.tactic}/{step.technique}" in cells for step in case.steps)
    assert case.references
    assert all(reference.title for reference in case.references)
    if case.replay:
        assert case.replay.samples >= 20
        assert any(step.procedures for step in case.steps), "a replay needs procedures to run"


@pytest.mark.parametrize("case", CASES, ids=slug_of)
def test_a_case_study_maps_to_atlas_and_says_what_was_learned(case: CaseStudy) -> None:
    index = load_index()
    assert case.learned
    assert all(reference.url for reference in case.references)
    assert any(step.atlas for step in case.steps)
    assert case.atlas or case.year > 2020, "ATLAS has every case study of 2020"
    for atlas in filter(None, (case.atlas, *(item for step in case.steps for item in step.atlas))):
        assert index.get(atlas), atlas


@pytest.mark.parametrize("mitigation", list(LIBRARY.mitigations.values()), ids=slug_of)
def test_a_mitigation_says_what_it_costs_and_what_defeats_it(mitigation: Mitigation) -> None:
    assert min(len(mitigation.cost), len(mitigation.defeated_by), len(mitigation.description)) >= 60
    assert all(len(item.how) >= 40 for item in mitigation.techniques)
    index = load_index()
    for item in mitigation.atlas:
        entry = index.get(item.id)
        assert entry, item.id
        assert item.name in entry.names, (item.id, entry.names)


@pytest.mark.parametrize("vulnerability", list(LIBRARY.vulnerabilities.values()), ids=slug_of)
def test_a_vulnerability_has_a_source_and_a_technique(vulnerability: Vulnerability) -> None:
    assert all(reference.url for reference in vulnerability.references)
    assert vulnerability.techniques


# --- the files themselves ---------------------------------------------------------------------------


def files(pattern: str) -> Iterable[Path]:
    layers = [LIBRARY.root] + ([LIBRARY.overlay] if LIBRARY.overlay else [])
    return sorted(chain.from_iterable(layer.glob(pattern) for layer in layers))


@pytest.mark.parametrize(
    ("pattern", "schema"),
    [
        ("techniques/*/procedures/*.yaml", "procedure"),
        ("techniques/*/controls.yaml", "controls"),
        ("cases/*/case.yaml", "case"),
        ("cases/*/replay.yaml", "replay"),
        ("matrix.yaml", "matrix"),
        ("mitigations/*.yaml", "mitigation"),
        ("vulnerabilities/*.yaml", "vulnerability"),
    ],
)
def test_shipped_files_match_the_json_schemas(pattern: str, schema: str) -> None:
    paths = [path for path in files(pattern) if path.is_relative_to(LIBRARY.root)]
    assert paths
    for path in paths:
        validate(load_yaml(path).data, schema)


@pytest.mark.parametrize("path", files("techniques/*/samples/*.jsonl"), ids=lambda path: "/".join(path.parts[-3:]))
def test_samples_are_lines_of_the_gateway_log(path: Path) -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines
    assert all(line["v"] == 1 and line["event_id"] and line["time"] > 0 for line in lines)
    events = list(chain.from_iterable(read_events([path], "gateway")))
    assert len(events) == len(lines)
    assert len({event.event_id for event in events}) == len(events)
