"""The matrix: tactics, techniques, cells, case studies, and what hangs on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from threatmatrix.model.procedure import Procedure, Reference, ReplaySpec
from threatmatrix.model.system import Trait

__all__ = [
    "SAME",
    "CaseStep",
    "CaseStudy",
    "Cell",
    "Control",
    "ExternalId",
    "Guidance",
    "Kind",
    "Mitigated",
    "Mitigation",
    "MonitorSpec",
    "RuleSource",
    "SampleSet",
    "Tactic",
    "Technique",
    "Trace",
    "Vulnerability",
]

Kind = Literal["ml", "enterprise"]
"""``ml``: drawn orange in 2020; ``enterprise``: grey, from Enterprise ATT&CK."""

Relation = Literal["exact", "close", "broader", "narrower", "partial"]
"""The external technique, relative to ours (the words of SKOS mappings, and ``partial``)."""

SAME: tuple[Relation, ...] = ("exact", "close")
"""Relations across which evidence is carried: the other technique means the same, or nearly."""


@dataclass(frozen=True, slots=True)
class ExternalId:
    """An id of ATLAS or ATT&CK, with its relation to our technique."""

    id: str
    name: str
    relation: Relation


@dataclass(frozen=True, slots=True)
class Tactic:
    """A column of the matrix: what the adversary wants to reach."""

    slug: str
    name: str
    position: int  # column in the matrix, from 0
    atlas: str = ""
    attack: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """What a technique leaves in one source of telemetry."""

    source: str  # as a person calls it
    shows: str
    category: str = ""  # of the event that it becomes, empty where no reader makes one of it
    fields: tuple[str, ...] = ()  # of the event, or of the source where there is no category


@dataclass(frozen=True, slots=True)
class Guidance:
    """What an analyst can do about a technique before any rule exists."""

    detect: str
    respond: str
    remediate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorSpec:
    """A monitor as the library configures it: which one, with which numbers."""

    use: str  # the monitor's name in detect/monitors
    severity: str
    params: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleSource:
    """A Sigma rule as text, not yet parsed: ``file`` is what an error names."""

    file: str
    text: str
    technique: str  # slug


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A mitigation that runs, with the effect that was measured for it."""

    id: str
    name: str
    technique: str
    description: str
    policy: dict[str, Any]  # what the gateway enforces: {"kind": ..., params ...}
    measured: dict[str, Any]  # {"attack", "before", "after", "n", "source"}
    cost: str
    defeated_by: str


@dataclass(frozen=True, slots=True)
class SampleSet:
    """Events that must, and must not, fire a technique's rules: lines of the gateway log."""

    attack: str  # path of attack.jsonl, or empty
    benign: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Technique:
    """One technique or sub-technique; it may stand in several cells."""

    slug: str
    name: str
    kind: Kind
    tactics: tuple[str, ...]  # slugs of the columns in which it stands
    description: str
    parent: str | None = None
    year: int = 2020
    order: int = 0  # position within its column, as in the 2020 picture
    legacy: tuple[str, ...] = ()  # its ids in ATLAS data v1.0, one for each column: MLT0000 …
    needs: str = ""  # what the adversary must have
    telemetry: tuple[Trace, ...] = ()
    guidance: Guidance | None = None
    atlas: tuple[ExternalId, ...] = ()
    attack: tuple[ExternalId, ...] = ()
    references: tuple[Reference, ...] = ()
    enables: tuple[str, ...] = ()  # techniques that this one is a step towards
    applies: tuple[tuple[Trait, ...], ...] = ()  # to systems with all traits of any entry; empty: to every system
    monitors: tuple[MonitorSpec, ...] = ()
    rules: tuple[RuleSource, ...] = ()
    procedures: tuple[Procedure, ...] = ()
    controls: tuple[Control, ...] = ()
    playbook: str = ""  # path of playbook.json, or empty
    samples: SampleSet | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """Tactic × technique: one box of the picture."""

    tactic: str
    technique: str

    @property
    def key(self) -> str:
        return f"{self.tactic}/{self.technique}"


@dataclass(frozen=True, slots=True)
class CaseStep:
    """One step of a case study, in order."""

    technique: str  # slug
    tactic: str  # slug
    description: str
    procedures: tuple[str, ...] = ()  # ids of the procedures that replay it
    visible: bool = True  # False: happens outside the defender's telemetry
    atlas: tuple[str, ...] = ()  # ids of the ATLAS techniques that the step is there


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseStudy:
    """What somebody did to a real system, as an ordered chain of techniques."""

    slug: str
    name: str
    type: Literal["incident", "exercise"]
    date: str  # YYYY, YYYY-MM or YYYY-MM-DD: as exact as it is known
    actor: str
    target: str
    summary: str
    steps: tuple[CaseStep, ...]
    atlas: str = ""
    references: tuple[Reference, ...] = ()
    replay: ReplaySpec | None = None
    learned: tuple[str, ...] = ()
    vulnerabilities: tuple[str, ...] = ()  # slugs
    year: int = 2020  # of the edition that it came with
    legacy: str = ""  # its id in ATLAS data v1.0: MLCS0000 …


@dataclass(frozen=True, slots=True)
class Mitigated:
    """A technique that a mitigation is good against, and how."""

    technique: str  # slug
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mitigation:
    """What makes techniques fail or matter less, with its price."""

    slug: str
    name: str
    description: str
    category: str  # technical-ml | technical-cyber | policy
    lifecycle: tuple[str, ...]  # planning | data | training | evaluation | deployment | operation
    cost: str
    defeated_by: str
    techniques: tuple[Mitigated, ...]
    controls: tuple[str, ...] = ()  # ids of the controls that run it at the gateway
    atlas: tuple[ExternalId, ...] = ()
    attack: tuple[ExternalId, ...] = ()
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Vulnerability:
    """A weakness of a named product on which case studies rest."""

    slug: str
    name: str
    description: str
    product: str
    published: str  # YYYY, YYYY-MM or YYYY-MM-DD
    references: tuple[Reference, ...]
    cve: str = ""
    cwe: tuple[str, ...] = ()
    cvss: str = ""  # vector
    techniques: tuple[str, ...] = ()  # slugs
