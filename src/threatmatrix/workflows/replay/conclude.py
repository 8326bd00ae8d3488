"""From measurements to the report, the evidence, and the story in the user's store."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from threatmatrix.detect.monitors import build_monitor
from threatmatrix.emulate.reference.digits import accuracy
from threatmatrix.knowledge import Library
from threatmatrix.model.detection import Calibration, Finding
from threatmatrix.model.event import Event
from threatmatrix.model.evidence import AttackResult, Evidence
from threatmatrix.model.response import ActionState, Incident
from threatmatrix.remediate.compare import wilson
from threatmatrix.store import Store
from threatmatrix.telemetry.reading import read_events
from threatmatrix.workflows.replay.lab import Lab
from threatmatrix.workflows.replay.measure import Baseline, Live, LiveRun
from threatmatrix.workflows.replay.plan import ADAPTIVE, ATTACKS, ReplayPlan
from threatmatrix.workflows.replay.report import (
    AttackRow,
    ControlRow,
    DetectionRow,
    HardNegative,
    HonestRow,
    ReplayReport,
    attack_row,
    evidence_of,
    rates_of,
)

__all__ = ["Measured", "conclude"]


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that the scenes of a replay brought back."""

    lab: Lab
    library: Library
    plan: ReplayPlan
    baseline: Baseline
    controls: dict[tuple[str, str, str], AttackResult]
    live: Live
    hard_negatives: list[tuple[str, int, int | None]]
    store: Store


def conclude(measured: Measured, users: Store, *, created: int, seconds: float) -> ReplayReport:
    """Write the evidence and the story into the user's store and return the whole report."""
    lab, baseline = measured.lab, measured.baseline
    events = [e for batch in read_events([lab.workspace / "live.jsonl"], source="gateway") for e in batch]
    incident = _incident(measured.store)
    findings = measured.store.findings.many(list(incident.finding_ids))
    rows = tuple(_attack_row(measured, name) for name in ATTACKS)
    detections = tuple(_detection(measured, name, events, findings) for name in ATTACKS)
    run_id = lab.workspace.name
    actions = [a for run in measured.store.ledger.runs() for a in measured.store.ledger.actions(run.run_id)]
    blocked = [str(a.params["principal"]) for a in actions if a.action == "block-principal" and _in_force(a.state)]
    report = ReplayReport(
        case=measured.plan.case,
        seed=lab.seed,
        samples=measured.plan.samples,
        system=f"reference-{lab.spec.target}",
        run_id=run_id,
        workspace=lab.workspace,
        correlation=lab.correlation,
        model_accuracy=accuracy(lab.product, lab.splits.honest, lab.splits.attacker),
        threshold=_calibration(baseline).threshold,
        calibrated_on=_calibration(baseline).distinct,
        attacks=rows,
        controls=tuple(
            ControlRow(control=c, procedure=p, variant=v, success=rates_of(result))
            for (c, p, v), result in measured.controls.items()
        ),
        detections=detections,
        honest=_honest(measured, findings),
        hard_negatives=tuple(HardNegative(name=n, inputs=i, alarm_at=a) for n, i, a in measured.hard_negatives),
        chain=tuple(step.technique for step in incident.chain),
        incident_id=adopted_id(incident.incident_id, run_id),
        blocked_principals=tuple(dict.fromkeys(blocked)),
        actions=dict(Counter(action.state.value for action in actions)),
        evidence=(),
        seconds=seconds,
    )
    evidence = [users.evidence.append(each) for each in _evidence(measured, report, created)]
    adopt(measured.store, users, incident.incident_id, origin=run_id)
    return replace(report, evidence=tuple(evidence))


def adopted_id(incident_id: str, origin: str) -> str:
    """The id of a replay's incident in the user's store: the same seed run twice tells two stories."""
    return "inc-" + hashlib.sha256(f"{origin}:{incident_id}".encode()).hexdigest()[:12]


def adopt(workspace: Store, users: Store, incident_id: str, *, origin: str) -> None:
    """Copy an incident with its findings, runs and actions into the user's store, so that the story can be read there.

    No policy is copied: what was enforced in a replay is nothing to the user's gateways.
    """
    incident, new_id = workspace.incidents.get(incident_id), adopted_id(incident_id, origin)

    def renamed(key: str) -> str:
        return key.replace(incident_id, new_id)  # run ids and idempotency keys begin with the incident's id

    names = {finding_id: f"{new_id}:{finding_id}" for finding_id in incident.finding_ids}
    users.findings.save(
        replace(finding, finding_id=names[finding.finding_id])
        for finding in workspace.findings.many(list(incident.finding_ids))
    )
    chain = tuple(replace(step, finding_ids=tuple(names[each] for each in step.finding_ids)) for step in incident.chain)
    finding_ids = tuple(names.values())
    users.incidents.save([replace(incident, incident_id=new_id, finding_ids=finding_ids, chain=chain, origin=origin)])
    for run in workspace.ledger.runs(incident_id):
        users.ledger.adopt(
            replace(run, run_id=renamed(run.run_id), incident_id=new_id),
            workspace.ledger.plan(run.run_id),
            [
                replace(action, run_id=renamed(run.run_id), idempotency_key=renamed(action.idempotency_key))
                for action in workspace.ledger.actions(run.run_id)
            ],
        )


def _in_force(state: ActionState) -> bool:
    return state in {ActionState.done, ActionState.intent}


