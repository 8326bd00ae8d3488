"""Targets in this process, with a gateway's controls in miniature: for tests, measurements and Python callables."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypedDict, Unpack

import numpy as np

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.reference.base import ModelAnswer, Reference, TaughtModel
from threatmatrix.emulate.target import Answer, FloatArray, IntArray, Model, Rows
from threatmatrix.model.errors import BudgetExhausted, TargetError, TargetRefused, UsageError

__all__ = ["InProcess", "InProcessFunction", "InProcessTarget", "Manners"]


class Manners(TypedDict, total=False):
    """How a target in this process behaves.

    ``noise_sigma``: gaussian noise on every row of numbers, clipped to the bounds. ``refuse(key, rows)`` True: the
    request is refused with 403. ``gives_scores`` False: labels only. ``max_queries``: a hard budget in rows.
    ``pause``: called for the seconds that an attacker waits; without it they are only counted, in ``paused``.
    """

    accounts: AccountPool | None
    noise_sigma: float
    gives_scores: bool
    refuse: Callable[[str, int], bool]
    max_queries: int | None
    pause: Callable[[float], None]
    seed: int


class _Local(ABC):
    def __init__(
        self, input_shape: tuple[int, ...], classes: int, bounds: tuple[float, float], **manners: Unpack[Manners]
    ) -> None:
        self.input_shape = input_shape
        self.classes = classes
        self.bounds = bounds
        self.accounts = manners.get("accounts") or AccountPool()
        self.correlation = "in-process"
        self.queries = 0
        self.paused = 0.0
        self._pause = manners.get("pause", _no_time)
        self._limit = manners.get("max_queries")
        self._sigma = manners.get("noise_sigma", 0.0)
        self._gives_scores = manners.get("gives_scores", True)
        self._refuse = manners.get("refuse", _never)
        self._rng = np.random.default_rng([manners.get("seed", 0), 0x7A46])

    def ask(self, x: Rows, *, want_scores: bool = False) -> Answer:
        self._admit(len(x))
        if self._sigma and x.dtype.kind == "f":
            x = np.clip(x + self._rng.normal(0.0, self._sigma, x.shape), *self.bounds)
        answer = self._answer(x)
        return Answer(answer.labels, answer.scores if want_scores and self._gives_scores else None, answer.texts)

    def labels(self, x: Rows) -> IntArray:
        return self.ask(x).labels

    def scores(self, x: Rows) -> FloatArray | None:
        return self.ask(x, want_scores=True).scores

    def read_metadata(self) -> dict[str, object]:
        self.queries += 1
        return {"/v2": {"name": "in-process", "version": "1", "extensions": []}}

    def pause(self, seconds: float) -> None:
        """Let so many seconds pass: nothing here depends on time."""
        self.paused += seconds
        self._pause(seconds)

    def _admit(self, rows: int) -> str:
        """Charge rows; the account that sends them."""
        if self._limit is not None and self.queries + rows > self._limit:
            raise BudgetExhausted(f"the budget of {self._limit} queries is used up")
        self.queries += rows
        key = self.accounts.before_request()
        if self._refuse(key, rows):
            raise TargetRefused(403)
        self.accounts.accepted()
        return key

    @abstractmethod
    def _answer(self, x: Rows) -> Answer | ModelAnswer: ...


class InProcessTarget(_Local):
    """A model with scores in this process; see :class:`Manners`."""

    def __init__(self, model: Model, *, bounds: tuple[float, float] = (0.0, 1.0), **manners: Unpack[Manners]) -> None:
        super().__init__((model.inputs,), model.classes, bounds, **manners)
        self.model = model

    def _answer(self, x: Rows) -> Answer:
        scores = self.model.scores(x)
        return Answer(np.argmax(scores, axis=1).astype(np.int64), scores)


class InProcess(_Local):
    """A reference target's model in this process; it is Teachable where the model learns while it serves.

    What it teaches is in the name of the key that is in turn, as a server would have it: by the key's hash.
    """

    def __init__(self, reference: Reference, **manners: Unpack[Manners]) -> None:
        shape = () if reference.width is None else (reference.width,)
        super().__init__(shape, len(reference.classes), reference.bounds, **manners)
        self.reference = reference

    def teach(self, x: Rows, labels: IntArray) -> None:
        model = self._taught()
        key = self._admit(len(x))
        try:
            model.teach(x, np.asarray(labels, dtype=np.int64), _user(key))
        except ValueError as e:
            raise TargetError(f"the target answered HTTP 400: {e}") from e

    def forget(self) -> int:
        model = self._taught()
        users = dict.fromkeys(map(_user, self.accounts.keys))
        self.queries += len(users)
        return sum(model.forget(user) for user in users)

    def _taught(self) -> TaughtModel:
        model = self.reference.model
        if not isinstance(model, TaughtModel):
            raise UsageError(f"the reference target {self.reference.name} takes no feedback")
        return model

    def _answer(self, x: Rows) -> ModelAnswer:
        try:
            return self.reference.model.answer(x)
        except ValueError as e:
            raise TargetError(f"the target answered HTTP 400: {e}") from e


class InProcessFunction(_Local):
    """Any Python function of rows as a target, from Python only: no file and no command line names one.

    ``function``: n rows → Answer, or scores (n, classes), or labels (n,).
    """

    def __init__(
        self,
        function: Callable[[Rows], Answer | FloatArray | IntArray],
        *,
        input_shape: tuple[int, ...],
        classes: int,
        bounds: tuple[float, float] = (0.0, 1.0),
        **manners: Unpack[Manners],
    ) -> None:
        super().__init__(input_shape, classes, bounds, **manners)
        self._function = function

    def _answer(self, x: Rows) -> Answer:
        said = self._function(x)
        if isinstance(said, Answer):
            return said
        values = np.asarray(said)
        if values.shape == (len(x), self.classes):
            return Answer(np.argmax(values, axis=1).astype(np.int64), values.astype(np.float64))
        if values.shape != (len(x),) or values.dtype.kind not in "iu":
            raise TargetError(f"the function gave neither scores ({len(x)}, {self.classes}) nor labels ({len(x)},)")
        return Answer(values.astype(np.int64))


def _no_time(seconds: float) -> None:
    del seconds


def _never(key: str, rows: int) -> bool:
    del key, rows
    return False


def _user(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
