"""What the schemas of the library let through and an editor should still know."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from threatmatrix.knowledge.cross import Unit
from threatmatrix.knowledge.jsonfile import load_json
from threatmatrix.knowledge.lint.findings import LintFinding, at, finding
from threatmatrix.knowledge.lint.mapping_judge import Claim, Judge, Verdict
from threatmatrix.knowledge.lint.mapping_sigma import documents_of, lint_rules
from threatmatrix.knowledge.yamlfile import Document
from threatmatrix.model.errors import FormatError, UsageError
from threatmatrix.model.matrix import CaseStudy, ExternalId, Mitigation, Vulnerability
from threatmatrix.model.procedure import Reference

__all__ = ["case_findings", "external_ids", "mitigation_findings", "technique_findings", "together"]

Where = tuple[str | int, ...]
Found = tuple[list[LintFinding], int]

_AS = {
    "TM-M001-unknown-id": "TM-L002-unknown-id",
    "TM-M011-not-in-release": "TM-L002-unknown-id",
    "TM-M002-wrong-name": "TM-L003-wrong-name",
    "TM-M005-reused-id": "TM-L003-wrong-name",
    "TM-M006-former-name": "TM-L003-wrong-name",
    "TM-M004-retired-id": "TM-L004-retired-id",
}


def technique_findings(unit: Unit, judge: Judge, slugs: Collection[str]) -> Found:
    """Findings of one technique's folder, and how many ids were checked."""
    document, technique = unit.document, unit.technique
    found, ids = _relations(document, technique.atlas, technique.attack, judge)
    if technique.kind == "enterprise" and not technique.attack:
        found.append(at(document, (), "TM-L006-no-attack-id", f"{unit.slug} is enterprise and names no ATT&CK id"))
    if not technique.needs:
        found.append(at(document, (), "TM-L007-no-needs", f"{unit.slug} does not say what the adversary needs"))
    if not technique.telemetry:
        found.append(at(document, (), "TM-L008-no-telemetry", f"{unit.slug} does not say what it leaves in telemetry"))
    if technique.guidance is None:
        found.append(at(document, (), "TM-L009-no-guidance", f"{unit.slug} has no guidance"))
    found += _references(document, technique.references)
    found += _playbook(technique.playbook)
    for rule in technique.rules:
        try:
            report = lint_rules(documents_of(rule.text, rule.file), judge, slugs)
        except FormatError as error:
            found.append(finding("TM-F001-unreadable", rule.file, error.message, line=error.line))
            continue
        found += report.findings
        ids += report.checked["ids"]
    return found, ids


def case_findings(document: Document, case: CaseStudy, judge: Judge) -> Found:
    """Findings of one case study, and how many ids were checked."""
    found = list(_references(document, case.references))
    rows: list[tuple[Where, str]] = [(("atlas",), case.atlas)] if case.atlas else []
    for place, step in enumerate(case.steps):
        rows += [(("steps", place, "atlas", index), item) for index, item in enumerate(step.atlas)]
        if not step.atlas:
            message = f"{case.slug}: step {place + 1} ({step.technique}) names no ATLAS id"
            found.append(at(document, ("steps", place), "TM-L012-step-without-atlas", message))
        before = case.steps[place - 1] if place else None
        if before and (before.technique, before.tactic, before.atlas) == (step.technique, step.tactic, step.atlas):
            message = f"{case.slug}: steps {place} and {place + 1} say the same"
            found.append(at(document, ("steps", place), "TM-L013-repeated-step", message))
        for number, item in enumerate(step.atlas):
            if item in step.atlas[:number]:
                where = ("steps", place, "atlas", number)
                found.append(at(document, where, "TM-L005-repeated-relation", f"{item} stands twice"))
    found += external_ids(document, rows, judge)
    return found, len(rows)


def mitigation_findings(document: Document, mitigation: Mitigation, judge: Judge) -> Found:
    """Findings of one mitigation, and how many ids were checked."""
    found, ids = _relations(document, mitigation.atlas, mitigation.attack, judge)
    found += _references(document, mitigation.references)
    if not (mitigation.atlas or mitigation.attack or mitigation.controls):
        message = f"{mitigation.slug} names no ATLAS id, no ATT&CK id and no control"
        found.append(at(document, (), "TM-L011-unmapped-mitigation", message))
    return found, ids


def external_ids(document: Document, rows: Iterable[tuple[Where, str]], judge: Judge) -> Iterator[LintFinding]:
    """Ids that stand without a name."""
    for where, entry_id in rows:
        for verdict in judge.judge(Claim(entry_id)):
            yield _as_library(document, where, verdict)


def together(
    units: Sequence[Unit], cases: Sequence[CaseStudy], vulnerabilities: Sequence[tuple[Document, Vulnerability]]
) -> Iterator[LintFinding]:
    """What only the whole library shows."""
    used = {slug for case in cases for slug in case.vulnerabilities}
    for document, weak in vulnerabilities:
        if weak.slug not in used and not weak.techniques:
            message = f"no case study rests on {weak.slug}, and it names no technique"
            yield at(document, (), "TM-L014-unused-vulnerability", message)
    enables = {unit.slug: set(unit.technique.enables) for unit in units}
    for unit in units:
        for place, slug in enumerate(unit.technique.enables):
            if unit.slug in enables.get(slug, ()) and unit.slug < slug:
                message = f"{unit.slug} and {slug} are each a step towards the other"
                yield at(unit.document, ("enables", place), "TM-L015-mutual-enables", message)


def _relations(
    document: Document, atlas: Sequence[ExternalId], attack: Sequence[ExternalId], judge: Judge
) -> tuple[list[LintFinding], int]:
    found: list[LintFinding] = []
    for key, entries in (("atlas", atlas), ("attack", attack)):
        seen: set[str] = set()
        for place, entry in enumerate(entries):
            if entry.id in seen:
                message = f"{entry.id} stands twice in {key}"
                found.append(at(document, (key, place), "TM-L005-repeated-relation", message))
            seen.add(entry.id)
            verdicts = judge.judge(Claim(entry.id, "", entry.name))
            found += [_as_library(document, (key, place, "id"), verdict) for verdict in verdicts]
    return found, len(atlas) + len(attack)


def _as_library(document: Document, where: Where, verdict: Verdict) -> LintFinding:
    return at(document, where, _AS.get(verdict.check, "TM-L002-unknown-id"), verdict.message, hint=verdict.hint)


def _references(document: Document, references: Sequence[Reference]) -> Iterator[LintFinding]:
    for place, reference in enumerate(references):
        if not reference.url:
            message = f"{reference.title[:80]!r} has no address"
            yield at(document, ("references", place), "TM-L010-no-url", message)


def _playbook(path: str) -> Iterator[LintFinding]:
    """Whether the playbook can be read at all; respond/ checks its graph."""
    if not path:
        return
    check = "TM-L016-unreadable-playbook"
    try:
        document = load_json(Path(path))
    except UsageError as error:
        line = getattr(error, "line", None)
        yield finding(check, path, error.message.removeprefix(f"{path}: "), line=line, hint=error.hint)
        return
    data = document.data
    if not isinstance(data, dict) or data.get("type") != "playbook":
        yield at(document, (), check, "no CACAO playbook: its type is not 'playbook'")
    elif not isinstance(data.get("workflow"), dict) or data.get("workflow_start") not in data["workflow"]:
        yield at(document, ("workflow_start",), check, "workflow_start is no step of the workflow")
