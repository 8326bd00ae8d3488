"""Animate a photograph: a still face blinks and nods before a camera that exists in software only.

Source: Xu, Price, Frahm, Monrose, "Virtual U: defeating face liveness detection by building virtual models from your
public photos", 2016 (a live check that asks for motion is met by a model of the victim's public pictures); MITRE ATLAS
AML.CS0004, the tools of 2018 to 2020 that make a bought photograph blink. Here there is no model in three dimensions:
the eyes are found by the white beside the iris, lids are painted over them for two frames, and the picture wanders by
fractions of a pixel. Access: none. Cost: no query.

A sample is what the camera would deliver of the bare photograph: frames in a row, and behind them who is claimed. A
take is made of each. Needs ``take_pixels`` and ``take_frames``, which the camera's interface tells. Holds ``takes`` (n,
width). Result: nothing is sent and there are no outcomes; ``present_takes`` (present_takes.py) is what is judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.evasion.wearing import side_of
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import FloatArray
from threatmatrix.model.errors import UsageError

__all__ = ["AnimateStillsParams", "animate_stills", "animated", "eyes"]

HALF_HEIGHT, HALF_WIDTH = 2.6, 3.8
"""Of a painted lid, in pixels of a picture of 32×32."""
ROWS, GAPS = (0.36, 0.52), (0.11, 0.2)
"""Where eyes lie in a picture that was cut to the face: rows, and distances from the middle, in shares of the side."""


@dataclass(frozen=True, slots=True)
class AnimateStillsParams:
    """How lively the face becomes."""

    motion: float = 0.25  # pixels from frame to frame
    shut: int = 2  # frames


def animate_stills(stage: Stage) -> Brought:
    """Animate the photograph of each sample; holds the ``takes``."""
    how = stage.settings(AnimateStillsParams)
    frames, pixels = stage.take("take_frames", int), stage.take("take_pixels", int)
    rows = np.asarray(stage.samples.x, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] <= frames * pixels:
        raise UsageError(f"a sample must be {frames} frames of {pixels} pixels and a claim")
    stills = rows[:, : frames * pixels].reshape(len(rows), frames, pixels).mean(axis=1)
    takes = np.stack([animated(still, frames, how, stage.rng) for still in stills]).reshape(len(rows), -1)
    return Brought(holds={"takes": np.hstack([takes, rows[:, frames * pixels :]])})


def animated(still: FloatArray, frames: int, how: AnimateStillsParams, rng: np.random.Generator) -> FloatArray:
    """A take (frames, pixels) of a photograph (pixels) that blinks once and moves."""
    side = side_of(len(still))
    picture = still.reshape(side, side)
    shut = _lids(picture, eyes(picture))
    start = int(rng.integers(1, frames - how.shut))
    path = np.cumsum(rng.normal(0.0, how.motion, (frames, 2)), axis=0)
    closed = np.zeros(frames)
    closed[start : start + how.shut] = 1.0
    take = [
        _shifted(picture + close * (shut - picture), step)
        for close, step in zip(closed, path - path.mean(axis=0), strict=True)
    ]
    return np.asarray(np.round(np.clip(np.stack(take).reshape(frames, -1), 0.0, 1.0), 3), dtype=np.float64)


def eyes(picture: FloatArray) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the two eyes of a face (s, s) are (row, column): where light and dark change fastest from left to right.

    Brows and mouths are bars, and change from top to bottom.
    """
    side = len(picture)
    bend = np.abs(2 * picture[:, 1:-1] - picture[:, :-2] - picture[:, 2:])
    bend = np.pad(bend, ((0, 0), (1, 1)))
    shifts = [(r, c) for r in (-1, 0, 1) for c in (-2, -1, 0, 1, 2)]
    score = np.sum([np.roll(bend, shift, axis=(0, 1)) for shift in shifts], axis=0)
    rows = range(round(ROWS[0] * side), round(ROWS[1] * side) + 1)
    gaps = range(round(GAPS[0] * side), round(GAPS[1] * side) + 1)
    middle = (side - 1) / 2
    found = max(
        (score[row, int(at - gap)] + score[row, int(at + gap + 0.5)], row, int(at - gap), int(at + gap + 0.5))
        for row in rows for gap in gaps for at in (middle - 1, middle, middle + 1)
    )  # fmt: skip
    return (found[1], found[2]), (found[1], found[3])


def _lids(picture: FloatArray, at: tuple[tuple[float, float], tuple[float, float]]) -> FloatArray:
    """The picture with lids painted over both eyes, in the tone of the skin below each."""
    side = len(picture)
    unit = side / 32
    y, x = np.mgrid[:side, :side]
    out = picture.copy()
    for row, column in at:
        away = np.sqrt(((y - row) / (HALF_HEIGHT * unit)) ** 2 + ((x - column) / (HALF_WIDTH * unit)) ** 2)
        below = (np.abs(y - row - 4 * unit) <= unit) & (np.abs(x - column) <= 2 * unit)
        skin = float(np.median(picture[below]))
        cover = np.clip((1.15 - away) * 4.0, 0.0, 1.0)
        out += cover * (0.9 * skin - out)
    return out


def _shifted(picture: FloatArray, step: FloatArray) -> FloatArray:
    """The picture (s, s) moved by (down, right) fractions of a pixel; what moves in repeats the edge."""
    side = len(picture)
    down, right = (np.clip(np.arange(side) - by, 0.0, side - 1.0) for by in step)
    for axis, at in ((0, down), (1, right)):
        low = np.minimum(at.astype(np.int64), side - 2)
        share = np.expand_dims(at - low, 1 - axis)
        picture = np.take(picture, low, axis) * (1.0 - share) + np.take(picture, low + 1, axis) * share
    return picture
