"""What the log keeps of an input instead of the input: a keyed hash and a keyed, quantised projection.

The hash (``input_fp``) tells whether two rows are byte for byte the same; without the key it cannot be computed,
so a guessed input cannot be confirmed from the log. The projection (``input_vec``) keeps *distances*: it turns
the row by a secret rotation and rounds it to 8 bits, so that ``L2(int8 difference) * vec_scale`` is about the L2
distance of the inputs in input units.

The default step is 1/32 of the input range. Measured on the 1,797 bundled 8x8 digits (d = 64, 50 keys):
a step of 1/32 reaches ±3.97 after centring, and the worst corner of [0, 1]^64 reaches 3.54 under the worst key
(real digits: 2.0), so that nothing in range clips; 1/24 wastes a third of the int8 range. Rounding adds about
``step * sqrt(d / 6)`` (0.10) in quadrature: a true distance of 0.29 reads +6 % ± 4 %, 0.44 +3 % ± 3 %, 0.63 +1 % ±
2 %, 1.0 +0.5 % ± 1 %, where 1/24 reads +10, +5, +2, +1 %; 1/40 would clip corners. A monitor calibrated on such
vectors has the same bias in its threshold. Rows of more than ``vec_dims`` numbers are projected to ``vec_dims``
(Johnson-Lindenstrauss: relative standard deviation about sqrt(1 / (2 * vec_dims)), 9 % at 64); rows of more than
1,024 are averaged over runs of neighbours first, so only what varies slowly counts.
"""

from __future__ import annotations

import hashlib
import math
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from threatmatrix.telemetry.inputs.oip import Tensor

__all__ = ["DEFAULT_STEP", "Fingerprinter", "Projection", "Vectors", "gaussian_matrix"]

DEFAULT_STEP = 1 / 32
_BLOCKS = 1024
_KEPT = 16  # projections kept: a client that varies the row length must not fill the memory
_INT8 = 127.0
_ONE_THREAD = 2**18  # multiplications up to which OpenBLAS does not start threads


class Vectors(NamedTuple):
    """Projected rows: the int8 components of all, one row after the other, and how many components clipped."""

    raw: bytes
    size: int  # components, and bytes, of a row
    key: str  # id of the projection
    clipped: int

    @property
    def rows(self) -> list[bytes]:
        """The components of each row."""
        return [self.raw[start : start + self.size] for start in range(0, len(self.raw), self.size)]

    @property
    def encoded(self) -> list[str]:
        """The same in base64."""
        return [b64encode(row).decode() for row in self.rows]


def gaussian_matrix(key: bytes, rows: int, columns: int) -> NDArray[np.float64]:
    """Draw standard normal numbers from SHAKE-256 of ``key`` by Box-Muller: the same under every NumPy version."""
    count = rows * columns
    half = (count + 1) // 2
    raw = np.frombuffer(hashlib.shake_256(key).digest(half * 8), dtype="<u4").astype(np.float64)
    uniform = (raw + 0.5) / 2**32
    radius = np.sqrt(-2.0 * np.log(uniform[:half]))
    angle = 2.0 * math.pi * uniform[half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count].reshape(rows, columns)


