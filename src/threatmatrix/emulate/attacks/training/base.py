"""What attacks on training share: sybils who teach in turn, training again in process, and what a model lets pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from threatmatrix.emulate.attacks.asking import even_shares
from threatmatrix.emulate.stage import Samples, Stage
from threatmatrix.emulate.target import IntArray, Rows
from threatmatrix.model.errors import BudgetExhausted, TargetRefused, UsageError
from threatmatrix.model.evidence import SampleOutcome

__all__ = [
    "BoolArray",
    "Retrain",
    "Retrained",
    "accuracy",
    "aims",
    "outcomes_of",
    "retraining",
    "room",
    "taught_by",
    "typical",
]

BoolArray = NDArray[np.bool_]


class Retrained(Protocol):
    """A model that was trained again; it is asked in process, and nothing of it is served."""

    def answer(self, rows: Rows) -> Any:
        """What has ``labels`` (n,) int64."""


class Retrain(Protocol):
    """The owner's training, as the attacker's data pass through it: the same data give the same model.

    A reference target that can be trained again gives it in ``known["retrain"]``, beside ``known["corpus"]``, the
    training data that an attacker with a hand in the pipeline may write.
    """

    def __call__(self, data: Samples) -> Retrained: ...


def retraining(stage: Stage) -> tuple[Samples, Retrain]:
    """The training data that the attacker may write, and the owner's training; raises UsageError without them."""
    data = stage.take("corpus", Samples)
    retrain = stage.held.get("retrain")
    if not callable(retrain):
        raise UsageError(
            "this attack needs 'retrain', the training of the target's owner",
            hint="Use a reference target whose known things include it: see docs/targets.md",
        )
    return data, retrain


def aims(y: IntArray, source: int, target: int, classes: int) -> tuple[IntArray, IntArray]:
    """Which inputs shall be mistaken, and for what: those of class ``source`` (negative: all) for ``target``
    (negative: the class after their own).
    """
    of = np.flatnonzero((y == source) | (source < 0))
    wanted = (y[of] + 1) % classes if target < 0 else np.full(len(of), target, dtype=np.int64)
    keep = wanted != y[of]
    return of[keep], wanted[keep]


def accuracy(model: Retrained, samples: Samples) -> float:
    """Share of right answers."""
    return float(np.mean(model.answer(samples.x).labels == samples.y))


def room(stage: Stage, start: int) -> int:
    """Rows that the step's budget still pays for; ``start``: the target's count when the step began."""
    return max(0, stage.budget - (stage.target.queries - start))


@contextmanager
def in_turn(stage: Stage) -> Iterator[None]:
    """Every request from the account after the last one's: a crowd."""
    pool = stage.target.accounts
    before = pool.round_robin
    pool.round_robin = True
    try:
        yield
    finally:
        pool.round_robin = before


def taught_by(stage: Stage, data: Samples, each: int, left: int) -> tuple[int, bool]:
    """Accounts in turn teach so many rows at a time; the number of rows that were taken, and whether all were refused.

    A refused account is left for the next one, and its rows are told again by that one. It ends early where no account
    is left, or after ``left`` rows, refused ones too.
    """
    teacher, done, start = stage.teaching(), 0, stage.target.queries
    with in_turn(stage):
        while done < len(data):
            size = min(each, left - (stage.target.queries - start), len(data) - done)
            if size <= 0:
                break
            try:
                teacher.teach(data.x[done : done + size], data.y[done : done + size])
            except TargetRefused:
                if not stage.target.accounts.refused():
                    return done, True
            except BudgetExhausted:
                break
            else:
                done += size
    return done, False


def outcomes_of(
    confirmed: BoolArray, before: BoolArray, claimed: BoolArray, *, queries: int, refused: bool = False
) -> tuple[SampleOutcome, ...]:
    """One outcome for each unit. The queries of an attack on all of them are spread evenly, the rest on the first."""
    return tuple(
        SampleOutcome(
            index=i, claimed=bool(claimed[i]), confirmed=bool(confirmed[i]), queries=share,
            distance=0.0, refused=refused, before=bool(before[i]),
        )
        for i, share in enumerate(even_shares(queries, len(confirmed)))
    )  # fmt: skip


def typical(x: Rows, of: IntArray) -> IntArray:
    """The indices, those nearest to their mean first; texts and files stay in their order."""
    if x.dtype.kind != "f" or not len(of):
        return of
    flat = x[of].reshape(len(of), -1)
    return np.asarray(of[np.argsort(np.linalg.norm(flat - flat.mean(axis=0), axis=1), kind="stable")])
