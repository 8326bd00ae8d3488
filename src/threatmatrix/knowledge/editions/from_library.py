"""Our library as an edition: plain data that every exporter can write and every importer gives back.

Files of a technique's folder (rules, playbook) travel as their content and their name, never as a path of this machine.
Samples stay behind: they are test data of the library, not of the matrix.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

from threatmatrix.knowledge.library import Library
from threatmatrix.model.edition import (
    ORIGINAL,
    Edition,
    EditionCase,
    EditionMitigation,
    EditionStep,
    EditionTactic,
    EditionTechnique,
    EditionVulnerability,
    Mitigates,
)
from threatmatrix.model.errors import FormatError
from threatmatrix.model.matrix import CaseStudy, ExternalId, Mitigation, Tactic, Technique, Vulnerability
from threatmatrix.model.procedure import Procedure

__all__ = ["edition_of"]


def edition_of(library: Library) -> Edition:
    """The library as it was loaded. Its version: an edition's year, else ``living``, or ``2020`` if nothing is later.

    Raises FormatError where a playbook is not JSON.
    """
    years = [item.year for item in library.techniques.values()] + [case.year for case in library.cases.values()]
    version = str(library.year or (ORIGINAL if max(years, default=ORIGINAL) <= ORIGINAL else "living"))
    return Edition(
        source="threatmatrix",
        name=library.name,
        version=version,
        format="library",
        created=f"{ORIGINAL}-10-22",  # the day on which the matrix was published
        modified=library.modified,
        tactics=tuple(_tactic(item, library.modified) for item in library.tactics),
        techniques=tuple(_technique(item, library.modified) for item in library.techniques.values()),
        mitigations=tuple(_mitigation(item, library.modified) for item in library.mitigations.values()),
        cases=tuple(_case(item, library.modified) for item in library.cases.values()),
        extra={"releases": {matrix: list(releases) for matrix, releases in library.releases.items()}},
        vulnerabilities=tuple(_vulnerability(item, library.modified) for item in library.vulnerabilities.values()),
    )


def _day(year: int) -> str:
    return f"{year}-10-22" if year == ORIGINAL else f"{year}-01-01"


def _tactic(tactic: Tactic, modified: str) -> EditionTactic:
    return EditionTactic(
        id=tactic.slug,
        name=tactic.name,
        description=tactic.description,
        created=_day(ORIGINAL),
        modified=modified,
        attack=tactic.attack,
        shortname=tactic.slug,
        extra={"atlas": tactic.atlas},
    )


def _technique(technique: Technique, modified: str) -> EditionTechnique:
    return EditionTechnique(
        id=technique.slug,
        name=technique.name,
        description=technique.description,
        created=_day(technique.year),
        modified=modified,
        references=technique.references,
        tactics=technique.tactics,
        parent=technique.parent or "",
        extra={
            "kind": technique.kind,
            "year": technique.year,
            "order": technique.order,
            "legacy": list(technique.legacy),
            "needs": technique.needs,
            "telemetry": [
                {"source": item.source, "category": item.category, "fields": list(item.fields), "shows": item.shows}
                for item in technique.telemetry
            ],
            "guidance": asdict(technique.guidance) if technique.guidance else None,
            "atlas": _ids(technique.atlas),
            "attack": _ids(technique.attack),
            "enables": list(technique.enables),
            "applies": [list(traits) for traits in technique.applies],
            "monitors": [
                {"use": item.use, "severity": str(item.severity), "params": dict(item.params)}
                for item in technique.monitors
            ],
            "rules": [{"file": PurePath(rule.file).name, "text": rule.text} for rule in technique.rules],
            "procedures": [_procedure(item) for item in technique.procedures],
            "controls": [_plain(asdict(item) | {"technique": None}) for item in technique.controls],
            "playbook": _playbook(technique.playbook),
        },
    )


def _ids(ids: tuple[ExternalId, ...]) -> list[dict[str, str]]:
    return [{"id": item.id, "name": item.name, "relation": item.relation} for item in ids]


def _procedure(procedure: Procedure) -> dict[str, Any]:
    return _plain(asdict(procedure) | {"technique": None})


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    """As JSON would give it back: lists for tuples; without the technique, which is where it stands."""
    kept = {key: value for key, value in content.items() if key != "technique"}
    plain: dict[str, Any] = json.loads(json.dumps(kept))
    return plain


def _playbook(path: str) -> dict[str, Any] | None:
    if not path:
        return None
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise FormatError(path, f"not valid JSON ({error})", hint="See docs/respond.md") from error
    return content if isinstance(content, dict) else None


def _mitigation(mitigation: Mitigation, modified: str) -> EditionMitigation:
    return EditionMitigation(
        id=mitigation.slug,
        name=mitigation.name,
        description=mitigation.description,
        created=_day(ORIGINAL),
        modified=modified,
        references=mitigation.references,
        mitigates=tuple(Mitigates(item.technique, item.how) for item in mitigation.techniques),
        lifecycle=mitigation.lifecycle,
        categories=(mitigation.category,),
        extra={
            "category": mitigation.category,
            "cost": mitigation.cost,
            "defeated_by": mitigation.defeated_by,
            "controls": list(mitigation.controls),
            "atlas": _ids(mitigation.atlas),
            "attack": _ids(mitigation.attack),
        },
    )


def _case(case: CaseStudy, modified: str) -> EditionCase:
    last = len(case.steps) - 1
    return EditionCase(
        id=case.slug,
        name=case.name,
        description=case.summary,
        created=_day(case.year),
        modified=modified,
        references=case.references,
        type=case.type,
        date=case.date,
        actor=case.actor,
        target=case.target,
        steps=tuple(
            EditionStep(
                id=f"S{position:02d}",
                technique=step.technique,
                tactic=step.tactic,
                description=step.description,
                leads_to=(f"S{position + 1:02d}",) if position < last else (),
                extra={"atlas": list(step.atlas), "procedures": list(step.procedures), "visible": step.visible},
            )
            for position, step in enumerate(case.steps)
        ),
        extra={
            "year": case.year,
            "legacy": case.legacy,
            "atlas": case.atlas,
            "learned": list(case.learned),
            "vulnerabilities": list(case.vulnerabilities),
            "replay": case.replay is not None,
        },
    )


def _vulnerability(item: Vulnerability, modified: str) -> EditionVulnerability:
    return EditionVulnerability(
        id=item.slug,
        name=item.name,
        description=item.description,
        created=_day(ORIGINAL),
        modified=modified,
        references=item.references,
        cve=item.cve,
        techniques=item.techniques,
        extra={"product": item.product, "published": item.published, "cwe": list(item.cwe), "cvss": item.cvss},
    )
