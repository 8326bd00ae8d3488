"""What every attack shares: queries and replies, the attempt on one sample, norms.

An attack is a generator. It yields a :class:`Query`, is sent a :class:`Reply`, and writes what it
found into its :class:`Attempt`. It never touches the target: the driver (emulate/driver.py) sends,
counts, repeats, rotates accounts and stops, so that the accounting is exact in one place and
attacks on many samples can run in lockstep.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from threatmatrix.emulate.attacks.edits import EDITS
from threatmatrix.emulate.params import parse_params
from threatmatrix.emulate.target import Differentiable, FloatArray, IntArray, Rows

__all__ = ["Attack", "AttackSteps", "Attempt", "Draws", "Query", "Reply", "Setting", "distance", "parse_params", "unit"]

Draws = Literal["gaussian", "heavy-tailed"]

EDGE = 1.0 - 1e-6
"""Final points are put this far inside the threshold, so that rounding never carries one outside."""

OARS_SPREAD = 2.0


@dataclass(frozen=True, slots=True)
class Query:
    """n rows for one request.

    ``repeat``: the averaging variant asks these rows several times (a gradient batch says no: it is
    an average by itself). ``redraw`` makes other rows of the same kind, for an attacker who was
    refused and tries again from another account. ``exact``: these very rows, without the noise that
    the ``noise`` variant adds.
    """

    rows: Rows
    repeat: bool = True
    redraw: Callable[[], Rows] | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """The rows that were answered in the end, with labels (n,) int64 and scores (n, k) float64.

    Where the target gives labels only, scores are 1 at the label and 0 elsewhere.
    """

    rows: Rows
    labels: IntArray
    scores: FloatArray


AttackSteps = Generator[Query, Reply, None]


@dataclass(slots=True)
class Attempt:
    """One sample under attack. ``best`` is the final point so far, ``claimed`` the attack's own word."""

    x: Any  # (d,) float64, or one text or file
    y: int
    rng: np.random.Generator
    rows_left: Callable[[bool], int]  # rows that the budget still pays for, asked with repeat or without
    best: Any = None
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """What holds for all samples: the norm and its threshold, the bounds, what the attacker has."""

    norm: str
    threshold: float
    bounds: tuple[float, float]
    pool_x: Rows  # m rows, the attacker's own inputs …
    pool_y: IntArray  # (m,) … and their labels
    surrogate: Differentiable | None = None
    oars: bool = False  # spread successive queries as far as the attack tolerates
    wide: float = 1.0  # random proposals so many times as far apart as the attack's own
    draws: Draws = "gaussian"  # how directions are drawn
    noise: float = 0.0  # the driver adds gaussian noise of this deviation to rows that are not exact
    repeats: int = 1
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def spread(self) -> float:
        """So many times as wide as by itself an attack draws that has no OARS of its own."""
        return max(self.wide, OARS_SPREAD if self.oars else 1.0)

    @property
    def redraws(self) -> bool:
        """Whether a refused query is drawn again, by an attacker who varies how he draws."""
        return self.oars or self.wide > 1 or self.draws != "gaussian"


Attack = Callable[[Attempt, Setting], AttackSteps]


def distance(a: Any, b: Any, norm: str) -> float:
    """How far b is from a: L2 or Linf of two points; words, characters or bytes that were changed, as
    ``emulate.attacks.edits`` counts them; 0 for norm ``none``.
    """
    if norm == "none":
        return 0.0
    if norm in EDITS:
        return float(EDITS[norm](a, b))
    delta = np.ravel(a) - np.ravel(b)
    return float(np.max(np.abs(delta))) if norm == "linf" else float(np.linalg.norm(delta))


def unit(v: FloatArray) -> FloatArray:
    """The same direction at length 1; zero stays zero. Works row by row on (n, d)."""
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return np.asarray(v / np.where(length > 0, length, 1.0))


def others(values: Sequence[int] | IntArray, label: int) -> IntArray:
    """Indices of the values that differ from the label."""
    return np.flatnonzero(np.asarray(values) != label)
