"""Run an attack of a library on samples, and confirm what it reached as our own are confirmed."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import MappingProxyType
from typing import Any

import numpy as np

from threatmatrix.emulate.confirm import confirmed
from threatmatrix.emulate.crosscheck.meter import Enough, Meter
from threatmatrix.emulate.target import IntArray, Rows, Target
from threatmatrix.model.errors import TargetRefused, UnknownNameError
from threatmatrix.model.evidence import AttackResult, SampleOutcome
from threatmatrix.model.procedure import Procedure

__all__ = ["LIBRARIES", "cross_check", "cross_checks"]

LIBRARIES: MappingProxyType[str, str] = MappingProxyType({"art": "ART 1.20", "foolbox": "foolbox 3.3"})


def _library(name: str) -> Any:
    if name not in LIBRARIES:
        raise UnknownNameError("library", name, LIBRARIES)
    return import_module(f"threatmatrix.emulate.crosscheck.{name}")


def cross_checks(library: str) -> tuple[str, ...]:
    """Names of our attacks that the library has too; raises UnknownNameError. Needs no extra."""
    return tuple(_library(library).ATTACKS)


def cross_check(
    procedure: Procedure,
    target: Target,
    samples: Rows,
    labels: IntArray,
    *,
    library: str,
    seed: int,
    confirm_target: Target,
    max_queries: int | None = None,
) -> AttackResult:
    """Carry out a procedure's last step by a library: same samples (n rows), norm, threshold and budget for each.

    The result's variant is ``crosscheck-art`` or ``crosscheck-foolbox``. A library stops at the first point within the
    threshold that the target gets wrong, as ours do, and at the budget. The libraries draw from the global generators
    of NumPy and of Python: both are seeded by (seed, index) for each sample and put back afterwards.
    The start of ART's HopSkipJump and Boundary is drawn from a third one, which nobody can seed: theirs differ a little
    from run to run.

    Raises UnknownNameError where the library has no such attack, MissingExtraError without ``[crosscheck]``, and what
    the target raises, except for a refusal: that ends the sample.
    """
    use, hands = procedure.steps[-1].use, _library(library)
    if use not in hands.ATTACKS:
        raise UnknownNameError(f"attack of {LIBRARIES[library]}", use, hands.ATTACKS)
    started, asked, outcomes = time.monotonic(), confirm_target.queries, []
    for index, (row, label) in enumerate(zip(samples, labels, strict=True)):
        meter = Meter(
            target, np.asarray(row, dtype=np.float64).ravel(), int(label),
            budget=max_queries or procedure.max_queries, norm=procedure.norm, threshold=procedure.threshold,
            want_scores=procedure.access == "score",
        )  # fmt: skip
        refused = _attack(hands, use, meter, [seed, index])
        outcomes.append(_judged(meter, index, procedure, confirm_target, refused=refused))
    queries = sum(outcome.queries for outcome in outcomes)
    mine = queries if confirm_target is target else 0
    return AttackResult(
        procedure=procedure.id, technique=procedure.technique, variant=f"crosscheck-{library}", norm=procedure.norm,
        threshold=procedure.threshold, outcomes=tuple(outcomes), queries=queries,
        confirm_queries=confirm_target.queries - asked - mine, seed=seed, correlation=target.correlation,
        seconds=time.monotonic() - started,
    )  # fmt: skip


def _attack(hands: Any, use: str, meter: Meter, seed: list[int]) -> bool:
    """Run it; whether the defender said no."""
    try:
        with _global_draws(seed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a library says about itself
            hands.attack(use, meter)
    except Enough:
        pass
    except TargetRefused:
        meter.target.accounts.refused()
        return True
    return False


def _judged(meter: Meter, index: int, procedure: Procedure, target: Target, *, refused: bool) -> SampleOutcome:
    success, away = confirmed(target, meter.x, meter.y, meter.best, norm=procedure.norm, threshold=procedure.threshold)
    return SampleOutcome(
        index=index, claimed=meter.claimed, confirmed=success, queries=meter.spent, distance=away, refused=refused
    )


@contextmanager
def _global_draws(seed: list[int]) -> Iterator[None]:
    """The global generators of NumPy and of Python, seeded, and put back as they were."""
    before, plain = np.random.get_state(), random.getstate()
    words = np.random.SeedSequence(seed).generate_state(4)
    np.random.seed(words)
    random.seed(words.tobytes())
    try:
        yield
    finally:
        np.random.set_state(before)
        random.setstate(plain)
