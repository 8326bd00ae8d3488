"""Load the library: every technique's folder and every case study's, checked one by one and together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from threatmatrix.knowledge import schemas
from threatmatrix.knowledge.check import check
from threatmatrix.knowledge.cross import Unit, check_cases, check_techniques
from threatmatrix.knowledge.layers import Layers, is_disabled
from threatmatrix.knowledge.library import Library
from threatmatrix.knowledge.yamlfile import Document, load_yaml, read_text
from threatmatrix.model.errors import FormatError
from threatmatrix.model.matrix import (
    CaseStep,
    CaseStudy,
    Control,
    ExternalId,
    MonitorSpec,
    Procedure,
    Reference,
    ReplaySpec,
    RuleSource,
    SampleSet,
    Tactic,
    Technique,
)

__all__ = ["LIBRARY", "load_library"]

LIBRARY = Path(__file__).resolve().parent.parent / "library"
"""The library that ships with the package."""

_IN_TECHNIQUE = ("technique.yaml", "rules", "procedures", "playbook.json", "controls.yaml", "samples")
_IN_SAMPLES = ("attack.jsonl", "benign.jsonl")
_IN_CASE = ("case.yaml", "replay.yaml")


def load_library(overlay: Path | None = None, *, root: Path = LIBRARY) -> Library:
    """The library, with a user's directory laid over it.

    Raises InputError (a directory or file is missing), FormatError (file, key, line, choices).
    """
    layers = Layers(root, overlay)
    matrix = layers.mapping("matrix.yaml")
    if matrix is None:
        raise FormatError(overlay, "matrix.yaml cannot be disabled")
    name, tactics = _matrix(matrix)
    units = [unit for slug in layers.entries("techniques") if (unit := _technique(layers, slug))]
    known = {unit.slug for unit in units}
    gone = set(layers.entries("techniques")) - known
    units = [unit for unit in units if unit.technique.parent not in gone]
    gone |= known - {unit.slug for unit in units}
    units = check_techniques(units, tactics, disabled=gone)
    cases = [pair for slug in layers.entries("cases") if (pair := _case(layers, slug))]
    check_cases(cases, units, tactics, disabled=gone)
    library = Library(
        name=name,
        tactics=tactics,
        techniques={unit.slug: unit.technique for unit in units},
        cases={case.slug: case for _, case in cases},
        root=root,
        overlay=overlay,
    )
    ordered = {item.slug: item for tactic in tactics for item in library.column(tactic.slug)}
    return Library(name=name, tactics=tactics, techniques=ordered, cases=library.cases, root=root, overlay=overlay)


def _matrix(document: Document) -> tuple[str, tuple[Tactic, ...]]:
    content = check(document, schemas.MatrixFile)
    seen: set[str] = set()
    for position, entry in enumerate(content.tactics):
        if entry.slug in seen:
            raise document.error(("tactics", position, "slug"), f"the tactic {entry.slug} stands twice")
        seen.add(entry.slug)
    return content.name, tuple(
        Tactic(entry.slug, entry.name, position, entry.atlas, entry.attack)
        for position, entry in enumerate(content.tactics)
    )


def _technique(layers: Layers, slug: str) -> Unit | None:
    folder = ("techniques", slug)
    entries = layers.entries(*folder, allowed=_IN_TECHNIQUE)
    _check_folder(layers, folder, entries, "technique.yaml")
    document = layers.mapping(*folder, "technique.yaml")
    if document is None:
        return None
    content = check(document, schemas.TechniqueFile)
    procedures = _procedures(layers, slug)
    technique = Technique(
        slug=slug,
        name=content.name,
        kind=content.kind,
        tactics=tuple(content.tactics),
        description=content.description.strip(),
        parent=content.parent,
        year=content.year,
        order=content.order,
        atlas=tuple(ExternalId(item.id, item.name, item.relation) for item in content.atlas),
        attack=tuple(ExternalId(item.id, item.name, item.relation) for item in content.attack),
        references=_references(content.references),
        enables=tuple(content.enables),
        monitors=tuple(
            MonitorSpec(use=item.use, severity=item.severity, params=dict(item.params)) for item in content.monitors
        ),
        rules=_rules(layers, slug),
        procedures=tuple(procedure for procedure, _ in procedures),
        controls=_controls(layers, slug),
        playbook=_playbook(layers, entries.get("playbook.json")),
        samples=_samples(layers, slug),
    )
    return Unit(slug, document, technique, {procedure.id: file for procedure, file in procedures})


def _check_folder(layers: Layers, folder: tuple[str, ...], entries: dict[str, Path], needed: str) -> None:
    if needed in entries:
        return
    where = layers.root.joinpath(*folder)
    if not where.exists() and layers.overlay:
        where = layers.overlay.joinpath(*folder)
    problem = f"this folder has no {needed}" if where.is_dir() else "a folder belongs here, one for each slug"
    raise FormatError(where, problem, hint="See docs/library.md")


def _references(entries: list[schemas.ReferenceEntry]) -> tuple[Reference, ...]:
    return tuple(Reference(entry.title, entry.url) for entry in entries)


def _rules(layers: Layers, slug: str) -> tuple[RuleSource, ...]:
    paths = layers.files("techniques", slug, "rules", suffix=(".yml", ".yaml")).values()
    kept = [path for path in paths if not (layers.is_overlaid(path) and is_disabled(path))]
    return tuple(RuleSource(str(path), read_text(path), slug) for path in kept)


def _procedures(layers: Layers, slug: str) -> list[tuple[Procedure, str]]:
    """Each procedure with its file."""
    found = []
    for path in layers.files("techniques", slug, "procedures", suffix=".yaml").values():
        if layers.is_overlaid(path) and is_disabled(path):
            continue
        document = load_yaml(path)
        entry = check(document, schemas.ProcedureFile)
        if entry.id != path.stem:
            raise document.error(("id",), f"the file's name asks for the id {path.stem}")
        found.append((_procedure(entry, slug), str(path)))
    return found


def _procedure(entry: schemas.ProcedureFile, slug: str) -> Procedure:
    return Procedure(
        id=entry.id,
        name=entry.name,
        technique=slug,
        access=entry.access,
        use=entry.use,
        params=dict(entry.params),
        max_queries=entry.budget.max_queries,
        metric=entry.success.metric,
        norm=entry.success.norm,
        threshold=float(entry.success.threshold),
        control=entry.success.control,
        idempotent=entry.safety.idempotent,
        destructive=entry.safety.destructive,
        revert=entry.safety.revert,
        expected_detections=tuple(entry.expected_detections),
        description=entry.description.strip(),
        references=_references(entry.references),
    )


def _controls(layers: Layers, slug: str) -> tuple[Control, ...]:
    document = layers.listing("techniques", slug, "controls.yaml")
    if document is None:
        return ()
    entries = check(document, schemas.ControlsFile).root
    seen: set[str] = set()
    for position, entry in enumerate(entries):
        if entry.id in seen:
            raise document.error((position, "id"), f"the control {entry.id} stands twice")
        seen.add(entry.id)
    return tuple(
        Control(
            id=entry.id,
            name=entry.name,
            technique=slug,
            description=entry.description.strip(),
            policy=schemas.plain(entry.policy),
            measured=schemas.plain(entry.measured),
            cost=entry.cost.strip(),
            defeated_by=entry.defeated_by.strip(),
        )
        for entry in entries
    )


def _playbook(layers: Layers, path: Path | None) -> str:
    if path is None or (layers.is_overlaid(path) and is_disabled(path)):
        return ""
    return str(path)


def _samples(layers: Layers, slug: str) -> SampleSet | None:
    found = layers.entries("techniques", slug, "samples", allowed=_IN_SAMPLES)
    if not found:
        return None
    attack, benign = (str(found.get(name, "")) for name in _IN_SAMPLES)
    return SampleSet(attack, benign)


def _case(layers: Layers, slug: str) -> tuple[Document, CaseStudy] | None:
    folder = ("cases", slug)
    entries = layers.entries(*folder, allowed=_IN_CASE)
    _check_folder(layers, folder, entries, "case.yaml")
    document = layers.mapping(*folder, "case.yaml")
    if document is None:
        return None
    content = check(document, schemas.CaseFile)
    replay = layers.mapping(*folder, "replay.yaml") if "replay.yaml" in entries else None
    return document, CaseStudy(
        slug=slug,
        name=content.name,
        type=content.type,
        date=content.date,
        actor=content.actor,
        target=content.target,
        summary=content.summary.strip(),
        steps=tuple(
            CaseStep(item.technique, item.tactic, item.description.strip(), tuple(item.procedures), item.visible)
            for item in content.steps
        ),
        atlas=content.atlas,
        references=_references(content.references),
        replay=_replay(replay) if replay else None,
    )


def _replay(document: Document) -> ReplaySpec:
    content = check(document, schemas.ReplayFile)
    params: dict[str, Any] = dict(content.params)
    return ReplaySpec(target=content.target, samples=content.samples, params=params)
