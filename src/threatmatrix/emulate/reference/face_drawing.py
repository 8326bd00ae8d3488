"""Grey faces of 32×32, drawn from numbers: what a person looks like, and how they are seen at one moment.

A person is a row of ``TRAITS`` (the shape of the head, eyes, brows, nose, mouth, hair, tones), which stays. A moment is
a row of ``CONDITIONS`` (pose, light, expression, how far the eyes are open, noise), which changes from frame to frame.
Every part is an ellipse or a bar with soft edges, painted one over the other; coordinates run from -1 to 1, x to the
right and y down. Values are float64 in [0, 1] with three decimals, as a camera delivers a limited number of levels.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from threatmatrix.emulate.target import FloatArray

__all__ = ["CONDITIONS", "PIXELS", "SIDE", "TRAITS", "condition", "draw", "moments", "people", "with_condition"]

SIDE = 32
PIXELS = SIDE * SIDE
CHUNK = 64
"""Faces that are drawn at once: so many stay in the processor's cache."""

TRAITS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "width": (0.56, 0.76),
        "height": (0.78, 0.95),
        "jaw": (0.0, 0.45),  # how much narrower the lower half is
        "skin": (0.45, 0.85),
        "hair": (0.05, 0.7),
        "hairline": (-0.72, -0.4),
        "hair_sides": (0.0, 0.2),
        "eye_gap": (0.25, 0.36),
        "eye_y": (-0.22, -0.02),
        "eye_width": (0.12, 0.19),
        "eye_height": (0.08, 0.13),
        "iris": (0.05, 0.4),
        "brow_y": (0.17, 0.27),
        "brow_thick": (0.02, 0.07),
        "brow_tilt": (-0.35, 0.35),
        "brow_tone": (0.05, 0.5),
        "nose_length": (0.22, 0.4),
        "nose_width": (0.06, 0.16),
        "mouth_y": (0.45, 0.62),
        "mouth_width": (0.16, 0.32),
        "lips": (0.04, 0.1),
        "lip_tone": (0.4, 0.8),  # times the skin's
        "beard": (-0.6, 0.4),  # below 0: none
        "glasses": (-1.4, 0.6),  # below 0: none
    }
)
"""Name → the lowest and the highest value among people."""

CONDITIONS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "x": (-0.04, 0.04),
        "y": (-0.04, 0.04),
        "roll": (-0.06, 0.06),
        "scale": (0.965, 1.035),
        "yaw": (-0.065, 0.065),
        "nod": (-0.035, 0.035),
        "gain": (0.8, 1.15),
        "light_x": (-0.25, 0.25),
        "light_y": (-0.2, 0.2),
        "smile": (-0.5, 1.0),
        "speech": (-0.06, 0.06),  # below 0: the mouth is shut
        "open": (0.8, 1.0),  # of the eyes; 0: shut
        "wall": (0.2, 0.9),
        "noise": (0.01, 0.035),
    }
)
"""Name → the lowest and the highest value among photographs that were cut to the face, as detectors cut them."""

_CONDITION = {name: i for i, name in enumerate(CONDITIONS)}
Pixels = NDArray[np.floating[Any]]
Columns = dict[str, Pixels]
EYES = slice(3 * SIDE, 22 * SIDE)
"""The rows of pixels in which eyes, brows and glasses can lie."""


def people(n: int, rng: np.random.Generator) -> FloatArray:
    """N persons at random: (n, traits)."""
    return _uniform(TRAITS, n, rng)


def moments(n: int, rng: np.random.Generator) -> FloatArray:
    """N moments at random: (n, conditions)."""
    return _uniform(CONDITIONS, n, rng)


def condition(at: FloatArray, name: str) -> FloatArray:
    """One condition of n moments: (n,)."""
    return at[:, _CONDITION[name]]


def with_condition(at: FloatArray, **values: FloatArray | float) -> FloatArray:
    """The same moments with some conditions set to other values: one for all, or (n,)."""
    out = at.copy()
    for name, value in values.items():
        out[:, _CONDITION[name]] = value
    return out


