"""The replay of a chain, from an empty workspace to evidence in the user's store."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from threatmatrix.emulate.reference.base import Visit
from threatmatrix.knowledge import Library, load_scope
from threatmatrix.model.detection import Calibration
from threatmatrix.model.errors import UsageError
from threatmatrix.model.evidence import AttackResult
from threatmatrix.model.system import Scope
from threatmatrix.workflows.calibrate import calibrate
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.reference_server import Host
from threatmatrix.workflows.replay.beside import one_thread
from threatmatrix.workflows.replay.chain.lab import START, ChainLab, build_lab
from threatmatrix.workflows.replay.chain.plan import ChainPlan
from threatmatrix.workflows.replay.chain.report import Measured, evidence_of, row_of
from threatmatrix.workflows.replay.chain.response import Defended, defended, live_store
from threatmatrix.workflows.replay.chain.scene import ATTACKER, Scene
from threatmatrix.workflows.replay.chain.sight import REFERENCE, Sight, events_of, judge, look
from threatmatrix.workflows.replay.chain.walk import Walk, random_control, walk
from threatmatrix.workflows.replay.progress import ProgressLike
from threatmatrix.workflows.replay.row import CaseRow
from threatmatrix.workflows.replay.scopes import write_scope
from threatmatrix.workflows.replay.story import adopt, adopted_id

__all__ = ["replay_chain"]


def replay_chain(
    plan: ChainPlan,
    home: Home,
    library: Library,
    scope: Scope | None,
    *,
    seed: int,
    progress: ProgressLike,
    now: int,
) -> CaseRow:
    """Run the plan in a workspace of its own and append its evidence to the user's store.

    ``scope`` None: one for the reference target alone. ``now`` (wall-clock µs) dates the evidence.
    Raises MissingExtraError without ``[emulate]``.
    """
    began = time.monotonic()
    workspace = home.new_workspace(plan.case.slug, seed)
    if scope is None:
        own = write_scope(workspace, plan.models, plan.techniques(library), plan.max_queries, now)
        scope = load_scope(own, now, techniques=library.techniques)
    progress.stage("building the reference target")
    with one_thread(), Host(workspace / "server.txt") as host:
        lab = build_lab(plan.case, workspace, scope, host, seed=seed, samples=plan.samples, small=plan.small)
        measured = _measure(plan, lab, library, progress)
    progress.stage("writing the evidence")
    with home.open_store() as users, live_store(lab, "live") as live:
        incident = measured.live.main
        told = adopted_id(incident.incident_id, workspace.name) if incident else ""
        row = row_of(measured, incident=told, seconds=time.monotonic() - began)
        evidence = tuple(users.evidence.append(each) for each in evidence_of(measured, row, now))
        if incident is not None:
            adopt(live, users, incident.incident_id, origin=workspace.name)
    return replace(row, evidence=evidence)


def _measure(plan: ChainPlan, lab: ChainLab, library: Library, progress: ProgressLike) -> Measured:
    accounts = _attackers(lab, ATTACKER, "attacker_accounts")
    plain, control, calibrations, sight = _unhindered(lab, library, accounts, progress.stage)

    def against(name: str, who: list[str], variant: str, number: int, hindered: Defended | None) -> Defended:
        progress.stage(f"{name}: the chain while detection and response run")
        in_force = hindered.in_force if hindered is not None else ()
        return defended(
            lab, library, calibrations, name, who,
            variant=variant, seed=number, in_force=in_force, report=progress.stage,
        )  # fmt: skip

    live = against("live", accounts, "plain", 2, None)
    adaptive = None
    if any(stage.scene == "adaptive" for stage in plan.stages):
        adaptive = against("adaptive", _attackers(lab, "trudy", "adaptive_accounts"), lab.spec.adaptive, 3, live)
    return Measured(lab=lab, library=library, plain=plain, control=control, sight=sight, live=live, adaptive=adaptive)


def _attackers(lab: ChainLab, name: str, number: str) -> list[str]:
    count = int(lab.number(number))
    return [name] if count == 1 else [f"{name}-{i:02d}" for i in range(1, count + 1)]


def _unhindered(
    lab: ChainLab, library: Library, accounts: list[str], report: Callable[[str], None]
) -> tuple[Walk, AttackResult, list[Calibration], Sight]:
    """Nobody acts: the chain, and the judged attack by chance; on a fresh target where the attack changes it."""
    with Scene(lab, "unhindered", [*accounts, REFERENCE], seed=1) as scene:
        calibrations = _calibrate(lab, library, scene)
        scene.pass_time(lab.number("warm_up_seconds"))
        plain = walk(lab, library, scene, accounts, report=report)
        events = events_of(lab, scene)
        if not lab.learns:
            report("the same by chance")
            control = random_control(lab, library, scene, accounts, plain)
    if lab.learns:
        report("the same by chance, on a fresh target")
        with Scene(lab, "control", accounts, seed=1) as scene:
            scene.pass_time(lab.number("warm_up_seconds"))
            control = random_control(lab, library, scene, accounts, plain)
    report("what the log of the unhindered attack shows")
    return plain, control, calibrations, look(lab, events, judge(library, calibrations, events))


def _calibrate(lab: ChainLab, library: Library, scene: Scene) -> list[Calibration]:
    """The monitors' thresholds, from reference traffic; none where no monitor can compare such inputs."""
    if lab.reference.width is None:
        return []
    for row in lab.reference.calibration:
        visit = Visit(at=0, account=REFERENCE, user_agent="calibration/1", address="192.0.2.9", rows=row[None])
        scene.visit(visit)
    try:
        return calibrate([scene.logs[0][0]], library=library, now=START)
    except UsageError:
        return []  # too few distinct inputs
