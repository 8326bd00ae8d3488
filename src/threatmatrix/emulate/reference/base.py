"""What every reference target is: a model that is trained in seconds from a seed, its data, and its honest users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import FloatArray, IntArray, Rows
from threatmatrix.model.procedure import Modality

__all__ = ["Honest", "ModelAnswer", "Reference", "ServedModel", "TaughtModel", "Visit"]


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """Labels (n,) int64; scores (n, k) float64 or None; the texts that a generating model answers with (n)."""

    labels: IntArray
    scores: FloatArray | None = None
    texts: tuple[str, ...] | None = None


@runtime_checkable
class ServedModel(Protocol):
    """What a server asks of a model."""

    def answer(self, rows: Rows) -> ModelAnswer:
        """Answer n rows: (n, d) float64, or (n,) texts or files. Raises ValueError for rows that it cannot take."""


@runtime_checkable
class TaughtModel(ServedModel, Protocol):
    """A model that learns while it serves."""

    def teach(self, rows: Rows, labels: IntArray, user: str) -> None:
        """Learn that n rows have these labels (n,), as ``user`` says. Raises ValueError for a label that is none."""

    def forget(self, user: str) -> int:
        """Unlearn what a user taught (learn again without it); the number of rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request of an honest user. ``at``: µs since the start; ``teaches``: labels (n,) where it is feedback."""

    at: int
    account: str
    user_agent: str
    address: str  # an address of the documentation ranges (RFC 5737), as a proxy would hand it on
    rows: Rows
    teaches: IntArray | None = None


class Honest(Protocol):
    """Honest users: realistic repetition, favourites, a few programmers; deterministic by seed."""

    def __call__(self, *, clients: int, seed: int) -> Iterator[Visit]:
        """Visits in order of time, without end, of so many accounts (``honest-01`` …)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A reference target, built from one seed.

    ``calibration``, ``attacker``: disjoint from what the model was trained on and from each other; ``attacker`` holds
    what an attacker attacks, with true labels. ``known``: what an attacker holds before the first step (public data,
    a public model), the beginning of what procedures find in ``stage.held``. ``accuracy``: on data that it never saw.
    ``weights`` and ``training``: what the owner keeps in an artefact store, where a case has one beside the model.
    """

    name: str
    title: str
    modality: Modality
    classes: tuple[str, ...]  # names of the labels; their number is what a client must know
    width: int | None  # numbers in a row; None: one text or file a row (datatype BYTES)
    bounds: tuple[float, float] = (0.0, 1.0)
    model: ServedModel
    calibration: Rows
    attacker: Samples
    honest: Honest
    accuracy: float
    known: Mapping[str, Any] = field(default_factory=dict)
    weights: MLP | None = None
    training: Samples | None = None
