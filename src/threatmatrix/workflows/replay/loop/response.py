"""The attack while detect → respond → enforce runs: as the case tells it, and by attackers who know of the response."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from threatmatrix.knowledge import Library
from threatmatrix.model.detection import Calibration, Finding
from threatmatrix.model.evidence import AttackResult, Rate
from threatmatrix.model.response import PolicyEntry
from threatmatrix.store import Store, open_store
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.lake import Lake
from threatmatrix.workflows.detect import build_session
from threatmatrix.workflows.live import LiveLoop
from threatmatrix.workflows.replay.loop.baseline import Samples
from threatmatrix.workflows.replay.loop.cast import auditors, crew, per_sample
from threatmatrix.workflows.replay.loop.lab import START, Lab
from threatmatrix.workflows.replay.loop.plan import LIVE, Run
from threatmatrix.workflows.replay.loop.scene import Scene
from threatmatrix.workflows.replay.loop.street import Served
from threatmatrix.workflows.respond import Responder

__all__ = ["Adaptive", "Live", "LiveRun", "run_adaptive", "run_live"]

_TESTERS = [f"tester-{number:02d}" for number in range(1, 6)]


@dataclass(frozen=True, slots=True)
class LiveRun:
    """One attack during the live scene: its result, who ran it, and when (µs of event time)."""

    result: AttackResult
    accounts: frozenset[str]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Live:
    """The live scene. ``in_force``: the measures for everybody at its end, with which the adaptive scenes begin."""

    runs: dict[Run, LiveRun]
    served: list[Served]
    findings: list[Finding]
    accuracy: Rate
    in_force: list[PolicyEntry]


@dataclass(frozen=True, slots=True)
class Adaptive:
    """One adaptive attacker in a scene of its own. ``blocked``: accounts that it lost."""

    result: AttackResult
    blocked: int
    findings: list[Finding]
    served: list[Served]


@contextmanager
def _loop(lab: Lab, library: Library, calibrations: Sequence[Calibration], scene: Scene) -> Iterator[LiveLoop]:
    """The loop on a scene's log, with a store, a lake and dead letters beside it."""
    folder = lab.workspace / f"{scene.name}"
    folder.mkdir()

    def clock() -> int:
        return scene.now

    with (
        open_store(folder / "store.db", clock=clock) as store,
        DeadLetterFile(folder / "dead-letters.jsonl") as letters,
    ):
        session, _ = build_session(library, calibrations)
        loop = LiveLoop(
            [(scene.log, "gateway")],
            session=session,
            lake=Lake(folder / "lake"),
            letters=letters,
            responder=Responder(store, library, scene.policy, clock=clock),
        )
        scene.on_tick = loop.tick
        yield loop
        scene.on_tick = None
        loop.close()


def live_store(lab: Lab) -> Store:
    """The live scene's own store: incidents, ledger and policy, apart from the user's."""
    return open_store(lab.workspace / "live" / "store.db")


def run_live(
    lab: Lab,
    library: Library,
    calibrations: Sequence[Calibration],
    samples: Samples,
    report: Callable[[str], None],
) -> Live:
    """Honest traffic, then the attack from reconnaissance on, then again as the blocked account and from fresh ones."""
    n = len(samples[1])
    crews, checkers = {run: crew(lab, run, n) for run in LIVE}, auditors(LIVE, n)
    everyone = [a for cast in (crews, checkers) for members in cast.values() for a in members]
    with Scene(lab, "live", [*everyone, *_TESTERS], seed=2) as scene:
        with _loop(lab, library, calibrations, scene) as loop:
            report("live: honest traffic only")
            scene.pass_time(lab.number("warm_up_seconds"))
            runs: dict[Run, LiveRun] = {}
            for run in LIVE:
                report(f"live: {run[0]}, {run[1]}")
                start = scene.now
                pool = lab.accounts.pool(crews[run], per_sample=per_sample(lab, run[1]))
                result = scene.attack(library.procedure(run[0]), run[1], pool, checkers[run], samples)
                runs[run] = LiveRun(result, frozenset(crews[run]), start, scene.now)
            accuracy = scene.clean_accuracy(_TESTERS)
        with live_store(lab) as store:
            in_force = [entry for entry in store.policy.active(scene.now) if entry.kind != "block"]
    return Live(runs, scene.street.served, list(loop.findings.values()), accuracy, in_force)


def run_adaptive(
    lab: Lab,
    library: Library,
    calibrations: Sequence[Calibration],
    samples: Samples,
    run: Run,
    *,
    in_force: Sequence[PolicyEntry],
) -> Adaptive:
    """One adaptive attacker; each sample has so many accounts of its own, and the loop blocks them as it finds them."""
    n = len(samples[1])
    attackers, checkers = crew(lab, run, n), auditors([run], n)[run]
    with Scene(lab, f"{run[1]}-{run[0]}", [*attackers, *checkers], seed=100) as scene:
        with _loop(lab, library, calibrations, scene) as loop:
            with open_store(lab.workspace / scene.name / "store.db", clock=lambda: START) as store:
                for entry in in_force:
                    store.policy.add(entry)
                store.policy.publish(scene.policy, START)
            pool = lab.accounts.pool(attackers, per_sample=per_sample(lab, run[1]))
            result = scene.attack(library.procedure(run[0]), run[1], pool, checkers, samples)
        blocked = set(scene.blocked()) & set(attackers)
    return Adaptive(result, len(blocked), list(loop.findings.values()), scene.street.served)
