"""One replay from an empty workspace to evidence in the user's store."""

from __future__ import annotations

import dataclasses
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from threatmatrix.emulate.ledger import QueryLedger
from threatmatrix.knowledge import Library, load_scope
from threatmatrix.model.response import PolicyEntry
from threatmatrix.model.system import Scope
from threatmatrix.store import Store, open_store
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.lake import Lake
from threatmatrix.workflows.detect import build_session
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.live import LiveLoop
from threatmatrix.workflows.replay.beside import beside
from threatmatrix.workflows.replay.conclude import Measured, conclude
from threatmatrix.workflows.replay.lab import START, Lab, build_lab
from threatmatrix.workflows.replay.measure import (
    Baseline,
    Live,
    choose,
    judge_baseline,
    measure_baseline,
    measure_controls,
    measure_hard_negatives,
    run_live,
)
from threatmatrix.workflows.replay.plan import ALONE, CONTROLS, ReplayPlan
from threatmatrix.workflows.replay.report import ReplayReport
from threatmatrix.workflows.replay.scene import Scene
from threatmatrix.workflows.respond import Responder

__all__ = ["ProgressLike", "replay"]

_DAY = 86_400_000_000


class ProgressLike(Protocol):
    """What a replay reports to."""

    def stage(self, text: str) -> None: ...


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
    workspace = home.new_workspace(plan.case.slug, seed)
    scope = _scope(plan, library, workspace, scope_file, now)
    progress.stage("training the public base model and the product")
    lab = build_lab(plan.spec, workspace, scope, seed=seed)
    samples = choose(lab, plan.samples)
    # Two scenes at a time: each is one conversation of a client and a server, and keeps one core busy.
    with beside() as other:
        controlled = other.submit(measure_controls, _with_share(lab, plan), library, samples, _controls(library))
        baseline = measure_baseline(lab, library, samples, progress.stage)
        progress.stage("judging the log of the unhindered attack")
        judge_baseline(lab, library, baseline)
        with open_store(workspace / "store.db") as store:
            live = _live(lab, library, baseline, store, progress)
            progress.stage("hard negatives")
            hard = measure_hard_negatives(lab, library, baseline)
            progress.stage("waiting for the controls that are measured alone")
            measured = Measured(lab, library, plan, baseline, controlled.result(), live, hard, store)
            progress.stage("writing the evidence")
            with home.open_store() as users:
                return conclude(measured, users, created=now, seconds=time.monotonic() - began)


def _with_share(lab: Lab, plan: ReplayPlan) -> Lab:
    """The same lab for another process, with the part of the scope's limit that its stages need at most."""
    share = sum(stage.max_queries for stage in plan.stages if stage.scene.endswith(ALONE))
    lab.ledger.take(share)
    return dataclasses.replace(lab, ledger=QueryLedger(share))


def _scope(plan: ReplayPlan, library: Library, workspace: Path, scope_file: Path | None, now: int) -> Scope:
    if scope_file is None:
        scope_file = workspace / "scope.yaml"
        techniques = sorted({library.procedure(stage.procedure).technique for stage in plan.stages})
        expires = datetime.fromtimestamp((now + _DAY) / 1e6, UTC).isoformat(timespec="seconds")
        scope_file.write_text(
            "# The reference target of this replay, and nothing else.\n"
            "owner: threatmatrix replay\n"
            f'expires: "{expires}"\n'
            "hosts: [127.0.0.1]\n"
            f"models: [{plan.spec.target}]\n"
            f"techniques: [{', '.join(techniques)}]\n"
            f"max_queries: {plan.max_queries}\n"
            "rps: 100000\n"
        )
    return load_scope(scope_file, now, techniques=library.techniques)


def _controls(library: Library) -> dict[str, PolicyEntry]:
    """The library's gateway controls of online evasion, each as an entry for everybody."""
    return {
        control.id: PolicyEntry(
            entry_id=f"control-{control.id}",
            kind=control.policy["kind"],
            owner="replay",
            reason="measured alone",
            created_at=START,
            expires_at=START + 30 * _DAY,
            params={key: value for key, value in control.policy.items() if key not in {"kind", "ttl_seconds"}},
        )
        for control in library.technique("online-evasion").controls
        if control.policy["kind"] in CONTROLS
    }


def _live(lab: Lab, library: Library, baseline: Baseline, store: Store, progress: ProgressLike) -> Live:
    """The live scene with the loop on its log; the lake and the dead letters stay in the workspace."""
    with ExitStack() as stack:
        letters = stack.enter_context(DeadLetterFile(lab.workspace / "dead-letters.jsonl"))

        def start_loop(scene: Scene) -> LiveLoop:
            session, _ = build_session(library, baseline.calibrations)
            responder = Responder(store, library, scene.policy, clock=lambda: scene.now)
            lake = Lake(lab.workspace / "lake")
            return LiveLoop(scene.log, "gateway", session=session, lake=lake, letters=letters, responder=responder)

        return run_live(lab, library, baseline, start_loop, progress.stage)
