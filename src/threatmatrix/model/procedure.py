"""How a technique is carried out, and how a case study is run: procedures, and what a replay needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "Access",
    "ExpectedControl",
    "Modality",
    "Procedure",
    "ProcedureStep",
    "Published",
    "Reference",
    "ReplaySpec",
]

Access = Literal["none", "label", "score", "feedback", "file", "train"]
"""What the attacker needs: nothing, labels, scores, a way to teach the model, its file, a hand in its training data."""

Modality = Literal["vector", "image", "text", "binary", "any"]
"""What one input of the target is."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A source: its title and, where it has one, its address."""

    title: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class ProcedureStep:
    """One attack of a procedure. Later steps see what earlier ones brought back."""

    use: str  # the attack's name in emulate/attacks
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExpectedControl:
    """A control that is measured against the procedure, and what is expected of it."""

    id: str  # of a control of the library
    expected: str  # in words: what it should change
    adaptive: str = ""  # the variant of an attacker who knows of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """How a technique is carried out (fields: docs/library.md). Parsed, not yet bound to a target.

    The steps run in order; the last one is judged: its outcomes are the procedure's, and its random control is run.
    """

    id: str
    name: str
    technique: str
    access: Access
    modality: Modality
    steps: tuple[ProcedureStep, ...]
    max_queries: int  # for each sample, or of the whole where the attack has none: what a dry run multiplies out
    metric: str
    norm: str  # l2 | linf | words | characters | bytes | none
    threshold: float
    control: str  # the random control: an attack, or "same": the last step with chance in place of its knowledge
    idempotent: bool
    destructive: bool
    revert: str
    needs: tuple[str, ...] = ()  # of the target: scores | feedback | store | chat
    inputs: tuple[str, ...] = ()  # what must be held already: outputs of earlier procedures, or the user's files
    outputs: tuple[str, ...] = ()  # what it leaves for later procedures
    warm_up: tuple[ProcedureStep, ...] = ()
    rps: float | None = None  # requests a second, where lower than the scope's
    seconds: float | None = None  # of wall time, for one run
    expected_telemetry: tuple[str, ...] = ()  # categories of events
    expected_detections: tuple[str, ...] = ()
    controls: tuple[ExpectedControl, ...] = ()
    description: str = ""
    references: tuple[Reference, ...] = ()

    @property
    def use(self) -> str:
        """The attack that is judged."""
        return self.steps[-1].use

    @property
    def params(self) -> dict[str, Any]:
        """Its parameters."""
        return self.steps[-1].params


@dataclass(frozen=True, slots=True)
class Published:
    """A figure of the real case, to be read beside ours. ``reach``: ours should be at least, or at most, as large."""

    figure: str  # name of the figure that the replay measures
    value: float
    reach: Literal["at-least", "at-most"]
    unit: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySpec:
    """How a case study is run end to end on a reference target (replay.yaml)."""

    target: str
    samples: int
    params: dict[str, Any]
    small: dict[str, Any] = field(default_factory=dict)  # params (and samples) of the profile that the tests run
    judged: str = ""  # the procedure whose success is the case's effect; empty: the loop of an attack by queries
    adaptive: str = ""  # the variant that an attacker who knows of the response runs
    effect: str = ""  # what counts as success of one unit, in words
    mirror: str = ""  # what stands for what in the real case, and why the effect has the same cause
    store: bool = False  # an artefact store with accounts stands beside the model
    published: tuple[Published, ...] = ()
