"""What an attack sees of a model: rows in, labels or scores out, every row counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.model.errors import BudgetExhausted, TargetRefused

__all__ = ["Answer", "FloatArray", "InProcessTarget", "IntArray", "Model", "Target"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answer:
    """Labels (n,) int64, and scores (n, k) float64 or None where the target gave none."""

    labels: IntArray
    scores: FloatArray | None = None


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

    def ask(self, x: FloatArray, *, want_scores: bool = False) -> Answer:
        """Send rows (n, d) float64 in one request."""

    def labels(self, x: FloatArray) -> IntArray:
        """(n, d) float64 → (n,) int64."""

    def scores(self, x: FloatArray) -> FloatArray | None:
        """(n, d) float64 → (n, k) float64, or None where the target gives labels only."""

    def read_metadata(self) -> dict[str, object]:
        """What the endpoint tells about itself, by path; each read counts as one query."""


class Model(Protocol):
    """The little that an in-process target needs of a model."""

    @property
    def inputs(self) -> int: ...

    @property
    def classes(self) -> int: ...

    def scores(self, x: FloatArray) -> FloatArray: ...


@dataclass(slots=True)
class _Limits:
    max_queries: int | None
    noise_sigma: float
    gives_scores: bool


class InProcessTarget:
    """A model in this process, with a gateway's controls in miniature: for tests and measurements.

    ``noise_sigma``: gaussian noise on every row, clipped to the bounds. ``refuse(key, rows)`` True:
    the request is refused with 403.
    """

    def __init__(
        self,
        model: Model,
        *,
        bounds: tuple[float, float] = (0.0, 1.0),
        accounts: AccountPool | None = None,
        noise_sigma: float = 0.0,
        gives_scores: bool = True,
        refuse: Callable[[str, int], bool] = lambda key, rows: False,
        max_queries: int | None = None,
        seed: int = 0,
    ) -> None:
        self.model = model
        self.input_shape: tuple[int, ...] = (model.inputs,)
        self.classes = model.classes
        self.bounds = bounds
        self.accounts = accounts or AccountPool()
        self.correlation = "in-process"
        self.queries = 0
        self._limits = _Limits(max_queries, noise_sigma, gives_scores)
        self._refuse = refuse
        self._rng = np.random.default_rng([seed, 0x7A46])

    def ask(self, x: FloatArray, *, want_scores: bool = False) -> Answer:
        limits = self._limits
        if limits.max_queries is not None and self.queries + len(x) > limits.max_queries:
            raise BudgetExhausted(f"the budget of {limits.max_queries} queries is used up")
        self.queries += len(x)
        if self._refuse(self.accounts.before_request(), len(x)):
            raise TargetRefused(403)
        self.accounts.accepted()
        if limits.noise_sigma:
            x = np.clip(x + self._rng.normal(0.0, limits.noise_sigma, x.shape), *self.bounds)
        scores = self.model.scores(x)
        labels = np.argmax(scores, axis=1).astype(np.int64)
        return Answer(labels, scores if want_scores and limits.gives_scores else None)

    def labels(self, x: FloatArray) -> IntArray:
        return self.ask(x).labels

    def scores(self, x: FloatArray) -> FloatArray | None:
        return self.ask(x, want_scores=True).scores

    def read_metadata(self) -> dict[str, object]:
        self.queries += 1
        return {"/v2": {"name": "in-process", "version": "1", "extensions": []}}
