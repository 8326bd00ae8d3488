"""The files that describe: the columns, techniques, case studies, mitigations and vulnerabilities."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from threatmatrix.knowledge.schema_types import (
    AtlasMitigation,
    AtlasTechnique,
    Attack,
    AttackMitigation,
    AttackTechnique,
    Day,
    Line,
    Number,
    Prose,
    Relation,
    Severity,
    Slug,
    StrictModel,
    Url,
)
from threatmatrix.model.event import Category
from threatmatrix.model.system import Trait

__all__ = ["CaseFile", "MatrixFile", "MitigationFile", "ReferenceEntry", "TechniqueFile", "VulnerabilityFile"]

Year = Annotated[int, Field(ge=2004, le=2200)]
Lifecycle = Literal["planning", "data", "training", "evaluation", "deployment", "operation"]
"""When in a model's life a mitigation is put in place."""


class ReferenceEntry(StrictModel):
    """A paper or a page: its title, and its address where it has one."""

    title: Line
    url: Url | Literal[""] = ""


class AtlasEntry(StrictModel):
    """An ATLAS technique and how it relates to ours."""

    id: AtlasTechnique
    name: Line
    relation: Relation


class AttackEntry(StrictModel):
    """An ATT&CK technique and how it relates to ours."""

    id: AttackTechnique
    name: Line
    relation: Relation


class TacticEntry(StrictModel):
    """A column of the matrix."""

    slug: Slug
    name: Line
    description: Prose = ""
    atlas: Annotated[str, StringConstraints(pattern=r"^(AML\.TA\d{4})?$")] = ""
    attack: Annotated[str, StringConstraints(pattern=r"^(TA\d{4})?$")] = ""


class MatrixFile(StrictModel):
    """matrix.yaml: the columns, from left to right."""

    name: Line
    tactics: Annotated[list[TacticEntry], Field(min_length=1)]
    modified: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")] = "2020-10-22"
    releases: dict[Literal["atlas", "attack"], list[Line]] = Field(default_factory=dict)


class MonitorEntry(StrictModel):
    """A monitor that watches for the technique, with its numbers."""

    use: Slug
    severity: Severity
    params: dict[Attack, Number] = Field(default_factory=dict)


class TraceEntry(StrictModel):
    """What the technique leaves in one source of telemetry, and in which fields."""

    source: Line  # as a person calls it: serving log, registry audit log, none of yours
    category: Category | Literal[""] = ""
    fields: list[Attack] = Field(default_factory=list)
    shows: Prose


class GuidanceEntry(StrictModel):
    """What an analyst can do before any rule exists."""

    detect: Prose
    respond: Prose
    remediate: Prose


Traits = Annotated[list[Trait], Field(min_length=1, max_length=4)]


class TechniqueFile(StrictModel):
    """technique.yaml: one technique or sub-technique. The folder's name is its slug."""

    name: Line
    kind: Literal["ml", "enterprise"]
    tactics: Annotated[list[Slug], Field(min_length=1)]
    description: Prose
    parent: Slug | None = None
    order: Annotated[int, Field(ge=0)] = 0
    year: Year = 2020
    legacy: list[Annotated[str, StringConstraints(pattern=r"^MLT\d{4}$")]] = Field(default_factory=list)
    needs: Prose | None = None
    telemetry: list[TraceEntry] = Field(default_factory=list)
    guidance: GuidanceEntry | None = None
    atlas: list[AtlasEntry] = Field(default_factory=list)
    attack: list[AttackEntry] = Field(default_factory=list)
    enables: list[Slug] = Field(default_factory=list)
    applies: list[Traits] = Field(default_factory=list)  # systems with all traits of any entry; none: every system
    references: list[ReferenceEntry] = Field(default_factory=list)
    monitors: list[MonitorEntry] = Field(default_factory=list)


class StepEntry(StrictModel):
    """One step of a case study, in order."""

    technique: Slug
    tactic: Slug
    description: Prose
    atlas: list[AtlasTechnique] = Field(default_factory=list)
    procedures: list[Slug] = Field(default_factory=list)
    visible: bool = True


class CaseFile(StrictModel):
    """case.yaml: a case study. The folder's name is its slug."""

    name: Line
    type: Literal["incident", "exercise"]
    date: Day
    actor: Line
    target: Line
    summary: Prose
    steps: Annotated[list[StepEntry], Field(min_length=1)]
    learned: list[Prose] = Field(default_factory=list)
    vulnerabilities: list[Slug] = Field(default_factory=list)
    year: Year = 2020
    atlas: Annotated[str, StringConstraints(pattern=r"^(AML\.CS\d{4})?$")] = ""
    legacy: Annotated[str, StringConstraints(pattern=r"^(MLCS\d{4})?$")] = ""
    references: list[ReferenceEntry] = Field(default_factory=list)


class AtlasMitigationEntry(StrictModel):
    """An ATLAS mitigation and how it relates to ours."""

    id: AtlasMitigation
    name: Line
    relation: Relation


class AttackMitigationEntry(StrictModel):
    """An ATT&CK mitigation and how it relates to ours."""

    id: AttackMitigation
    name: Line
    relation: Relation


class MitigatedEntry(StrictModel):
    """A technique that a mitigation is good against, and how."""

    technique: Slug
    how: Prose


class MitigationFile(StrictModel):
    """mitigations/<slug>.yaml: what makes techniques fail or matter less."""

    name: Line
    description: Prose
    category: Literal["technical-ml", "technical-cyber", "policy"]
    lifecycle: Annotated[list[Lifecycle], Field(min_length=1)]
    cost: Prose
    defeated_by: Prose
    techniques: Annotated[list[MitigatedEntry], Field(min_length=1)]
    controls: list[Slug] = Field(default_factory=list)
    atlas: list[AtlasMitigationEntry] = Field(default_factory=list)
    attack: list[AttackMitigationEntry] = Field(default_factory=list)
    references: list[ReferenceEntry] = Field(default_factory=list)


class VulnerabilityFile(StrictModel):
    """vulnerabilities/<slug>.yaml: a weakness of a named product on which case studies rest."""

    name: Line
    description: Prose
    product: Line
    published: Day
    cve: Annotated[str, StringConstraints(pattern=r"^(CVE-\d{4}-\d{4,})?$")] = ""
    cwe: list[Annotated[str, StringConstraints(pattern=r"^CWE-\d+$")]] = Field(default_factory=list)
    cvss: Annotated[str, StringConstraints(pattern=r"^(CVSS:[34]\.\d/[A-Za-z0-9:/]+)?$")] = ""
    techniques: list[Slug] = Field(default_factory=list)
    references: Annotated[list[ReferenceEntry], Field(min_length=1)]
