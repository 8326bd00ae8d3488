"""The scenes of a replay, each measured: the attack unhindered, each control alone, the loop live, hard negatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from threatmatrix.emulate.confirm import choose_samples
from threatmatrix.emulate.reference.hard_negatives import rescanning_user, static_camera
from threatmatrix.emulate.reference.honest import HonestRequest
from threatmatrix.emulate.target import InProcessTarget
from threatmatrix.knowledge import Library
from threatmatrix.model.detection import Calibration, Finding
from threatmatrix.model.event import Event
from threatmatrix.model.evidence import AttackResult, Rate
from threatmatrix.model.response import PolicyEntry
from threatmatrix.telemetry.reading import read_events
from threatmatrix.workflows.calibrate import calibrate
from threatmatrix.workflows.detect import build_session
from threatmatrix.workflows.live import LiveLoop
from threatmatrix.workflows.replay.lab import START, Lab
from threatmatrix.workflows.replay.plan import BASELINE, CONTROLLED, LIVE, Run
from threatmatrix.workflows.replay.scene import Scene
from threatmatrix.workflows.replay.street import Served

__all__ = [
    "Baseline",
    "Live",
    "LiveRun",
    "choose",
    "judge_baseline",
    "measure_baseline",
    "measure_controls",
    "measure_hard_negatives",
    "run_live",
]

Samples = tuple[np.ndarray, np.ndarray]
Report = Callable[[str], None]


@dataclass(slots=True)
class Baseline:
    """The unhindered attack: results by (procedure, variant), and what the log of it says."""

    samples: Samples
    calibrations: list[Calibration]
    results: dict[tuple[str, str], AttackResult]
    honest_accounts: frozenset[str]
    accuracy: Rate
    events: list[Event] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


Cast = dict[Run, list[str]]

_TESTERS = [f"tester-{number:02d}" for number in range(1, 6)]


def _crew(name: str, count: int) -> list[str]:
    return [f"{name}-{number:02d}" for number in range(1, count + 1)]


def _cast(runs: Sequence[Run], n: int) -> tuple[Cast, Cast]:
    """An attacker's account for each run, and an auditor's for each of its n samples."""
    attackers = {run: [f"mallory-{run[0]}-{run[1]}"] for run in runs}
    return attackers, {run: _crew(f"auditor-{run[0]}-{run[1]}", n) for run in runs}


def _names(*casts: Cast) -> list[str]:
    return [account for cast in casts for crew in cast.values() for account in crew]


def choose(lab: Lab, n: int) -> Samples:
    """The attacker's n images, drawn by the seed, that the product classifies correctly before any attack."""
    part = lab.splits.attacker
    chosen = choose_samples(InProcessTarget(lab.product), part.x, part.y, n, seed=lab.seed)
    return part.x[chosen], part.y[chosen]


def measure_baseline(lab: Lab, library: Library, samples: Samples, report: Report) -> Baseline:
    """Reference traffic, calibration, then every attack and its random control while nobody acts."""
    crews, auditors = _cast(BASELINE, len(samples[1]))
    with Scene(lab, "baseline", [*_names(crews, auditors), "reference"], seed=1) as scene:
        report("calibrating on reference traffic")
        for row in lab.splits.calibration.x:
            scene.street.send("reference", "DigitsApp/2.3 (Android 14)", row[None], scene.now)
        calibrations = calibrate([scene.log], library=library, now=scene.now)
        accuracy = scene.clean_accuracy(["reference"])
        results: dict[tuple[str, str], AttackResult] = {}
        for name, variant in BASELINE:
            report(f"unhindered: {name}, {variant}")
            spent = None if variant == "plain" else [max(1, o.queries) for o in results[name, "plain"].outcomes]
            results[name, variant] = scene.attack(
                library.procedure(name), variant, crews[name, variant], auditors[name, variant], samples, budgets=spent
            )
        honest = frozenset(scene.honest_accounts)
    return Baseline(samples, calibrations, results, honest, accuracy)


def judge_baseline(lab: Lab, library: Library, baseline: Baseline) -> None:
    """Read the log that was really written and judge every event of it, with nobody acting on what is found."""
    session, _ = build_session(library, baseline.calibrations)
    latest: dict[str, Finding] = {}
    for batch in read_events([lab.workspace / "baseline.jsonl"], source="gateway"):
        baseline.events.extend(batch)
        latest.update((finding.finding_id, finding) for finding in session.feed(batch))
    baseline.findings = list(latest.values())


