"""What an attack sees of a model: rows in, labels or scores out, every row counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from threatmatrix.emulate.accounts import AccountPool

__all__ = [
    "Answer",
    "Differentiable",
    "FloatArray",
    "IntArray",
    "Model",
    "Rows",
    "Store",
    "StoredObject",
    "Target",
    "Teachable",
    "blobs",
    "texts",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Rows = NDArray[Any]
"""Inputs: (n, d) float64, or (n,) objects that are all ``str`` (texts) or all ``bytes`` (files)."""


def texts(values: Iterable[str]) -> Rows:
    """Texts as rows: (n,) objects."""
    found = list(values)
    rows = np.empty(len(found), dtype=object)
    rows[:] = found
    return rows


def blobs(values: Iterable[bytes]) -> Rows:
    """Files as rows: (n,) objects."""
    return texts(values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Answer:
    """Labels (n,) int64; scores (n, k) float64, or None where the target gave none; the texts of a generating model."""

    labels: IntArray
    scores: FloatArray | None = None
    texts: tuple[str, ...] | None = None


class Target(Protocol):
    """A model endpoint. ``queries`` counts every row sent so far, refused ones too.

    Every asking method raises TargetRefused (401, 403, 429), TargetError, BudgetExhausted,
    KillSwitchThrown or ScopeError.
    """

    input_shape: tuple[int, ...]
    classes: int
    bounds: tuple[float, float]
    queries: int
    accounts: AccountPool
    correlation: str

    def ask(self, x: Rows, *, want_scores: bool = False) -> Answer:
        """Send n rows in one request."""

    def labels(self, x: Rows) -> IntArray:
        """N rows → (n,) int64."""

    def scores(self, x: Rows) -> FloatArray | None:
        """N rows → (n, k) float64, or None where the target gives labels only."""

    def read_metadata(self) -> dict[str, object]:
        """What the endpoint tells about itself, by path; each read counts as one query."""


class Teachable(Protocol):
    """Where users teach the model: ratings, corrections, reports. Each row is one query of the budget.

    A change of the target's state goes through the journal of the emulation first, so that clean-up can take it back.
    """

    def teach(self, x: Rows, labels: IntArray) -> None:
        """Tell the model that these n rows have these labels (n,). Raises as :class:`Target` does."""

    def forget(self) -> int:
        """Take back what this emulation taught; the number of rows that were."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a store: its key, its size in bytes, its SHA-256 in hex."""

    key: str
    size: int
    digest: str


class Store(Protocol):
    """An artefact store with accounts: buckets, keys, who may do what. Every call is one query of the budget.

    Each raises TargetRefused (401, 403), TargetError, BudgetExhausted, KillSwitchThrown or ScopeError.
    """

    @property
    def account(self) -> str:
        """Who is signed in; "" for nobody."""

    @property
    def queries(self) -> int:
        """Calls so far, refused ones too."""

    def sign_up(self, account: str, password: str) -> bool:
        """Register an account and sign in with it; False where registration is closed."""

    def sign_in(self, account: str, password: str) -> bool:
        """Sign in; False where the password is wrong."""

    def use_key(self, key_id: str, secret: str) -> None:
        """Act with an access key from now on."""

    def buckets(self) -> tuple[str, ...]:
        """The buckets that whoever is signed in may list."""

    def objects(self, bucket: str) -> tuple[StoredObject, ...]:
        """What lies in a bucket."""

    def get(self, bucket: str, key: str) -> bytes:
        """Read an object."""

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Write an object. What lay there before is kept in the journal until clean-up."""


class Differentiable(Protocol):
    """A model of the attacker's own, with its gradient."""

    @property
    def classes(self) -> int: ...

    def logits(self, x: FloatArray) -> FloatArray:
        """(n, d) → (n, classes)."""

    def input_gradient(self, x: FloatArray, upstream: FloatArray) -> FloatArray:
        """Gradient of ``sum(logits * upstream)`` with respect to x: (n, d) and (n, classes) → (n, d)."""


class Model(Protocol):
    """The little that an in-process target needs of a model."""

    @property
    def inputs(self) -> int: ...

    @property
    def classes(self) -> int: ...

    def scores(self, x: Rows) -> FloatArray: ...
