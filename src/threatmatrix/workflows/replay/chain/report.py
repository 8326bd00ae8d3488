"""From the walks of a replay to one row of the table, and to the evidence of each step's cell."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass

import numpy as np

from threatmatrix import __version__
from threatmatrix.knowledge import Library
from threatmatrix.model.evidence import AttackResult, Evidence, Rate
from threatmatrix.remediate.compare import compare, rate, wilson
from threatmatrix.workflows.replay.chain.lab import ChainLab
from threatmatrix.workflows.replay.chain.response import Defended
from threatmatrix.workflows.replay.chain.sight import Detected, Sight
from threatmatrix.workflows.replay.chain.walk import StepRun, Walk
from threatmatrix.workflows.replay.row import CaseRow, Compared, Seen, StepRow

__all__ = ["MIN_SAMPLES", "Measured", "evidence_of", "row_of"]

MIN_SAMPLES = 20
"""Fewer units prove nothing: no mark is given for success or its fall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything that the scenes of a replay brought back."""

    lab: ChainLab
    library: Library
    plain: Walk
    control: AttackResult
    sight: Sight
    live: Defended
    adaptive: Defended | None


def row_of(measured: Measured, *, incident: str, seconds: float) -> CaseRow:
    """The case in one row."""
    lab, plain = measured.lab, measured.plain
    judged = _judged(plain)
    attacked, control = rate(judged.outcomes), rate(measured.control.outcomes)
    adaptive = measured.adaptive
    rates = {"attacked": attacked, "control": control, "before": _before(judged)}
    return CaseRow(
        case=lab.case.slug,
        name=lab.case.name,
        target=lab.reference.name,
        seed=lab.seed,
        samples=attacked.n,
        judged=judged.procedure,
        effect=lab.spec.effect,
        before=rates["before"],
        control=control,
        attacked=attacked,
        attacked_vs_control=compare("attacked − random control", attacked, control),
        queries=plain.queries,
        detected=tuple(Seen(each.title, each.technique, each.after) for each in measured.sight.detected),
        ambiguous=tuple(Seen(each.title, each.technique, each.after) for each in measured.sight.ambiguous),
        honest_findings=measured.sight.honest,
        honest_events=measured.sight.honest_events,
        responded=measured.live.done,
        blocked=measured.live.blocked,
        honest_blocked=measured.live.honest_blocked,
        honest_requests=measured.live.honest_requests,
        honest_refused=measured.live.honest_refused,
        after=rate(_judged(measured.live.walk).outcomes),
        adaptive=None if adaptive is None else rate(_judged(adaptive.walk).outcomes),
        adaptive_variant="" if adaptive is None else lab.spec.adaptive,
        steps=tuple(_step(measured, position) for position in range(len(lab.case.steps))),
        figures=dict(plain.figures),
        published=tuple(
            Compared(
                each.figure,
                rates[each.figure].value if each.figure in rates else plain.figures.get(each.figure),
                each.value,
                each.reach,
                each.unit,
                each.source,
            )
            for each in lab.spec.published
        ),
        mirror=lab.spec.mirror,
        incident=incident,
        workspace=str(lab.workspace),
        seconds=seconds,
    )


def _judged(found: Walk) -> AttackResult:
    assert found.judged is not None, "knowledge checks that a step runs the judged procedure"
    return found.judged


def _before(result: AttackResult) -> Rate:
    return wilson(sum(outcome.before for outcome in result.outcomes), len(result.outcomes))


def _runs(measured: Measured, position: int) -> list[StepRun]:
    step = measured.lab.case.steps[position]
    return [run for run in measured.plain.steps if run.step is step]


def _seen(measured: Measured, runs: list[StepRun]) -> list[Detected]:
    return [each for each in measured.sight.detected if any(run.start <= each.at <= run.end for run in runs)]


def _step(measured: Measured, position: int) -> StepRow:
    step, runs = measured.lab.case.steps[position], _runs(measured, position)
    results = [run.result for run in runs if run.result is not None]
    return StepRow(
        technique=step.technique,
        tactic=step.tactic,
        visible=step.visible,
        procedures=step.procedures,
        queries=sum(result.queries for result in results),
        successes=sum(outcome.confirmed for result in results for outcome in result.outcomes),
        units=sum(len(result.outcomes) for result in results),
        seen_by=tuple(each.title for each in _seen(measured, runs)),
    )


def evidence_of(measured: Measured, row: CaseRow, created: int) -> list[Evidence]:
    """One record for each step that a procedure carried out, in order. ``created`` is wall-clock µs.

    Emulated: the judged attack beat its random control; another step did what it says (an outcome was confirmed, or it
    only prepares). Detected: an alarm came from an event of the step. Responded: the playbook of this very technique
    ran. Remediated: the judged attack fell beyond chance, against the plain and the adaptive attacker.
    """
    positions = [i for i, step in enumerate(measured.lab.case.steps) if step.procedures]
    return [_record(measured, row, position, created) for position in positions]


def _record(measured: Measured, row: CaseRow, position: int, created: int) -> Evidence:
    lab, library = measured.lab, measured.library
    step, runs = lab.case.steps[position], _runs(measured, position)
    technique = library.technique(step.technique)
    tells = row.judged in step.procedures
    enough = row.samples >= MIN_SAMPLES
    chain = measured.live.main
    in_chain = chain is not None and step.technique in {each.technique for each in chain.chain}
    key = json.dumps([lab.workspace.name, position, step.tactic, step.technique])
    return Evidence(
        evidence_id="ev-" + hashlib.sha256(key.encode()).hexdigest()[:16],
        created=created,
        technique=step.technique,
        tactic=step.tactic,
        system=f"reference-{lab.reference.name}",
        case=lab.case.slug,
        run_id=lab.workspace.name,
        seed=lab.seed,
        emulated=(row.passed and enough) if tells else _worked(runs),
        detected=bool(_seen(measured, runs)),
        responded=in_chain and bool(technique.playbook) and measured.live.done > 0,
        remediated=tells and enough and row.adaptive is not None and row.mitigated,
        record={
            "technique_name": technique.name,
            "incident": row.incident,
            "figures": [_figure(measured, row, position)] if tells else [],
            "results": [_plain(run.result) for run in runs if run.result is not None],
            "detections": [asdict(each) for each in _seen(measured, runs)],
            "measures": dict(row.figures) if tells else {},
            "published": [asdict(each) | {"reached": each.reached} for each in row.published] if tells else [],
            "honest": {"findings": row.honest_findings, "events": row.honest_events},
            "correlation": lab.accounts.correlation(),
            "versions": {"threatmatrix": __version__, "numpy": np.__version__, "python": platform.python_version()},
        },
    )


def _worked(runs: list[StepRun]) -> bool:
    results = [run.result for run in runs]
    return bool(results) and all(
        result is not None and (not result.outcomes or any(outcome.confirmed for outcome in result.outcomes))
        for result in results
    )


def _plain(result: AttackResult) -> dict[str, object]:
    """A result as the evidence keeps it: rates and measures, not each outcome."""
    return {
        "procedure": result.procedure,
        "variant": result.variant,
        "norm": result.norm,
        "threshold": result.threshold,
        "confirmed": asdict(rate(result.outcomes)),
        "claimed": asdict(rate(result.outcomes, claimed=True)),
        "queries": result.queries,
        "confirm_queries": result.confirm_queries,
        "seconds": round(result.seconds, 3),
        "figures": dict(result.figures),
    }


def _figure(measured: Measured, row: CaseRow, position: int) -> dict[str, object]:
    """The judged attack as a cell of the matrix shows it."""
    seen = _seen(measured, _runs(measured, position))
    return {
        "label": f"{row.judged} ({row.effect})" if row.effect else row.judged,
        "before": asdict(row.attacked),
        "after": asdict(row.after),
        "adaptive": None if row.adaptive is None else asdict(row.adaptive),
        "random": asdict(row.control),
        "detected_after": min((each.after for each in seen), default=None),
        "control": "the playbooks that ran" if row.responded else "none: nothing was found, or no playbook answers it",
    }
