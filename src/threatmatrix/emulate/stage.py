"""What an attack on everything at once has at hand, and what it brings back.

Attacks on one input at a time are generators (attacks/base.py). Stealing a model, poisoning its training, reading
training data out of it, or an ordinary login are not: such an attack is a function of a :class:`Stage`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from threatmatrix.emulate.params import parse_params
from threatmatrix.emulate.target import IntArray, Rows, Store, Target, Teachable
from threatmatrix.model.errors import UsageError
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["Brought", "Samples", "Stage", "Whole"]

P = TypeVar("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Samples:
    """n inputs and their true labels (n,) int64."""

    x: Rows
    y: IntArray

    def __len__(self) -> int:
        return len(self.y)

    def at(self, index: IntArray) -> Samples:
        """Those of the indices, in their order."""
        return Samples(self.x[index], self.y[index])


def _say_nothing(text: str) -> None:
    del text


@dataclass(slots=True, kw_only=True)
class Stage:
    """One step of a procedure, about to run.

    ``target`` counts and bounds what the attack asks; ``judge`` is an auditor's client: fresh queries that measure the
    effect and are none of the attack's. ``control``: do the same with chance in place of knowledge, at the same cost.
    ``held``: what earlier steps and procedures brought back, by name. ``budget``: rows that this step may send.
    """

    target: Target
    judge: Target
    samples: Samples
    rng: np.random.Generator
    params: Mapping[str, Any]
    budget: int
    norm: str = "none"
    threshold: float = 0.0
    control: bool = False
    held: Mapping[str, Any] = field(default_factory=dict)
    teacher: Teachable | None = None
    store: Store | None = None
    report: Callable[[str], None] = _say_nothing

    def settings(self, kind: type[P]) -> P:
        """The step's parameters; raises FormatError that names an unknown key or a wrong type."""
        return parse_params(kind, dict(self.params))

    def take(self, name: str, kind: type[T]) -> T:
        """What an earlier step left under a name; raises UsageError where it is missing or something else."""
        value = self.held.get(name)
        if isinstance(value, Samples) and kind in (np.ndarray, tuple):  # a file of samples gives its inputs
            value = value.x if kind is np.ndarray else tuple(value.x)
        if not isinstance(value, kind):
            had = ", ".join(f"{each} ({type(self.held[each]).__name__})" for each in sorted(self.held)) or "nothing"
            raise UsageError(
                f"this attack needs {name!r} ({kind.__name__}), and what is held is: {had}",
                hint="Run the procedure that brings it first, or give it with --input",
            )
        return value

    def teaching(self) -> Teachable:
        """Where the target is taught; raises UsageError where it takes no feedback."""
        if self.teacher is None:
            raise UsageError("this attack teaches the model, and the target takes no feedback")
        return self.teacher

    def storing(self) -> Store:
        """The artefact store; raises UsageError where there is none."""
        if self.store is None:
            raise UsageError("this attack needs an artefact store, and the target has none")
        return self.store


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What an attack brings back.

    ``outcomes``: one for each unit that success is counted over (a mail, a held-out input, a person), confirmed by
    ``stage.judge``; ``SampleOutcome.before`` says whether it was so without the attack. None for a step that only
    prepares. ``holds``: for later steps. ``figures``: measures by name, finite numbers.
    """

    outcomes: tuple[SampleOutcome, ...] = ()
    holds: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)


Whole = Callable[[Stage], Brought]
"""An attack on everything at once. Raises what its target raises; a refusal (TargetRefused) may end it early."""
