"""What a replay measured, as data; the faces print it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from threatmatrix.model.evidence import AttackResult, Comparison, Evidence, Rate, SampleOutcome
from threatmatrix.model.matrix import CaseStudy
from threatmatrix.remediate.compare import compare, rate

__all__ = [
    "MIN_SAMPLES",
    "AttackRow",
    "ControlRow",
    "DetectionRow",
    "HardNegative",
    "HonestRow",
    "ReplayReport",
    "Taken",
    "attack_row",
    "control_row",
    "rates_of",
    "remediated",
]

MIN_SAMPLES = 20
"""Fewer samples prove nothing: no mark is given for success or its fall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How many of the samples one account took before it was stopped; it never got to most of them."""

    confirmed: int
    attempted: int  # samples that got more than the one query that finds out about a block
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackRow:
    """One attack before, during and after the response. Rates are of confirmed success over samples that were all
    really attacked: from fresh accounts, and for adaptive attackers, each sample has accounts of its own.
    """

    procedure: str
    technique: str
    norm: str
    threshold: float
    before: Rate
    claimed: Rate  # the attack's own word, before the response
    control: Rate  # random draws at equal queries and norm
    before_vs_control: Comparison
    median_queries: int  # of the samples that succeeded before
    queries: int  # of all samples before
    live: Taken | None  # one account while detection and response run; None where it was not run so
    blocked: Taken  # again, as the blocked account
    fresh: Rate  # again, from a fresh account for each sample
    adaptive: dict[str, Rate]  # named adaptive variants
    before_vs_fresh: Comparison
    before_vs_adaptive: Comparison | None  # against the strongest adaptive variant; None where none was run


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRow:
    """One control in force alone: nobody detects, nobody is blocked.

    ``success`` is over samples that were all really attacked. A budget bounds one account, so it is told by
    ``one_account`` instead: how far one came.
    """

    control: str
    procedure: str
    variant: str
    success: Rate | None
    one_account: Taken | None = None


def control_row(control: str, procedure: str, variant: str, result: AttackResult) -> ControlRow:
    """A rate where every sample was attacked, a count where the one account was refused before that."""
    far = taken(result)
    stopped = far.attempted < far.samples
    return ControlRow(
        control=control,
        procedure=procedure,
        variant=variant,
        success=None if stopped else rates_of(result),
        one_account=far if stopped else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionRow:
    """When an attack was seen. Queries are rows, counted from the first one of that attack.

    ``samples_by_60``: of the runs against single samples, those that the monitor had flagged by query 60;
    measured before any response, so that the response does not cut runs short.
    """

    procedure: str
    technique: str
    detectors: tuple[str, ...]  # all that found it, by name
    live_alarm: int | None  # query of the first alarm in the live run
    live_enforced: int | None  # query of the first refusal in the live run
    samples_by_60: Rate
    median_alarm: int | None  # over the samples that were flagged


@dataclass(frozen=True, slots=True, kw_only=True)
class HonestRow:
    """The honest clients of the whole replay, and what the defence cost them."""

    clients: int
    events: int
    findings: int  # findings that name an honest principal first, or nobody but honest ones
    named: int  # honest principals named anywhere in a finding (swept into an attack cluster)
    requests_defended: int  # requests sent from the attacker's first query on, while the loop ran
    refused: int
    accuracy_before: Rate
    accuracy_after: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class HardNegative:
    """Honest traffic that looks like an attack; reported as it comes out."""

    name: str
    inputs: int
    alarm_at: int | None  # input at which the monitor alarmed, or None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """Everything that one replay measured. Equal seeds give equal reports but for ids, paths and ``seconds``."""

    case: CaseStudy
    seed: int
    samples: int
    system: str
    run_id: str
    workspace: Path
    correlation: str
    model_accuracy: float
    threshold: float  # of the near-duplicate monitor, input units
    calibrated_on: int  # distinct reference inputs
    attacks: tuple[AttackRow, ...]
    controls: tuple[ControlRow, ...]
    detections: tuple[DetectionRow, ...]
    honest: HonestRow
    hard_negatives: tuple[HardNegative, ...]
    chain: tuple[str, ...]  # technique slugs of the incident, in order
    incident_id: str
    incidents: int  # all that the live scene opened: fresh accounts have their own, which stay in the workspace
    blocked_principals: tuple[str, ...]  # in the live scene
    accounts_lost: dict[str, int]  # adaptive "procedure, variant" → accounts that were blocked
    actions: dict[str, int]  # state → number of ledger actions
    evidence: tuple[Evidence, ...]
    seconds: float


def taken(result: AttackResult) -> Taken:
    """What one account got done."""
    return Taken(
        confirmed=sum(outcome.confirmed for outcome in result.outcomes),
        attempted=sum(not outcome.refused or outcome.queries > 1 for outcome in result.outcomes),
        samples=len(result.outcomes),
    )


def rates_of(result: AttackResult) -> Rate:
    """Confirmed success of an attack with its interval."""
    return rate(result.outcomes)


def remediated(rows: Sequence[AttackRow]) -> bool:
    """Whether success fell for every attack of a technique, beyond chance, against fresh accounts and against the
    strongest adaptive attacker. Without an adaptive attacker, or with fewer than 20 samples, nothing is proved.
    """
    return bool(rows) and all(
        row.before.n >= MIN_SAMPLES
        and row.before_vs_fresh.low > 0
        and row.before_vs_adaptive is not None
        and row.before_vs_adaptive.low > 0
        for row in rows
    )


def median_queries(outcomes: tuple[SampleOutcome, ...]) -> int:
    """Median of the queries of the confirmed samples; 0 where none was confirmed."""
    counts = sorted(outcome.queries for outcome in outcomes if outcome.confirmed)
    return counts[len(counts) // 2] if counts else 0


def attack_row(
    plain: AttackResult,
    control: AttackResult,
    *,
    live: AttackResult | None,
    blocked: AttackResult,
    fresh: AttackResult,
    adaptive: dict[str, AttackResult],
) -> AttackRow:
    """Bring together the results of one attack; compares before with control, fresh and the strongest adaptive."""
    before = rates_of(plain)
    after = {name: rates_of(result) for name, result in adaptive.items()}
    strongest = max(after.values(), key=lambda each: each.value, default=None)
    return AttackRow(
        procedure=plain.procedure,
        technique=plain.technique,
        norm=plain.norm,
        threshold=plain.threshold,
        before=before,
        claimed=rate(plain.outcomes, claimed=True),
        control=rates_of(control),
        before_vs_control=compare("before − random control", before, rates_of(control)),
        median_queries=median_queries(plain.outcomes),
        queries=plain.queries,
        live=None if live is None else taken(live),
        blocked=taken(blocked),
        fresh=rates_of(fresh),
        adaptive=after,
        before_vs_fresh=compare("before − fresh accounts", before, rates_of(fresh)),
        before_vs_adaptive=None if strongest is None else compare("before − strongest adaptive", before, strongest),
    )
