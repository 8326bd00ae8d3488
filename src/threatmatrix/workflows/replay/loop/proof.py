"""From the report to the evidence: one record for each cell that a procedure of the case replayed."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from threatmatrix import __version__
from threatmatrix.knowledge import Library
from threatmatrix.model.evidence import Evidence
from threatmatrix.model.matrix import CaseStep
from threatmatrix.workflows.replay.loop.report import MIN_SAMPLES, AttackRow, DetectionRow, ReplayReport, remediated

__all__ = ["evidence_of"]


def evidence_of(report: ReplayReport, library: Library, created: int) -> list[Evidence]:
    """The records, in the order of the case's steps. ``created`` is wall-clock µs.

    Emulated: an attack beat its random control (or the reconnaissance was confirmed). Detected: a finding named the
    technique, or an alarm came from an event of its attack. Responded: the playbook of this very technique ran.
    Remediated: :func:`~threatmatrix.workflows.replay.loop.report.remediated`.
    """
    return [_record(report, library, step, created) for step in report.case.steps if step.procedures]


def _record(report: ReplayReport, library: Library, step: CaseStep, created: int) -> Evidence:
    rows = [row for row in report.attacks if row.procedure in step.procedures]
    detections = [row for row in report.detections if row.procedure in step.procedures]
    technique = library.technique(step.technique)
    emulated = any(row.before.n >= MIN_SAMPLES and row.before_vs_control.low > 0 for row in rows)
    in_chain = step.technique in report.chain
    key = json.dumps([report.run_id, step.tactic, step.technique])
    return Evidence(
        evidence_id="ev-" + hashlib.sha256(key.encode()).hexdigest()[:16],
        created=created,
        technique=step.technique,
        tactic=step.tactic,
        system=report.system,
        case=report.case.slug,
        run_id=report.run_id,
        seed=report.seed,
        emulated=emulated or (not rows and in_chain),
        detected=in_chain or any(row.live_alarm is not None for row in detections),
        responded=in_chain and bool(technique.playbook) and report.actions.get("done", 0) > 0,
        remediated=remediated(rows),
        record={
            "technique_name": technique.name,
            "incident": report.incident_id,
            "figures": [_figure(row, detections) for row in rows],
            "attacks": [asdict(row) for row in rows],
            "detections": [asdict(row) for row in detections],
            "controls": [asdict(c) for c in report.controls if c.procedure in step.procedures],
            "honest": asdict(report.honest),
            "hard_negatives": [asdict(case) for case in report.hard_negatives],
            "correlation": report.correlation,
            "versions": {"threatmatrix": __version__, "numpy": np.__version__, "python": platform.python_version()},
        },
    )


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
        "control": "the playbook of online evasion: blocks, query budget, input noise",
    }
