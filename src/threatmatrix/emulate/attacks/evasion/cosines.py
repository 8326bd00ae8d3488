"""Directions by spatial frequency: what people and models see of an image lies mostly in the low ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import unit
from threatmatrix.emulate.target import FloatArray

__all__ = ["Cosines", "image_shape"]


def image_shape(width: int) -> tuple[int, int]:
    """Side and channels of a square image (height, width, channels) of so many values; (0, 0) where it is none."""
    for channels in (1, 3):
        side = math.isqrt(width // channels)
        if side > 1 and side * side * channels == width:
            return side, channels
    return 0, 0


@dataclass(frozen=True, slots=True)
class Cosines:
    """The orthonormal cosine basis (DCT-II) of a square image, each channel by itself.

    A vector whose width is no square, nor three times one, has no frequencies: there it is the plain basis.
    """

    width: int
    side: int
    channels: int
    waves: FloatArray  # (side, side), a row for each frequency
    order: FloatArray  # (width,) frequency of each basis vector, from 0 to about 2
    sorted: FloatArray  # the same from the lowest to the highest

    @classmethod
    def of(cls, width: int) -> Cosines:
        side, channels = image_shape(width)
        if not side:
            return cls(width, 0, 0, np.zeros((0, 0)), np.zeros(width), np.zeros(width))
        at = np.arange(side)
        waves = np.cos(np.pi * (2 * at[None] + 1) * at[:, None] / (2 * side)) * math.sqrt(2 / side)
        waves[0] /= math.sqrt(2)
        order = np.repeat(((at[:, None] + at[None]) / side).ravel(), channels)
        return cls(width, side, channels, waves, order, np.sort(order))

    def image(self, coefficients: FloatArray) -> FloatArray:
        """Coefficients (n, width) → vectors (n, width)."""
        if not self.side:
            return coefficients
        blocks = coefficients.reshape(-1, self.side, self.side, self.channels).transpose(0, 3, 1, 2)
        images = self.waves.T @ blocks @ self.waves
        return np.asarray(images.transpose(0, 2, 3, 1).reshape(-1, self.width))

    def vector(self, number: int) -> FloatArray:
        """One basis vector (width,)."""
        coefficients = np.zeros((1, self.width))
        coefficients[0, number] = 1.0
        return np.asarray(self.image(coefficients)[0])

    def low_first(self, rng: np.random.Generator) -> list[int]:
        """Numbers of all basis vectors in random order, the low frequencies rather first."""
        return [int(i) for i in np.argsort(self.order + rng.random(self.width))]

    def smooth(self, coefficients: FloatArray, share: float) -> FloatArray:
        """Unit vectors (n, width) of those coefficients whose frequency is among the lowest ``share``."""
        if share >= 1.0 or not self.side:
            return unit(coefficients)
        highest = self.sorted[max(1, round(share * self.width)) - 1]
        return unit(self.image(coefficients * (self.order <= highest)))