def draw(persons: FloatArray, at: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Photographs (n, 1024) of n persons at n moments; ``rng`` makes the noise of the camera."""
    out = np.empty((len(persons), PIXELS))
    for start in range(0, len(persons), CHUNK):
        part = slice(start, start + CHUNK)
        out[part] = _paint(_columns(TRAITS, persons[part]), _columns(CONDITIONS, at[part]))
    noise = at[:, _CONDITION["noise"], None]
    out += noise * rng.standard_normal(out.shape)
    return np.asarray(np.round(np.clip(out, 0.0, 1.0), 3))


def _uniform(ranges: Mapping[str, tuple[float, float]], n: int, rng: np.random.Generator) -> FloatArray:
    low, high = np.array(list(ranges.values())).T
    return np.asarray(low + (high - low) * rng.random((n, len(ranges))))


def _columns(names: Mapping[str, object], rows: FloatArray) -> Columns:
    """Each column as (n, 1), to go with pixels (n, 1024)."""
    return {name: rows[:, i : i + 1].astype(np.float32) for i, name in enumerate(names)}


_AXIS = ((np.arange(SIDE) + 0.5) / SIDE * 2.0 - 1.0).astype(np.float32)
_X, _Y = (grid.ravel()[None] for grid in np.meshgrid(_AXIS, _AXIS))


def _ellipse(x: Pixels, y: Pixels, a: Pixels | float, b: Pixels | float) -> Pixels:
    """How far each pixel is inside (0 to 1), with an edge one pixel wide."""
    a, b = np.maximum(a, 1e-3), np.maximum(b, 1e-3)
    outside = (np.sqrt((x / a) ** 2 + (y / b) ** 2) - 1.0) * np.minimum(a, b)
    return np.asarray(np.clip(0.5 - outside * (SIDE / 2), 0.0, 1.0))


def _bar(x: Pixels, y: Pixels, a: Pixels | float, b: Pixels | float) -> Pixels:
    """A rectangle with soft edges; thinner than a pixel, it is fainter."""
    edge = SIDE / 2
    across = np.clip(0.5 - (np.abs(x) - a) * edge, 0.0, 1.0)
    return np.asarray(across * np.clip(0.5 - (np.abs(y) - b) * edge, 0.0, 1.0))


def _over(picture: Pixels, mask: Pixels, tone: Pixels | float) -> Pixels:
    return picture + mask * (tone - picture)


def _paint(p: Columns, c: Columns) -> Pixels:
    cos, sin = np.cos(c["roll"]), np.sin(c["roll"])
    left, up = (_X - c["x"]) / c["scale"], (_Y - c["y"]) / c["scale"]
    x, y = cos * left + sin * up, cos * up - sin * left
    picture = np.broadcast_to(c["wall"], x.shape)
    picture = _over(picture, _ellipse(x, y + 0.12, p["width"] + 0.08 + p["hair_sides"], p["height"]), p["hair"])
    narrow = 1.0 - p["jaw"] * np.clip(y, 0.0, 1.0)
    head = _ellipse(x / narrow, y - 0.05, p["width"], p["height"])
    picture = _over(picture, head, p["skin"])
    picture = _over(picture, head * np.clip(0.5 + (p["hairline"] - y) * (SIDE / 2), 0.0, 1.0), p["hair"])
    beard = head * np.clip((y - 0.32) * 6.0, 0.0, 1.0) * np.maximum(p["beard"], 0.0) * 2.0
    picture = _over(picture, beard, p["hair"])
    x, y = x - c["yaw"], y - c["nod"]  # the features turn before the outline does
    picture[:, EYES] = _eyes(picture[:, EYES], x[:, EYES], y[:, EYES], p, c)
    picture = _mouth(_nose(picture, x, y, p), x, y, p, c)
    return np.asarray(np.clip(picture * c["gain"] * (1.0 + c["light_x"] * _X + c["light_y"] * _Y), 0.0, 1.0))


def _eyes(picture: Pixels, x: Pixels, y: Pixels, p: Columns, c: Columns) -> Pixels:
    eye_y = y - p["eye_y"]
    for side in (-1.0, 1.0):
        eye_x = x - side * p["eye_gap"]
        picture = _over(picture, _ellipse(eye_x, eye_y, p["eye_width"], p["eye_height"] + 0.02), p["skin"] * 0.8)
        ball = _ellipse(eye_x, eye_y, p["eye_width"], p["eye_height"] * c["open"]) * np.clip(c["open"] * 4, 0.0, 1.0)
        picture = _over(picture, ball, 0.95)
        picture = _over(picture, ball * _ellipse(eye_x, eye_y, 0.09, 0.09), p["iris"])
        shut = np.clip(1.0 - 2.0 * c["open"], 0.0, 1.0)
        picture = _over(picture, shut * _bar(eye_x, eye_y - 0.03, p["eye_width"], 0.02), p["skin"] * 0.45)
        tilted = eye_y + p["brow_y"] - side * p["brow_tilt"] * eye_x
        picture = _over(picture, _bar(eye_x, tilted, p["eye_width"] + 0.03, p["brow_thick"]), p["brow_tone"])
        ring = _ellipse(eye_x, eye_y, 0.25, 0.21) - _ellipse(eye_x, eye_y, 0.2, 0.16)
        picture = _over(picture, ring * (p["glasses"] > 0), 0.12)
    return picture


def _nose(picture: Pixels, x: Pixels, y: Pixels, p: Columns) -> Pixels:
    tip = y - p["eye_y"] - p["nose_length"]
    picture = _over(picture, _bar(x - 0.4 * p["nose_width"], tip + 0.12, 0.02, 0.12), p["skin"] * 0.85)
    return _over(picture, _ellipse(x, tip, p["nose_width"], 0.05), p["skin"] * 0.62)


def _mouth(picture: Pixels, x: Pixels, y: Pixels, p: Columns, c: Columns) -> Pixels:
    width = p["mouth_width"] * (1.0 + 0.15 * c["smile"])
    bent = y - p["mouth_y"] + 0.12 * c["smile"] * ((x / width) ** 2 - 0.5)
    picture = _over(
        picture, _ellipse(x, bent, width, p["lips"] + np.maximum(c["speech"], 0.0)), p["skin"] * p["lip_tone"]
    )
    return _over(picture, _ellipse(x, bent, width * 0.8, np.maximum(c["speech"], 0.012)), 0.15)