def _calibration(baseline: Baseline) -> Calibration:
    return next(each for each in baseline.calibrations if each.monitor == "near-duplicate-clusters")


def _incident(store: Store) -> Incident:
    """The incident with the longest chain: the attack's own."""
    return max(store.incidents.list(), key=lambda each: (len(each.chain), len(each.finding_ids)))


def _attack_row(measured: Measured, name: str) -> AttackRow:
    live = {run.variant: run.result for run in measured.live.runs if run.procedure == name}
    return attack_row(
        measured.baseline.results[name, "plain"],
        measured.baseline.results[name, "random-control"],
        live=live.get("plain"),
        blocked=live.get("blocked-account"),
        fresh=live["fresh-accounts"],
        adaptive={variant: live[variant] for variant in ADAPTIVE if variant in live},
    )


def _detection(measured: Measured, name: str, events: Sequence[Event], findings: Sequence[Finding]) -> DetectionRow:
    """When the loop saw this attack: as it ran live, or from fresh accounts where it was not run live."""
    runs = {run.variant: run for run in measured.live.runs if run.procedure == name}
    run = runs.get("plain") or runs["fresh-accounts"]
    mine = _events_of(run, events)
    position = {event.event_id: number for number, event in enumerate(mine, 1)}
    seen = sorted((position[f.alarm_event], f.title) for f in findings if f.alarm_event in position)
    alarms = _alarms_in_isolation(measured, name)
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


def _alarms_in_isolation(measured: Measured, name: str) -> list[int | None]:
    """For each sample's run alone, the query at which a fresh monitor alarms: no run is helped by another."""
    lab, baseline, library = measured.lab, measured.baseline, measured.library
    account = f"mallory-{name}-plain"
    mine = [e for e in baseline.events if e.principal == account]
    spec = next(s for s in library.technique("online-evasion").monitors if s.use == "near-duplicate-clusters")
    alarms: list[int | None] = []
    at = 0
    for outcome in baseline.results[name, "plain"].outcomes:
        part = mine[at : at + outcome.queries]
        at += outcome.queries
        found = build_monitor(spec, "online-evasion", baseline.calibrations).feed(part)
        position = {event.event_id: number for number, event in enumerate(part, 1)}
        alarms.append(min((position[f.alarm_event] for f in found), default=None))
    assert at == len(mine), f"{lab.workspace}: the log has {len(mine)} rows of {account}, the attack counted {at}"
    return alarms


def _honest(measured: Measured, live_findings: Sequence[Finding]) -> HonestRow:
    baseline, live = measured.baseline, measured.live
    honest = baseline.honest_accounts | live.honest_accounts
    findings = [*baseline.findings, *live_findings]
    served = [s for s in live.served if s.time > live.warm_until]
    named = {p.principal for f in findings for p in f.principals if p.principal in honest}
    return HonestRow(
        clients=len(live.honest_accounts),
        events=sum(e.principal in baseline.honest_accounts for e in baseline.events)
        + sum(len(s.index) for s in live.served),
        findings=sum(bool(f.principals) and f.principals[0].principal in honest for f in findings),
        named=len(named),
        requests_defended=len(served),
        refused=sum(s.labels is None for s in served),
        accuracy_before=baseline.accuracy,
        accuracy_after=live.accuracy,
    )


def _evidence(measured: Measured, report: ReplayReport, created: int) -> list[Evidence]:
    """One record for each cell that the case's visible steps name and a procedure replayed."""
    library, made = measured.library, []
    responded = report.actions.get("done", 0) > 0
    for step in measured.plan.case.steps:
        if not step.procedures:
            continue
        rows = [row for row in report.attacks if row.technique == step.technique]
        detections = [row for row in report.detections if row.technique == step.technique]
        recon = [
            r.result for r in measured.live.runs if r.procedure == "read-metadata" and r.procedure in step.procedures
        ]
        in_chain = step.technique in report.chain
        made.append(
            evidence_of(
                rows,
                technique=step.technique,
                tactic=step.tactic,
                case=measured.plan.case.slug,
                system=report.system,
                run_id=report.run_id,
                seed=report.seed,
                created=created,
                emulated=any(r.before_vs_control.low > 0 for r in rows)
                or any(result.outcomes[0].confirmed for result in recon),
                detected=in_chain or any(row.live_alarm is not None for row in detections),
                responded=in_chain and responded,
                record={
                    "technique_name": library.technique(step.technique).name,
                    "incident": report.incident_id,
                    "figures": [_figure(row, detections) for row in rows],
                    "detections": [asdict(row) for row in detections],
                    "controls": [asdict(c) for c in report.controls if c.procedure in {r.procedure for r in rows}],
                    "honest": asdict(report.honest),
                    "correlation": report.correlation,
                    "versions": {"numpy": np.__version__},
                },
            )
        )
    return made


def _figure(row: AttackRow, detections: Sequence[DetectionRow]) -> dict[str, Any]:
    """One attack as a cell of the matrix shows it."""
    strongest = max(row.adaptive.values(), key=lambda each: each.value, default=None)
    alarm = next((d.live_alarm for d in detections if d.procedure == row.procedure), None)
    return {
        "label": f"{row.procedure} ({row.norm} ≤ {row.threshold:g})",
        "before": asdict(row.before),
        "after": asdict(row.fresh),
        "adaptive": None if strongest is None else asdict(strongest),
        "random": asdict(row.control),
        "detected_after": alarm,
        "control": "block by cluster, query budget, input noise",
    }
