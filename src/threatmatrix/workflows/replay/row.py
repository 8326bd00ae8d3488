"""One case study in the table of replays: what every replay comes down to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from threatmatrix.model.evidence import Comparison, Evidence, Rate
from threatmatrix.remediate.compare import helped

__all__ = ["CaseRow", "Compared", "Seen", "StepRow"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A detector that saw the attack, the technique that it names, and after how many of the attacker's rows."""

    by: str
    technique: str
    after: int


@dataclass(frozen=True, slots=True)
class Compared:
    """A published figure beside ours. ``ours`` None: the replay did not measure it."""

    figure: str
    ours: float | None
    published: float
    reach: Literal["at-least", "at-most"]
    unit: str
    source: str

    @property
    def reached(self) -> bool:
        """Whether ours is as the real case had it, or beyond."""
        if self.ours is None:
            return False
        return self.ours >= self.published if self.reach == "at-least" else self.ours <= self.published


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One step of the case: which procedures ran, how many queries they took, and who saw it."""

    technique: str
    tactic: str
    visible: bool  # whether the step can be in the defender's telemetry at all
    procedures: tuple[str, ...]
    queries: int
    successes: int  # confirmed outcomes, of ``units``
    units: int
    seen_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """Everything that a case's replay came down to. Rates are of confirmed success over ``samples`` units."""

    case: str
    name: str
    target: str
    seed: int
    samples: int
    judged: str  # the procedure whose success is told
    effect: str
    before: Rate
    control: Rate  # by chance, at equal queries and norm
    attacked: Rate
    attacked_vs_control: Comparison
    queries: int  # of the whole chain, unhindered
    detected: tuple[Seen, ...]  # while nobody acted
    ambiguous: tuple[Seen, ...]  # detectors that fired on honest traffic as well
    honest_findings: int
    honest_events: int
    responded: int  # actions of playbooks
    blocked: tuple[str, ...]
    honest_blocked: tuple[str, ...]
    honest_requests: int  # of honest users while detection and response ran …
    honest_refused: int  # … and those of them that were refused
    after: Rate  # the same attack while detection and response run
    adaptive: Rate | None  # an attacker who knows of the response; None where none was run
    adaptive_variant: str
    steps: tuple[StepRow, ...]
    figures: Mapping[str, float] = field(default_factory=dict)
    published: tuple[Compared, ...] = ()
    mirror: str = ""
    incident: str = ""
    workspace: str = ""
    seconds: float = 0.0
    evidence: tuple[Evidence, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the attack beats chance: the interval of attacked − control is above 0."""
        return self.attacked_vs_control.low > 0

    @property
    def mitigated(self) -> bool:
        """Whether success fell beyond chance under the response, and for an attacker who knows of it as well."""
        return all(helped(self.attacked, each) for each in (self.after, self.adaptive) if each is not None)
