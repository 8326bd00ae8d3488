"""Any matrix in one form: ours, an ATLAS release, Enterprise ATT&CK. What import, export, diff and lint speak.

Ids are the matrix's own: slugs for ours, ``AML.T0043.001`` for ATLAS, ``T1078`` for ATT&CK. What a format carries
beyond the fields here stands in ``extra`` under the format's own key, so that writing it again loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from threatmatrix.model.procedure import Reference

__all__ = [
    "ORIGINAL",
    "Edition",
    "EditionCase",
    "EditionMitigation",
    "EditionStep",
    "EditionTactic",
    "EditionTechnique",
    "EditionVulnerability",
    "Mitigates",
    "Note",
    "Source",
]

ORIGINAL = 2020
"""The year of the original matrix: what came later is marked with its year."""

Source = Literal["threatmatrix", "atlas", "attack"]
"""Whose matrix it is: ours, MITRE ATLAS, MITRE ATT&CK (enterprise)."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something in an imported file that was not understood, or not carried: never dropped without one."""

    where: str  # dotted path or id in the file
    what: str
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    id: str
    name: str
    description: str = ""
    created: str = ""  # ISO 8601 date or moment, as the source has it; empty where it has none
    modified: str = ""
    references: tuple[Reference, ...] = ()
    stix_id: str = ""  # under which it is exchanged: the source's own, or the one that the matrix derives from the id
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionTactic(_Entry):
    """A column; its position is that in ``Edition.tactics``."""

    attack: str = ""  # id of the ATT&CK tactic
    shortname: str = ""  # kebab-case: STIX's phase name


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionTechnique(_Entry):
    """A technique or sub-technique. ``tactics``: ids of all columns in which it stands, inherited ones included."""

    tactics: tuple[str, ...] = ()
    parent: str = ""
    platforms: tuple[str, ...] = ()
    maturity: str = ""  # feasible | demonstrated | realized
    attack: str = ""  # id of the ATT&CK technique that ATLAS names
    retired: bool = False  # deprecated or revoked, where the source says so


@dataclass(frozen=True, slots=True)
class Mitigates:
    """An edge from a mitigation to a technique, with what the source says about its use there."""

    technique: str
    use: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionMitigation(_Entry):
    """A mitigation with its edges. Two edges to one technique are kept as two."""

    mitigates: tuple[Mitigates, ...] = ()
    lifecycle: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    attack: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionStep:
    """One step of a case study. ``leads_to``: the ids of the steps that follow."""

    id: str  # S00 …
    technique: str
    tactic: str = ""
    description: str = ""
    leads_to: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionCase(_Entry):
    """A case study; ``steps`` in the order in which they happened."""

    type: str = ""  # incident | exercise
    date: str = ""  # as exact as it is known: YYYY, YYYY-MM or YYYY-MM-DD
    actor: str = ""
    target: str = ""
    reporter: str = ""
    steps: tuple[EditionStep, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionVulnerability(_Entry):
    """A weakness of a named product. Only ours has them; ATLAS and ATT&CK name them in prose."""

    cve: str = ""
    techniques: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One release of one matrix. ``extra`` holds what the format says about the whole."""

    source: Source
    name: str
    version: str  # of the content: 2020, living, 5.6.0, 2026.05, 19.0
    format: str  # the format that it was read from: library, json, atlas-legacy, atlas-6, stix
    description: str = ""
    tactics: tuple[EditionTactic, ...] = ()
    techniques: tuple[EditionTechnique, ...] = ()
    mitigations: tuple[EditionMitigation, ...] = ()
    cases: tuple[EditionCase, ...] = ()
    vulnerabilities: tuple[EditionVulnerability, ...] = ()
    created: str = ""
    modified: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[Note, ...] = field(default=(), compare=False)

    @property
    def ref(self) -> str:
        """How it is named on the command line: ``atlas@5.6.0``."""
        return f"{self.source}@{self.version}"

    def technique(self, technique_id: str) -> EditionTechnique | None:
        """The technique of this exact id."""
        return next((item for item in self.techniques if item.id == technique_id), None)
