"""Locality-sensitive hashing for L2: keyed p-stable projections (Datar et al. 2004, section 3.2)."""

from __future__ import annotations

from hashlib import blake2b
from math import erfc, exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from threatmatrix.detect.monitors.vectors import Vectors, product

__all__ = ["StableHash", "collision_probability"]

_STEPS = 1024  # Gaussian coefficients are rounded to 1/1024, so that projections are exact integers


def collision_probability(width: float) -> float:
    """Chance that one hash of bucket width ``width`` puts two points at distance 1 into one bucket."""
    tail = erfc(width / sqrt(2.0))  # 2·Φ(−width)
    return 1.0 - tail - 2.0 / (sqrt(2.0 * pi) * width) * (1.0 - exp(-(width**2) / 2.0))


class StableHash:
    """``tables`` hash keys per vector, each the mix of ``hashes`` values ``floor((a·x + b) / width)``.

    Coefficients are rounded to integers and int8 vectors are integers, so ``a·x`` is exact in float64:
    a key never depends on how many vectors are hashed at once or on the BLAS in use. ``key`` seeds the
    coefficients; who does not know the projection behind ``input_vec`` cannot aim at bucket borders.
    """

    def __init__(self, dims: int, width: float, *, tables: int, hashes: int, key: bytes) -> None:
        seed = int.from_bytes(blake2b(key, digest_size=16, person=b"tm-lsh").digest(), "little")
        rng = np.random.Generator(np.random.PCG64(seed))
        self.tables = tables
        self._shape = (tables, hashes)
        self._width = max(width, 1.0) * _STEPS
        self._a = np.rint(rng.standard_normal((dims, tables * hashes)) * _STEPS)
        self._b = np.floor(rng.random(tables * hashes) * self._width)
        self._mix = rng.integers(0, 2**63, size=(1, tables, hashes), dtype=np.uint64) * np.uint64(2) + np.uint64(1)

    def keys(self, vecs: Vectors) -> NDArray[np.uint64]:
        """(n, tables) uint64 keys of (n, dims) int8 vectors."""
        projected = product(vecs.astype(np.float64), self._a)
        cells = np.floor((projected + self._b) / self._width).astype(np.int64)
        mixed: NDArray[np.uint64] = (cells.reshape(-1, *self._shape).view(np.uint64) * self._mix).sum(
            axis=2, dtype=np.uint64
        )
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(32)
        return mixed
