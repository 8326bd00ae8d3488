"""Reading an event's input vector; shared by the monitors and their calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from threatmatrix.model.event import Event

__all__ = [
    "NEEDS",
    "Space",
    "Vectors",
    "block",
    "previous_space_of",
    "product",
    "space_of",
    "squared_norms",
    "squared_radius",
    "widen",
]

Vectors = NDArray[np.int8]

NEEDS = ("input_vec", "vec_scale", "vec_key", "input_fp", "principal", "model")
"""Fields of an inference event without which inputs cannot be compared or attributed."""

_F = TypeVar("_F", bound=np.floating)

_ONE_THREAD = 2**18  # multiplications up to which OpenBLAS does not start threads
MAX_DIMS = 1024  # 1024 · 127² < 2²⁴: every sum of products below stays exact in float32
_EXACT_DIMS = 256  # 256 · 254² < 2²⁴: every squared distance does too


@dataclass(frozen=True, slots=True)
class Space:
    """Where vectors compare: one projection of one model's inputs at one scale."""

    model: str
    vec_key: str
    vec_scale: float  # input units per int8 step
    dims: int


def space_of(event: Event) -> Space | None:
    """The space of an event's vector, or None where the event has no usable one."""
    return _usable(event, event.input_vec, event.input_fp, event.vec_key)


def previous_space_of(event: Event) -> Space | None:
    """The same of its vector under the key before, which an event has while two keys overlap."""
    return _usable(event, event.input_vec_prev, event.input_fp_prev, event.vec_key_prev)


def _usable(event: Event, vec: bytes | None, fingerprint: str | None, vec_key: str | None) -> Space | None:
    scale = event.vec_scale
    if event.category != "inference" or not vec or not fingerprint or not vec_key or not event.model:
        return None
    if scale is None or not (math.isfinite(scale) and scale > 0) or len(vec) > MAX_DIMS:
        return None
    return _space(event.model, vec_key, scale, len(vec))


@lru_cache(maxsize=256)
def _space(model: str, vec_key: str, vec_scale: float, dims: int) -> Space:
    return Space(model, vec_key, vec_scale, dims)


def block(vecs: list[bytes], dims: int) -> Vectors:
    """Vectors of equal length as one (n, dims) int8 array."""
    return np.frombuffer(b"".join(vecs), dtype=np.int8).reshape(len(vecs), dims)


def widen(vecs: Vectors) -> NDArray[np.floating]:
    """Vectors as floats in which their squared distances are exact integers, on any BLAS."""
    wide: NDArray[np.floating] = vecs.astype(np.float32 if vecs.shape[1] <= _EXACT_DIMS else np.float64)
    return wide


def product(rows: NDArray[_F], columns: NDArray[_F]) -> NDArray[_F]:
    """``rows @ columns`` in parts so small that BLAS starts no threads: on a busy machine they wait for one another.

    Measured with the other cores busy: a session took 65 µs of CPU an event where it took 310 µs with whole products.
    """
    part = max(1, _ONE_THREAD // columns.size)
    if len(rows) <= part:
        return rows @ columns
    return np.concatenate([rows[start : start + part] @ columns for start in range(0, len(rows), part)])


def squared_norms(wide: NDArray[np.floating]) -> NDArray[np.floating]:
    """(n,) squared lengths of (n, d) rows."""
    norms: NDArray[np.floating] = np.einsum("ij,ij->i", wide, wide, dtype=wide.dtype)
    return norms


def squared_radius(threshold: float, scale: float) -> float:
    """``threshold`` (input units) as a squared distance in int8 steps, an integer.

    A threshold is itself an observed distance ``scale · sqrt(integer)``; the nudge keeps the pair it
    was taken from within it, whatever the rounding.
    """
    return float(math.floor((threshold / scale) ** 2 * (1 + 1e-9) + 1e-9))
