"""Attack results and the evidence that ties a technique to a system."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["AttackResult", "Comparison", "Evidence", "Rate", "SampleOutcome"]


@dataclass(frozen=True, slots=True)
class Rate:
    """A proportion with its 95 % Wilson score interval (Wilson 1927)."""

    successes: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.successes / self.n if self.n else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOutcome:
    """What became of one sample. ``claimed`` is the attack's own word; ``confirmed`` was measured by
    fresh queries that the attack never saw, at the stated norm.
    """

    index: int
    claimed: bool
    confirmed: bool
    queries: int  # rows sent for this sample, confirmation not counted
    distance: float  # in the procedure's norm; inf where nothing was found
    refused: bool = False  # ended because the defender said no
    before: bool = False  # it was so without the attack: an input that the model gets wrong anyway


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackResult:
    """One attack over n samples. Proportions and intervals are drawn from ``outcomes`` by remediate."""

    procedure: str
    technique: str
    variant: str  # plain | random-control | blocked-account | fresh-accounts | adaptive-…
    norm: str
    threshold: float
    outcomes: tuple[SampleOutcome, ...]
    queries: int  # all rows, confirmation not counted
    confirm_queries: int
    seed: int
    correlation: str  # the UUID that joins the attack to its telemetry
    seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)  # further measures by name: shadow_mae, fidelity, auc …


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two proportions and their difference (Newcombe 1998, method 10: hybrid score interval)."""

    what: str
    first: Rate
    second: Rate
    difference: float  # first - second
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The record that ties technique × system: emulated? detected? responded? remediated?

    ``record`` holds the measured figures as plain JSON (docs/evidence.md); ``digest`` is the SHA-256
    of the canonical JSON of everything else, chained to ``previous``.
    """

    evidence_id: str
    created: int  # µs, wall clock
    technique: str
    tactic: str
    system: str
    case: str | None
    run_id: str
    seed: int
    emulated: bool
    detected: bool
    responded: bool
    remediated: bool  # success after is below success before, the interval of the difference above 0
    record: dict[str, Any] = field(default_factory=dict)
    previous: str = ""
    digest: str = ""
