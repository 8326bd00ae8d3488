"""What every attack shares: queries and replies, the attempt on one sample, norms.

An attack is a generator. It yields a :class:`Query`, is sent a :class:`Reply`, and writes what it
found into its :class:`Attempt`. It never touches the target: the driver (emulate/driver.py) sends,
counts, repeats, rotates accounts and stops, so that the accounting is exact in one place and
attacks on many samples can run in lockstep.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import numpy as np

from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.target import FloatArray, IntArray
from threatmatrix.model.errors import FormatError

__all__ = ["Attack", "AttackSteps", "Attempt", "Query", "Reply", "Setting", "distance", "parse_params", "unit"]

EDGE = 1.0 - 1e-6
"""Final points are put this far inside the threshold, so that rounding never carries one outside."""


@dataclass(frozen=True, slots=True)
class Query:
    """Rows (n, d) for one request.

    ``repeat``: the averaging variant asks these rows several times (a gradient batch says no: it is
    an average by itself). ``redraw`` makes other rows of the same kind, for an attacker who was
    refused and tries again from another account.
    """

    rows: FloatArray
    repeat: bool = True
    redraw: Callable[[], FloatArray] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The rows that were answered in the end, with labels (n,) int64 and scores (n, k) float64.

    Where the target gives labels only, scores are 1 at the label and 0 elsewhere.
    """

    rows: FloatArray
    labels: IntArray
    scores: FloatArray


AttackSteps = Generator[Query, Reply, None]


@dataclass(slots=True)
class Attempt:
    """One sample under attack. ``best`` is the final point so far, ``claimed`` the attack's own word."""

    x: FloatArray  # (d,)
    y: int
    rng: np.random.Generator
    rows_left: Callable[[bool], int]  # rows that the budget still pays for, asked with repeat or without
    best: FloatArray | None = None
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """What holds for all samples: the norm and its threshold, the bounds, what the attacker has."""

    norm: str
    threshold: float
    bounds: tuple[float, float]
    pool_x: FloatArray  # (m, d) the attacker's own images …
    pool_y: IntArray  # (m,) … and their labels
    surrogate: MLP | None = None
    oars: bool = False  # spread successive queries as far as the attack tolerates
    repeats: int = 1
    params: dict[str, Any] = field(default_factory=dict)


Attack = Callable[[Attempt, Setting], AttackSteps]

P = TypeVar("P")


def parse_params(kind: type[P], params: dict[str, Any]) -> P:
    """Make an attack's parameters; raises FormatError that names an unknown key or a wrong type."""
    known: dict[str, Any] = {f.name: f.default for f in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in params.items():
        if key not in known:
            raise FormatError("procedure", "no such parameter", key=f"params.{key}", choices=known)
        expected = type(known[key])
        if isinstance(value, bool) or not isinstance(value, (int, float)) or (expected is int and value != int(value)):
            raise FormatError("procedure", f"needs a {expected.__name__}, not {value!r}", key=f"params.{key}")
        values[key] = expected(value)
    return kind(**values)


def distance(a: FloatArray, b: FloatArray, norm: str) -> float:
    """L2 or Linf distance of two points; 0 for norm ``none``."""
    if norm == "none":
        return 0.0
    delta = np.ravel(a) - np.ravel(b)
    return float(np.max(np.abs(delta))) if norm == "linf" else float(np.linalg.norm(delta))


def unit(v: FloatArray) -> FloatArray:
    """The same direction at length 1; zero stays zero. Works row by row on (n, d)."""
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return np.asarray(v / np.where(length > 0, length, 1.0))


def others(values: Sequence[int] | IntArray, label: int) -> IntArray:
    """Indices of the values that differ from the label."""
    return np.flatnonzero(np.asarray(values) != label)
