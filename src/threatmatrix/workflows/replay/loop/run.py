"""One replay from an empty workspace to evidence in the user's store."""

from __future__ import annotations

import dataclasses
import time
from concurrent.futures import Future, as_completed
from pathlib import Path

from threatmatrix.emulate.reference.honest import honest_clients
from threatmatrix.knowledge import Library, load_scope
from threatmatrix.model.evidence import AttackResult
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.replay.beside import beside, one_thread
from threatmatrix.workflows.replay.loop.baseline import choose, judge_baseline, measure_baseline
from threatmatrix.workflows.replay.loop.conclude import Measured, conclude
from threatmatrix.workflows.replay.loop.controls import measure_control
from threatmatrix.workflows.replay.loop.lab import Lab, build_lab
from threatmatrix.workflows.replay.loop.negatives import measure_hard_negatives
from threatmatrix.workflows.replay.loop.plan import ADAPTIVE, CONTROLLED, ReplayPlan, Run
from threatmatrix.workflows.replay.loop.report import ReplayReport
from threatmatrix.workflows.replay.loop.response import Adaptive, run_adaptive, run_live
from threatmatrix.workflows.replay.progress import ProgressLike
from threatmatrix.workflows.replay.scopes import write_scope

__all__ = ["replay"]

_BESIDE = 2  # further processes; each scene is one conversation of a client and a server and keeps one core busy


def replay(
    plan: ReplayPlan,
    home: Home,
    library: Library,
    *,
    seed: int,
    scope_file: Path | None,
    progress: ProgressLike,
    now: int,
) -> ReplayReport:
    """Run the plan in a workspace of its own and append its evidence to the user's store.

    ``scope_file`` None: a scope for the reference target alone is written into the workspace, and read from there
    like anybody's. ``now`` is wall-clock µs: the scope's expiry is judged by it, and the evidence is dated with it.
    Raises ScopeError or FormatError before anything is sent, MissingExtraError without ``[emulate]``.
    """
    began = time.monotonic()
    if scope_file is not None:
        plan.check(load_scope(scope_file, now, techniques=library.techniques), library, now)
    workspace = home.new_workspace(plan.case.slug, seed)
    techniques = {library.procedure(stage.procedure).technique for stage in plan.stages}
    own = scope_file or write_scope(workspace, [plan.spec.target], techniques, plan.max_queries, now)
    scope = load_scope(own, now, techniques=library.techniques)
    progress.stage("training the public base model and the product")
    # the processes share the rate that the scope allows
    lab = build_lab(plan.spec, workspace, dataclasses.replace(scope, rps=scope.rps / (1 + _BESIDE)), seed=seed)
    with one_thread():
        measured = _measure(plan, lab, library, progress)
    progress.stage("writing the evidence")
    with home.open_store() as users:
        return conclude(measured, users, created=now, seconds=time.monotonic() - began)


def _measure(plan: ReplayPlan, lab: Lab, library: Library, progress: ProgressLike) -> Measured:
    samples = choose(lab, plan.samples)
    honest = frozenset(c.account for c in honest_clients(int(lab.number("honest_clients")), 64, seed=lab.seed))
    with beside(_BESIDE) as others:
        controls: dict[str, Future[dict[Run, AttackResult]]] = {
            control.id: others.submit(
                measure_control, lab.with_share(plan.share(control.id)), library, control, samples
            )
            for control in library.technique("online-evasion").controls
            if control.policy["kind"] in CONTROLLED
        }
        baseline = measure_baseline(lab, library, samples, progress.stage)
        judged = others.submit(judge_baseline, lab, library, baseline, honest)
        live = run_live(lab, library, baseline.calibrations, samples, progress.stage)
        adaptive: dict[Future[Adaptive], Run] = {
            others.submit(
                run_adaptive,
                lab.with_share(plan.share("adaptive", [run])),
                library,
                baseline.calibrations,
                samples,
                run,
                in_force=live.in_force,
            ): run
            for run in ADAPTIVE
        }
        progress.stage("hard negatives")
        hard = measure_hard_negatives(lab, library, baseline.calibrations)
        progress.stage("adaptive attackers, and the controls that are measured alone")
        for done in as_completed(adaptive):
            done.result()
            progress.stage(f"adaptive: {', '.join(adaptive[done])}")
        return Measured(
            lab=lab,
            library=library,
            plan=plan,
            baseline=baseline,
            judged=judged.result(),
            controls={(name, *run): r for name, future in controls.items() for run, r in future.result().items()},
            live=live,
            adaptive={run: future.result() for future, run in adaptive.items()},
            hard_negatives=hard,
            honest=honest,
        )
