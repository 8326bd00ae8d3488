"""The attack unhindered: calibration, every attack beside its random control; then, what its log shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from threatmatrix.detect.monitors import build_monitor
from threatmatrix.emulate.confirm import choose_samples
from threatmatrix.emulate.target import FloatArray, IntArray
from threatmatrix.emulate.targets import InProcessTarget
from threatmatrix.knowledge import Library
from threatmatrix.model.detection import Calibration, Finding
from threatmatrix.model.event import Event
from threatmatrix.model.evidence import AttackResult, Rate
from threatmatrix.telemetry.reading import read_events
from threatmatrix.workflows.calibrate import calibrate
from threatmatrix.workflows.detect import build_session
from threatmatrix.workflows.replay.loop.cast import auditors
from threatmatrix.workflows.replay.loop.lab import Lab
from threatmatrix.workflows.replay.loop.plan import ATTACKS, BASELINE, Run
from threatmatrix.workflows.replay.loop.scene import Scene

__all__ = ["Baseline", "Judged", "Samples", "choose", "judge_baseline", "measure_baseline"]

Samples = tuple[FloatArray, IntArray]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the attacks reached while nobody acted, and what was learnt from the reference traffic."""

    calibrations: list[Calibration]
    results: dict[Run, AttackResult]
    accuracy: Rate


@dataclass(frozen=True, slots=True)
class Judged:
    """What the log of the unhindered attack says. ``alarms``: for each sample's run alone, the query of its alarm."""

    honest_events: int
    findings: list[Finding]
    alarms: dict[str, list[int | None]]


def choose(lab: Lab, n: int) -> Samples:
    """The attacker's n images, drawn by the seed, that the product classifies correctly before any attack."""
    part = lab.splits.attacker
    chosen = choose_samples(InProcessTarget(lab.product), part.x, part.y, n, seed=lab.seed)
    return part.x[chosen], part.y[chosen]


def _attacker(run: Run) -> str:
    return f"mallory-{run[0]}-{run[1]}"


def measure_baseline(lab: Lab, library: Library, samples: Samples, report: Callable[[str], None]) -> Baseline:
    """Reference traffic, calibration, then every attack and its random control while nobody acts."""
    checkers = auditors(BASELINE, len(samples[1]))
    everyone = [*(_attacker(run) for run in BASELINE), *(a for crew in checkers.values() for a in crew), "reference"]
    with Scene(lab, "baseline", everyone, seed=1) as scene:
        report("calibrating on reference traffic")
        for row in lab.splits.calibration.x:
            scene.street.send("reference", "DigitsApp/2.3 (Android 14)", row[None], scene.now)
        calibrations = calibrate([scene.log], library=library, now=scene.now)
        accuracy = scene.clean_accuracy(["reference"])
        results: dict[Run, AttackResult] = {}
        for run in BASELINE:
            name, variant = run
            report(f"unhindered: {name}, {variant}")
            spent = None if variant == "plain" else [max(1, o.queries) for o in results[name, "plain"].outcomes]
            pool = lab.accounts.pool([_attacker(run)])
            results[run] = scene.attack(library.procedure(name), variant, pool, checkers[run], samples, budgets=spent)
    return Baseline(calibrations, results, accuracy)


def judge_baseline(lab: Lab, library: Library, baseline: Baseline, honest: frozenset[str]) -> Judged:
    """Read the log that was really written and judge every event of it, with nobody acting on what is found."""
    session, _ = build_session(library, baseline.calibrations)
    latest: dict[str, Finding] = {}
    attackers = {_attacker((name, "plain")): name for name in ATTACKS}
    by_attack: dict[str, list[Event]] = {name: [] for name in ATTACKS}
    honest_events = 0
    for batch in read_events([lab.workspace / "baseline.jsonl"], source="gateway"):
        latest.update((finding.finding_id, finding) for finding in session.feed(batch))
        for event in batch:
            honest_events += event.principal in honest
            if event.principal in attackers:
                by_attack[attackers[event.principal]].append(event)
    alarms = {
        name: _alarms_in_isolation(library, baseline, by_attack[name], baseline.results[name, "plain"])
        for name in ATTACKS
    }
    return Judged(honest_events, list(latest.values()), alarms)


def _alarms_in_isolation(
    library: Library, baseline: Baseline, mine: list[Event], result: AttackResult
) -> list[int | None]:
    """For each sample's run alone, the query at which a fresh monitor alarms: no run is helped by another."""
    spec = next(s for s in library.technique("online-evasion").monitors if s.use == "near-duplicate-clusters")
    alarms: list[int | None] = []
    ends = np.cumsum([outcome.queries for outcome in result.outcomes]).tolist()
    assert ends[-1] == len(mine), f"the log has {len(mine)} rows of {result.procedure}, the attack counted {ends[-1]}"
    for start, end in zip([0, *ends], ends, strict=False):
        part = mine[start:end]
        found = build_monitor(spec, "online-evasion", baseline.calibrations).feed(part)
        position = {event.event_id: number for number, event in enumerate(part, 1)}
        alarms.append(min((position[f.alarm_event] for f in found), default=None))
    return alarms
