"""The loop's report as one row of the table of all replays."""

from __future__ import annotations

from threatmatrix.model.matrix import CaseStep
from threatmatrix.remediate.compare import wilson
from threatmatrix.workflows.replay.loop.report import AttackRow, DetectionRow, ReplayReport
from threatmatrix.workflows.replay.row import CaseRow, Seen, StepRow

__all__ = ["as_row"]

_JUDGED = "hop-skip-jump"


def as_row(report: ReplayReport) -> CaseRow:
    """HopSkipJump tells the case: the attack by labels on the live product. Samples were right before it."""
    row = next(each for each in report.attacks if each.procedure == _JUDGED)
    seen = next(each for each in report.detections if each.procedure == _JUDGED)
    strongest = max(row.adaptive, key=lambda name: row.adaptive[name].value)
    live = seen.live_alarm or 0
    return CaseRow(
        case=report.case.slug,
        name=report.case.name,
        target=report.system.removeprefix("reference-"),
        seed=report.seed,
        samples=report.samples,
        judged=_JUDGED,
        effect=report.case.replay.effect if report.case.replay else "",
        before=wilson(0, row.before.n),
        control=row.control,
        attacked=row.before,
        attacked_vs_control=row.before_vs_control,
        queries=row.queries,
        detected=tuple(Seen(by, seen.technique, live) for by in seen.detectors) if live else (),
        ambiguous=(),
        honest_findings=report.honest.findings,
        honest_events=report.honest.events,
        responded=report.actions.get("done", 0),
        blocked=report.blocked_principals,
        honest_blocked=(),
        honest_requests=report.honest.requests_defended,
        honest_refused=report.honest.refused,
        after=row.fresh,
        adaptive=row.adaptive[strongest],
        adaptive_variant=strongest,
        steps=tuple(_step(step, report.attacks, report.detections) for step in report.case.steps),
        mirror=report.case.replay.mirror if report.case.replay else "",
        incident=report.incident_id,
        workspace=str(report.workspace),
        seconds=report.seconds,
        evidence=report.evidence,
    )


def _step(step: CaseStep, attacks: tuple[AttackRow, ...], detections: tuple[DetectionRow, ...]) -> StepRow:
    rows = [row for row in attacks if row.procedure in step.procedures]
    seen = [by for row in detections if row.procedure in step.procedures for by in row.detectors]
    return StepRow(
        technique=step.technique,
        tactic=step.tactic,
        visible=step.visible,
        procedures=step.procedures,
        queries=sum(row.queries for row in rows),
        successes=sum(row.before.successes for row in rows),
        units=sum(row.before.n for row in rows),
        seen_by=tuple(dict.fromkeys(seen)),
    )