def _orthonormal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, k) → the orthonormal columns of its QR decomposition with a positive diagonal.

    Gram-Schmidt, each column twice (Giraud et al. 2005, "twice is enough"), and without BLAS: on a busy machine the
    threads of LAPACK's QR wait for one another, 100 to 3,000 ms for what takes 4 ms.
    """
    rows = np.ascontiguousarray(columns.T)
    for at in range(len(rows)):
        row = rows[at]
        for _ in range(2):
            row -= np.einsum("i,ij->j", np.einsum("ij,j->i", rows[:at], row), rows[:at])
        row /= math.sqrt(np.einsum("i,i->", row, row))
    return rows.T


class Projection:
    """The keyed projection for rows of ``d`` numbers. ``scale``: input units per int8 step.

    ``matrix`` is (blocks, k) float32 with k = min(blocks, dims): orthonormal columns * sqrt(blocks / k) / scale.
    """

    def __init__(self, key: bytes, d: int, dims: int, scale: float, middle: float) -> None:
        self.run = math.ceil(d / _BLOCKS)
        blocks = math.ceil(d / self.run)
        k = min(blocks, dims)
        label = f"projection/1/{d}/{k}/{scale!r}/{middle!r}".encode()
        self.key = hashlib.blake2b(label, key=key, digest_size=8).hexdigest()
        seed = hashlib.blake2b(f"{d}/{k}".encode(), key=key, digest_size=32).digest()
        columns = _orthonormal(gaussian_matrix(seed, blocks, k))
        self.matrix = (columns * (math.sqrt(blocks / k) / scale)).astype(np.float32)
        self._pad = blocks * self.run - d
        self._offset = (self._contract(np.full((1, d), middle, dtype=np.float32)) @ self.matrix)[0]

    def _contract(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Means over runs of neighbours, times sqrt(run) so that distances keep their unit."""
        if self.run == 1:
            return rows
        if self._pad:
            rows = np.pad(rows, ((0, 0), (0, self._pad)))
        runs = rows.reshape(len(rows), -1, self.run)
        means: NDArray[np.float32] = (runs.sum(axis=2) / math.sqrt(self.run)).astype(np.float32)
        return means

    def _product(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows @ matrix, in parts so small that BLAS starts no threads: while they wait they slow all else down."""
        part = max(1, _ONE_THREAD // self.matrix.size)
        if len(rows) <= part:
            return rows @ self.matrix
        return np.concatenate([rows[i : i + part] @ self.matrix for i in range(0, len(rows), part)])

    def __call__(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.int8], int]:
        """(n, d) float32 in input units → (n, k) int8, and how many components had to be clipped."""
        y = self._product(self._contract(rows))
        y -= self._offset
        np.rint(y, out=y)
        bounded = np.fmin(y, _INT8)  # fmin and fmax also bound what overflowed to NaN
        np.fmax(bounded, -_INT8, out=bounded)
        clipped = int(np.count_nonzero(bounded != y))
        return bounded.astype(np.int8), clipped


class Fingerprinter:
    """Hashes and projects the rows of a request. ``scale`` None: ``DEFAULT_STEP`` of the input range."""

    def __init__(
        self, key: bytes, *, dims: int = 64, scale: float | None = None, input_range: tuple[float, float] | None = None
    ) -> None:
        low, high = input_range or (0.0, 1.0)
        self.scale = scale or DEFAULT_STEP * (high - low)
        self._middle = (low + high) / 2
        self._dims = dims
        self._hash_key = hashlib.blake2b(b"hash", key=key, digest_size=32).digest()
        self._projection_key = hashlib.blake2b(b"projection", key=key, digest_size=32).digest()
        self._projections: OrderedDict[int, Projection] = OrderedDict()

    def hashes(self, tensors: Sequence[Tensor], rows: int) -> list[str]:
        """One keyed BLAKE2b (16 bytes, hex) per row over the datatype, shape and bytes of each tensor's row."""
        if len(tensors) == 1:
            base = hashlib.blake2b(tensors[0].kind(), key=self._hash_key, digest_size=16)
            result = []
            for part in tensors[0].row_bytes():
                digest = base.copy()
                digest.update(part)
                result.append(digest.hexdigest())
            return result
        digests = [hashlib.blake2b(key=self._hash_key, digest_size=16) for _ in range(rows)]
        for tensor in tensors:
            kind = tensor.kind()
            for digest, part in zip(digests, tensor.row_bytes(), strict=True):
                digest.update(kind)
                digest.update(part)
        return [digest.hexdigest() for digest in digests]

    def vectors(self, tensors: Sequence[Tensor], *, build: bool = True) -> Vectors | None:
        """Project the numeric tensors of a request, side by side; None if there are none.

        ``build`` False uses only a projection that is there already: a request that was refused must not
        make the gateway compute a new one.
        """
        numeric = [tensor.array for tensor in tensors if tensor.array is not None]
        if not numeric:
            return None
        projection = self._projection(sum(part.shape[1] for part in numeric), build)
        if projection is None:
            return None
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold clips
            parts = [part.astype(np.float32) for part in numeric]
            quantised, clipped = projection(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))
        return Vectors(quantised.tobytes(), quantised.shape[1], projection.key, clipped)

    def _projection(self, d: int, build: bool) -> Projection | None:
        found = self._projections.get(d)
        if found is None and build and d:
            found = Projection(self._projection_key, d, self._dims, self.scale, self._middle)
            self._projections[d] = found
            if len(self._projections) > _KEPT:
                self._projections.popitem(last=False)
        elif found is not None:
            self._projections.move_to_end(d)
        return found
