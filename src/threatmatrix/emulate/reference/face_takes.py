"""What cameras deliver: photographs of people, and short live takes in which they blink and move a little."""

from __future__ import annotations

import numpy as np

from threatmatrix.emulate.reference.face_drawing import condition, draw, moments, with_condition
from threatmatrix.emulate.target import FloatArray, IntArray

__all__ = ["album", "claims", "live_takes", "still_takes", "takes"]

SWAY = {"x": 0.014, "y": 0.014, "roll": 0.014, "yaw": 0.014, "nod": 0.01}
"""How far people wander while they look into a camera: standard deviation, in the units of the conditions."""
BLINKS = ((0.25, 0.0), (0.0, 0.3), (0.1,), (0.5, 0.05, 0.4))
"""How far the eyes are open in the frames of one blink, at about ten frames a second."""
CODEC = 0.006
"""Noise that a virtual camera's encoder leaves on a picture that does not change."""


def album(persons: FloatArray, photographs: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
    """So many photographs of each person, (n, 1024), and who is on them, (n,)."""
    who = np.repeat(np.arange(len(persons), dtype=np.int64), photographs)
    return draw(persons[who], moments(len(who), rng), rng), who


def live_takes(persons: FloatArray, frames: int, rng: np.random.Generator) -> FloatArray:
    """One take of each person, who moves and blinks before the camera: (n, frames, 1024)."""
    opened = np.ones((len(persons), frames))
    for row in opened:
        blink = BLINKS[int(rng.integers(len(BLINKS)))]
        start = int(rng.integers(1, frames - len(blink)))
        row[start : start + len(blink)] = blink
    return takes(persons, opened, rng)


def takes(persons: FloatArray, opened: FloatArray, rng: np.random.Generator) -> FloatArray:
    """One take of each person, moving, with the eyes open so far (n, frames): (n, frames, 1024)."""
    n, frames = opened.shape
    at = with_condition(np.repeat(moments(n, rng), frames, axis=0), open=opened.ravel())
    for name, size in SWAY.items():
        path = np.cumsum(rng.normal(0.0, size, (n, frames)), axis=1)
        at = with_condition(at, **{name: condition(at, name) + (path - path.mean(axis=1, keepdims=True)).ravel()})
    return draw(np.repeat(persons, frames, axis=0), at, rng).reshape(n, frames, -1)


def still_takes(photographs: FloatArray, frames: int, rng: np.random.Generator) -> FloatArray:
    """One photograph (n, 1024) shown for the whole take: (n, frames, 1024)."""
    shown = np.repeat(photographs[:, None], frames, axis=1)
    return np.asarray(np.round(np.clip(shown + rng.normal(0.0, CODEC, shown.shape), 0.0, 1.0), 3))


def claims(frames: FloatArray, claimed: IntArray, enrolled: int) -> FloatArray:
    """Takes (n, frames, 1024) and who is claimed (n,) → rows for the verification service."""
    return np.hstack([frames.reshape(len(frames), -1), np.eye(enrolled)[claimed]])
