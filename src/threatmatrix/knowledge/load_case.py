"""One case study's folder."""

from __future__ import annotations

from collections.abc import Sequence

from threatmatrix.knowledge import schemas, schemas_matrix
from threatmatrix.knowledge.check import check
from threatmatrix.knowledge.layers import Layers
from threatmatrix.knowledge.load_technique import check_folder, references_of
from threatmatrix.knowledge.yamlfile import Document
from threatmatrix.model.matrix import CaseStep, CaseStudy
from threatmatrix.model.procedure import Published, ReplaySpec

__all__ = ["load_case"]

_IN_CASE = ("case.yaml", "replay.yaml")


def load_case(layers: Layers, slug: str) -> tuple[Document, CaseStudy] | None:
    """The case study beside its file; None where the overlay disables it. Raises FormatError."""
    folder = ("cases", slug)
    entries = layers.entries(*folder, allowed=_IN_CASE)
    check_folder(layers, folder, entries, "case.yaml")
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
        steps=tuple(_step(item) for item in content.steps),
        atlas=content.atlas,
        references=references_of(content.references),
        replay=_replay(replay, [each for item in content.steps for each in item.procedures]) if replay else None,
        learned=tuple(item.strip() for item in content.learned),
        vulnerabilities=tuple(content.vulnerabilities),
        year=content.year,
        legacy=content.legacy,
    )


def _step(entry: schemas_matrix.StepEntry) -> CaseStep:
    return CaseStep(
        entry.technique,
        entry.tactic,
        entry.description.strip(),
        tuple(entry.procedures),
        entry.visible,
        tuple(entry.atlas),
    )


def _replay(document: Document, procedures: Sequence[str]) -> ReplaySpec:
    """``procedures``: ids of those that the case's steps run."""
    content = check(document, schemas.ReplayFile)
    if content.judged and content.judged not in procedures:
        problem = f"no step of the case runs the procedure {content.judged!r}"
        raise document.error(("judged",), problem, choices=procedures)
    return ReplaySpec(
        target=content.target,
        samples=content.samples,
        params=dict(content.params),
        small=dict(content.small),
        judged=content.judged,
        adaptive=content.adaptive,
        effect=content.effect,
        mirror=content.mirror.strip(),
        store=content.store,
        published=tuple(
            Published(each.figure, each.value, each.reach, each.unit, each.source) for each in content.published
        ),
    )