def measure_controls(
    lab: Lab, library: Library, samples: Samples, entries: Mapping[str, PolicyEntry]
) -> dict[tuple[str, str, str], AttackResult]:
    """Each control alone, with nobody detecting: (control, procedure, variant) → result."""
    n = len(samples[1])
    results: dict[tuple[str, str, str], AttackResult] = {}
    for number, (control, entry) in enumerate(entries.items()):
        crews, auditors = _cast(CONTROLLED, n)
        with Scene(lab, f"control-{control}", _names(crews, auditors), seed=10 + number, honest=False) as scene:
            scene.enforce([entry])
            for name, variant in CONTROLLED:
                results[control, name, variant] = scene.attack(
                    library.procedure(name), variant, crews[name, variant], auditors[name, variant], samples
                )
    return results


@dataclass(frozen=True, slots=True)
class LiveRun:
    """One attack during the live scene: its result, who ran it, and when (µs of event time)."""

    procedure: str
    variant: str
    result: AttackResult
    accounts: frozenset[str]
    start: int
    end: int


@dataclass(slots=True)
class Live:
    """The live scene: attacks while detect → respond → enforce runs."""

    runs: list[LiveRun]
    served: list[Served]
    warm_until: int  # before it, no attacker had been there
    accuracy: Rate
    honest_accounts: frozenset[str]


def _live_crew(lab: Lab, run: Run) -> list[str]:
    name, variant = run
    if variant in {"plain", "blocked-account"}:
        return ["mallory"]
    if variant == "fresh-accounts":
        return _crew(f"fresh-{name}", int(lab.number("fresh_accounts")))
    return _crew(f"{variant.removeprefix('adaptive-')}-{name}", int(lab.number("adaptive_accounts")))


def run_live(
    lab: Lab,
    library: Library,
    baseline: Baseline,
    start_loop: Callable[[Scene], LiveLoop],
    report: Report,
) -> Live:
    """The attack from reconnaissance on, with the loop ticking; then again, blocked, fresh and adaptive."""
    n = len(baseline.samples[1])
    crews = {run: _live_crew(lab, run) for run in LIVE}
    auditors = {run: _crew(f"auditor-{run[0]}-{run[1]}", n) for run in LIVE}
    with Scene(lab, "live", [*_names(crews, auditors), *_TESTERS], seed=2) as scene:
        loop = start_loop(scene)
        scene.on_tick = loop.tick
        report("live: honest traffic only")
        scene.pass_time(lab.number("warm_up_seconds"))
        warm = scene.now
        runs = []
        for run in LIVE:
            report(f"live: {run[0]}, {run[1]}")
            start = scene.now
            result = scene.attack(library.procedure(run[0]), run[1], crews[run], auditors[run], baseline.samples)
            runs.append(LiveRun(run[0], run[1], result, frozenset(crews[run]), start, scene.now))
        scene.on_tick = None
        accuracy = scene.clean_accuracy(_TESTERS)
        loop.close()
        return Live(runs, scene.street.served, warm, accuracy, frozenset(scene.honest_accounts))


def measure_hard_negatives(lab: Lab, library: Library, baseline: Baseline) -> list[tuple[str, int, int | None]]:
    """(name, inputs, input at which the monitor alarmed or None) for honest traffic that looks like an attack."""
    x = lab.splits.honest.x
    inputs = int(lab.number("hard_negative_inputs"))
    cases: list[tuple[str, Iterator[HonestRequest]]] = [
        ("static camera, sensor noise σ .02", static_camera(x, 0, frames=inputs, seed=lab.seed)),
        ("rescans with ±1 grey level of jitter", rescanning_user(x, 1, scans=inputs, seed=lab.seed)),
    ]
    found = []
    with Scene(lab, "hard-negatives", ["camera-01", "rescan-01"], seed=3, honest=False) as scene:
        for name, traffic in cases:
            session, _ = build_session(library, baseline.calibrations)
            already = scene.log.stat().st_size if scene.log.exists() else 0
            for request in traffic:
                scene.street.send(request.account, request.user_agent, request.rows, START + request.offset_us)
            events = [e for batch in read_events([scene.log], source="gateway") for e in batch][
                _lines(scene, already) :
            ]
            alarm = first_alarm(events, session.feed(events))
            found.append((name, inputs, alarm))
    return found


def _lines(scene: Scene, size: int) -> int:
    if not size:
        return 0
    with scene.log.open("rb") as file:
        return file.read(size).count(b"\n")


def first_alarm(events: Sequence[Event], findings: Sequence[Finding]) -> int | None:
    """The 1-based position among ``events`` of the earliest alarm, or None."""
    position = {event.event_id: number for number, event in enumerate(events, 1)}
    return min((position[f.alarm_event] for f in findings if f.alarm_event in position), default=None)
