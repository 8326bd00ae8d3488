"""One technique's folder, as a technique beside the file that an error about it names."""

from __future__ import annotations

from pathlib import Path

from threatmatrix.knowledge import schemas, schemas_matrix
from threatmatrix.knowledge.check import check
from threatmatrix.knowledge.cross import Unit
from threatmatrix.knowledge.layers import Layers, is_disabled
from threatmatrix.knowledge.yamlfile import load_yaml
from threatmatrix.model.errors import FormatError
from threatmatrix.model.matrix import Control, ExternalId, Guidance, MonitorSpec, SampleSet, Technique, Trace
from threatmatrix.model.procedure import ExpectedControl, Procedure, ProcedureStep, Reference

__all__ = ["check_folder", "load_technique", "references_of"]

_IN_TECHNIQUE = ("technique.yaml", "rules", "procedures", "playbook.json", "controls.yaml", "samples")
_IN_SAMPLES = ("attack.jsonl", "benign.jsonl")


def load_technique(layers: Layers, slug: str) -> Unit | None:
    """The technique; None where the overlay disables it. Raises FormatError."""
    folder = ("techniques", slug)
    entries = layers.entries(*folder, allowed=_IN_TECHNIQUE)
    check_folder(layers, folder, entries, "technique.yaml")
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
        legacy=tuple(content.legacy),
        needs=(content.needs or "").strip(),
        telemetry=tuple(
            Trace(item.source, item.shows.strip(), item.category, tuple(item.fields)) for item in content.telemetry
        ),
        guidance=_guidance(content.guidance),
        atlas=tuple(ExternalId(item.id, item.name, item.relation) for item in content.atlas),
        attack=tuple(ExternalId(item.id, item.name, item.relation) for item in content.attack),
        references=references_of(content.references),
        enables=tuple(content.enables),
        applies=tuple(map(tuple, content.applies)),
        monitors=tuple(
            MonitorSpec(use=item.use, severity=item.severity, params=dict(item.params)) for item in content.monitors
        ),
        rules=layers.sources(*folder, "rules", technique=slug),
        procedures=tuple(procedure for procedure, _ in procedures),
        controls=_controls(layers, slug),
        playbook=_playbook(layers, entries.get("playbook.json")),
        samples=_samples(layers, slug),
    )
    return Unit(slug, document, technique, {procedure.id: file for procedure, file in procedures})


def _guidance(entry: schemas_matrix.GuidanceEntry | None) -> Guidance | None:
    if entry is None:
        return None
    return Guidance(entry.detect.strip(), entry.respond.strip(), entry.remediate.strip())


def check_folder(layers: Layers, folder: tuple[str, ...], entries: dict[str, Path], needed: str) -> None:
    """Raises FormatError where a folder lacks the one file that it needs."""
    if needed in entries:
        return
    where = layers.root.joinpath(*folder)
    if not where.exists() and layers.overlay:
        where = layers.overlay.joinpath(*folder)
    problem = f"this folder has no {needed}" if where.is_dir() else "a folder belongs here, one for each slug"
    raise FormatError(where, problem, hint="See docs/library.md")


def references_of(entries: list[schemas.ReferenceEntry]) -> tuple[Reference, ...]:
    """The sources that a file names."""
    return tuple(Reference(entry.title, entry.url) for entry in entries)


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
        modality=entry.modality,
        steps=_steps(entry.steps),
        needs=tuple(entry.needs),
        inputs=tuple(entry.inputs),
        outputs=tuple(entry.outputs),
        warm_up=_steps(entry.warm_up),
        rps=entry.budget.rps,
        seconds=entry.budget.seconds,
        max_queries=entry.budget.max_queries,
        metric=entry.success.metric,
        norm=entry.success.norm,
        threshold=float(entry.success.threshold),
        control=entry.success.control,
        idempotent=entry.safety.idempotent,
        destructive=entry.safety.destructive,
        revert=entry.safety.revert,
        expected_telemetry=tuple(entry.expected_telemetry),
        expected_detections=tuple(entry.expected_detections),
        controls=tuple(ExpectedControl(each.id, each.expected, each.adaptive) for each in entry.controls),
        description=entry.description.strip(),
        references=references_of(entry.references),
    )


def _steps(entries: list[schemas.StepEntry]) -> tuple[ProcedureStep, ...]:
    return tuple(ProcedureStep(entry.use, dict(entry.params)) for entry in entries)


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
