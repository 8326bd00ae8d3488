"""A printed patch on a picture: where it sits, how it is turned, how light falls on it, what the camera adds.

Source: Athalye, Engstrom, Ilyas, Kwok, "Synthesizing robust adversarial examples", 2018 (section 3, the distribution of
transformations); Brown et al., "Adversarial patch", 2017 (section 2, the operator that puts a patch on a picture). Here
the patch is pasted by bilinear sampling, which is linear in its values, so that the way back is a product of matrices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.target import FloatArray, IntArray

__all__ = ["DARKEST", "LEVELS", "LIGHTEST", "Fit", "Wear", "Worn", "printed", "side_of", "worn"]

DARKEST, LIGHTEST, LEVELS = 0.06, 0.94, 24
"""What a printer can do: ink is not black, paper is not white, and there are so many tones."""


@dataclass(frozen=True, slots=True)
class Wear:
    """How much a worn patch varies from picture to picture; positions are shares of the picture's side."""

    place: float = 0.05
    scale: float = 0.1
    turn: float = 0.2  # radians
    light: float = 0.15  # of the patch alone: it does not shine as skin does
    noise: float = 0.03


@dataclass(frozen=True, slots=True)
class Fit:
    """A patch (height, width) on pictures of side×side; ``spot``: its middle (down, right), in shares of the side."""

    side: int
    shape: tuple[int, ...]
    spot: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Worn:
    """N ways of wearing a patch of h×w: what each of m pixels of a picture takes from each row and column of it."""

    pixels: IntArray  # (m,): those that the patch can reach
    rows: FloatArray  # (n, m, h)
    columns: FloatArray  # (n, m, w)
    cover: FloatArray  # (n, m): how much of the picture is hidden there
    gain: FloatArray  # (n, 1)
    noise: FloatArray  # (n, all pixels)

    def seen(self, pictures: FloatArray, patch: FloatArray) -> FloatArray:
        """Pictures (n, s*s) with the patch (h, w) worn on them, with the camera's noise and limits."""
        pasted = np.einsum("nmw,nmw->nm", self.rows @ patch, self.columns)
        out = pictures + self.noise
        out[:, self.pixels] -= self.cover * pictures[:, self.pixels]
        out[:, self.pixels] += self.gain * pasted
        return np.clip(out, 0.0, 1.0)

    def back(self, upstream: FloatArray) -> FloatArray:
        """Gradient with respect to the patch (h, w), of gradients with respect to pictures (n, s*s)."""
        weighted = self.rows * (self.gain * upstream[:, self.pixels])[:, :, None]
        h, w = self.rows.shape[2], self.columns.shape[2]
        return np.asarray(weighted.reshape(-1, h).T @ self.columns.reshape(-1, w))


def side_of(pixels: int) -> int:
    """The side of a square picture with so many pixels; raises ValueError where there is none."""
    side = round(math.sqrt(pixels))
    if side * side != pixels:
        raise ValueError(f"{pixels} values are no square picture")
    return side


def worn(n: int, fit: Fit, how: Wear, rng: np.random.Generator) -> Worn:
    """N ways, at random, of wearing a patch."""
    side, spot, shape = fit.side, np.asarray(fit.spot), np.array(fit.shape)
    centre = side * (spot + rng.uniform(-how.place, how.place, (n, 2))) - 0.5
    scale = rng.uniform(1.0 - how.scale, 1.0 + how.scale, (n, 1))
    turn = rng.uniform(-how.turn, how.turn, (n, 1))
    reach = side * how.place + 0.5 * (1.0 + how.scale) * (shape + shape[::-1] * np.sin(how.turn)) + 1.0
    down, right = (
        np.arange(max(0, int(at - r)), min(side, int(at + r) + 2))
        for at, r in zip(side * spot - 0.5, reach, strict=True)
    )
    y, x = (grid.ravel() for grid in np.meshgrid(down, right, indexing="ij"))
    dy, dx = (y - centre[:, :1]) / scale, (x - centre[:, 1:]) / scale
    row = np.cos(turn) * dy - np.sin(turn) * dx + (fit.shape[0] - 1) / 2
    column = np.sin(turn) * dy + np.cos(turn) * dx + (fit.shape[1] - 1) / 2
    return Worn(
        y * side + x, _hats(row, fit.shape[0]), _hats(column, fit.shape[1]),
        _within(row, fit.shape[0]) * _within(column, fit.shape[1]),
        rng.uniform(1.0 - how.light, 1.0 + how.light, (n, 1)), rng.normal(0.0, how.noise, (n, side * side)),
    )  # fmt: skip


def printed(patch: FloatArray) -> FloatArray:
    """What comes out of the printer."""
    steps = (LEVELS - 1) / (LIGHTEST - DARKEST)
    return np.asarray(DARKEST + np.round((np.clip(patch, DARKEST, LIGHTEST) - DARKEST) * steps) / steps)


def _hats(at: FloatArray, size: int) -> FloatArray:
    """Weights of bilinear sampling: (n, m) → (n, m, size)."""
    out = np.abs(at[:, :, None] - np.arange(size))
    np.subtract(1.0, out, out=out)
    return np.asarray(np.maximum(out, 0.0, out=out))


def _within(at: FloatArray, size: int) -> FloatArray:
    """The sum of those weights: 1 inside, 0 outside, and in between over the edge."""
    return np.asarray(np.clip(np.minimum(at + 1.0, size - at), 0.0, 1.0))
