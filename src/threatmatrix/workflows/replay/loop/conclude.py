"""From measurements to the report, the evidence, and the story in the user's store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from threatmatrix.emulate.reference.digits import accuracy
from threatmatrix.knowledge import Library
from threatmatrix.model.detection import Calibration, Finding
from threatmatrix.model.event import Event
from threatmatrix.model.evidence import AttackResult
from threatmatrix.model.response import ActionRecord, ActionState, Incident
from threatmatrix.remediate.compare import wilson
from threatmatrix.store import Store
from threatmatrix.telemetry.reading import read_events
from threatmatrix.workflows.replay.loop.baseline import Baseline, Judged
from threatmatrix.workflows.replay.loop.lab import Lab
from threatmatrix.workflows.replay.loop.plan import ADAPTIVE, ATTACKS, ReplayPlan, Run
from threatmatrix.workflows.replay.loop.proof import evidence_of
from threatmatrix.workflows.replay.loop.report import (
    AttackRow,
    DetectionRow,
    HardNegative,
    HonestRow,
    ReplayReport,
    attack_row,
    control_row,
)
from threatmatrix.workflows.replay.loop.response import Adaptive, Live, LiveRun, live_store
from threatmatrix.workflows.replay.story import adopt, adopted_id

__all__ = ["Measured", "conclude"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything that the scenes of a replay brought back."""

    lab: Lab
    library: Library
    plan: ReplayPlan
    baseline: Baseline
    judged: Judged
    controls: dict[tuple[str, str, str], AttackResult]
    live: Live
    adaptive: dict[Run, Adaptive]
    hard_negatives: list[HardNegative]
    honest: frozenset[str]


def conclude(measured: Measured, users: Store, *, created: int, seconds: float) -> ReplayReport:
    """Write the evidence and the story into the user's store and return the whole report."""
    with live_store(measured.lab) as store:
        incidents = [i for i in store.incidents.list() if not i.title.startswith("Merged into")]
        actions = [a for run in store.ledger.runs() for a in store.ledger.actions(run.run_id)]
        report = _report(measured, incidents, actions, seconds)
        evidence = [users.evidence.append(each) for each in evidence_of(report, measured.library, created)]
        adopt(store, users, _main(incidents).incident_id, origin=report.run_id)
    return replace(report, evidence=tuple(evidence))


def _report(
    measured: Measured, incidents: Sequence[Incident], actions: Sequence[ActionRecord], seconds: float
) -> ReplayReport:
    lab, baseline = measured.lab, measured.baseline
    events = [e for batch in read_events([lab.workspace / "live.jsonl"], source="gateway") for e in batch]
    incident = _main(incidents)
    blocked = [str(a.params["principal"]) for a in actions if a.action == "block-principal" and a.state in _DONE]
    return ReplayReport(
        case=measured.plan.case,
        seed=lab.seed,
        samples=measured.plan.samples,
        system=f"reference-{lab.spec.target}",
        run_id=lab.workspace.name,
        workspace=lab.workspace,
        correlation=lab.correlation,
        model_accuracy=accuracy(lab.product, lab.splits.honest, lab.splits.attacker),
        threshold=_calibration(baseline).threshold,
        calibrated_on=_calibration(baseline).distinct,
        attacks=tuple(_attack_row(measured, name) for name in ATTACKS),
        controls=tuple(control_row(*run, result) for run, result in measured.controls.items()),
        detections=tuple(_detection(measured, name, events) for name in ATTACKS),
        honest=_honest(measured, events),
        hard_negatives=tuple(measured.hard_negatives),
        chain=tuple(step.technique for step in incident.chain),
        incident_id=adopted_id(incident.incident_id, lab.workspace.name),
        incidents=len(incidents),
        blocked_principals=tuple(dict.fromkeys(blocked)),
        accounts_lost={", ".join(run): each.blocked for run, each in measured.adaptive.items()},
        actions=dict(Counter(action.state.value for action in actions)),
        evidence=(),
        seconds=seconds,
    )


def _main(incidents: Sequence[Incident]) -> Incident:
    """The incident of the attack as the case tells it: the longest chain. Fresh accounts open others of their own."""
    return max(incidents, key=lambda each: (len(each.chain), -each.first_time))


_DONE = {ActionState.done, ActionState.intent}


def _calibration(baseline: Baseline) -> Calibration:
    return next(each for each in baseline.calibrations if each.monitor == "near-duplicate-clusters")


def _attack_row(measured: Measured, name: str) -> AttackRow:
    live = {run[1]: each.result for run, each in measured.live.runs.items() if run[0] == name}
    return attack_row(
        measured.baseline.results[name, "plain"],
        measured.baseline.results[name, "random-control"],
        live=live.get("plain"),
        blocked=live["blocked-account"],
        fresh=live["fresh-accounts"],
        adaptive={run[1]: measured.adaptive[run].result for run in ADAPTIVE if run[0] == name},
    )


def _detection(measured: Measured, name: str, events: Sequence[Event]) -> DetectionRow:
    """When the loop saw this attack: as it ran live, or from fresh accounts where it was not run live."""
    runs = measured.live.runs
    run = runs.get((name, "plain")) or runs[name, "fresh-accounts"]
    mine = _events_of(run, events)
    position = {event.event_id: number for number, event in enumerate(mine, 1)}
    seen = sorted((position[f.alarm_event], f.title) for f in measured.live.findings if f.alarm_event in position)
    alarms = measured.judged.alarms[name]
    flagged = sorted(alarm for alarm in alarms if alarm is not None)
    return DetectionRow(
        procedure=name,
        technique=run.result.technique,
        detectors=tuple(dict.fromkeys(title for _, title in seen)),
        live_alarm=seen[0][0] if seen else None,
        live_enforced=next((n for n, event in enumerate(mine, 1) if event.decision == "deny"), None),
        samples_by_60=wilson(sum(alarm <= 60 for alarm in flagged), len(alarms)),
        median_alarm=flagged[len(flagged) // 2] if flagged else None,
    )


def _events_of(run: LiveRun, events: Sequence[Event]) -> list[Event]:
    return [e for e in events if e.principal in run.accounts and run.start < e.time <= run.end]


def _honest(measured: Measured, events: Sequence[Event]) -> HonestRow:
    """Every finding of every scene with honest clients counts, whichever incident it went to."""
    live, honest = measured.live, measured.honest
    adaptive = measured.adaptive.values()
    findings: list[Finding] = [*measured.judged.findings, *live.findings, *(f for a in adaptive for f in a.findings)]
    first_attack = min(run.start for run in live.runs.values())
    defended = [s for s in live.served if s.time > first_attack] + [s for a in adaptive for s in a.served]
    return HonestRow(
        clients=len(honest),
        events=measured.judged.honest_events
        + sum(e.principal in honest for e in events)
        + sum(len(s.index) for a in adaptive for s in a.served),
        findings=sum(bool(f.principals) and f.principals[0].principal in honest for f in findings),
        named=len({p.principal for f in findings for p in f.principals if p.principal in honest}),
        requests_defended=len(defended),
        refused=sum(s.labels is None for s in defended),
        accuracy_before=measured.baseline.accuracy,
        accuracy_after=live.accuracy,
    )
