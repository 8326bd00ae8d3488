"""Honest traffic that looks like an attack: reported as it comes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from threatmatrix.emulate.reference.hard_negatives import rescanning_user, static_camera
from threatmatrix.emulate.reference.honest import HonestRequest
from threatmatrix.knowledge import Library
from threatmatrix.model.detection import Calibration
from threatmatrix.telemetry.following.file import FileFollower
from threatmatrix.telemetry.following.parsing import EventFollower
from threatmatrix.workflows.detect import build_session
from threatmatrix.workflows.replay.loop.lab import START, Lab
from threatmatrix.workflows.replay.loop.report import HardNegative
from threatmatrix.workflows.replay.loop.scene import Scene

__all__ = ["measure_hard_negatives"]


def measure_hard_negatives(lab: Lab, library: Library, calibrations: Sequence[Calibration]) -> list[HardNegative]:
    """Each with a session of its own, over the events that the gateway really logged."""
    x = lab.splits.honest.x
    inputs = int(lab.number("hard_negative_inputs"))
    cases: list[tuple[str, Iterator[HonestRequest]]] = [
        ("static camera, sensor noise σ .02", static_camera(x, 0, frames=inputs, seed=lab.seed)),
        ("user who rescans, jitter of ±1 grey level", rescanning_user(x, 1, scans=inputs, seed=lab.seed)),
    ]
    found = []
    with Scene(lab, "hard-negatives", ["camera-01", "rescan-01"], seed=3, honest=False) as scene:
        tail = EventFollower(FileFollower(scene.log, "gateway"))
        for name, traffic in cases:
            session, _ = build_session(library, calibrations)
            for request in traffic:
                scene.street.send(request.account, request.user_agent, request.rows, START + request.offset_us)
            events = tail.read_new()
            position = {event.event_id: number for number, event in enumerate(events, 1)}
            alarm = min((position[finding.alarm_event] for finding in session.feed(events)), default=None)
            found.append(HardNegative(name=name, inputs=inputs, alarm_at=alarm))
        tail.close()
    return found
