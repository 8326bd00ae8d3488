"""One Pydantic model for every kind of file that people write: the library's, systems.yaml, scope.yaml.

The models are strict: an unknown key, a number in quotes, a list where a word belongs are errors.
``knowledge.check`` turns such errors into one line with file, key, line and the valid choices;
``knowledge.jsonschemas`` writes the same models as JSON Schemas for editors and other tools.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, RootModel

from threatmatrix.knowledge.schema_types import Attack, Line, Prose, Scalar, Share, Slug, StrictModel
from threatmatrix.knowledge.schemas_matrix import (
    CaseFile,
    MatrixFile,
    MitigationFile,
    ReferenceEntry,
    TechniqueFile,
    VulnerabilityFile,
)
from threatmatrix.knowledge.schemas_user import ScopeFile, SystemsFile
from threatmatrix.model.event import Category

__all__ = [
    "KINDS",
    "CaseFile",
    "ControlsFile",
    "MatrixFile",
    "MitigationFile",
    "ProcedureFile",
    "ReferenceEntry",
    "ReplayFile",
    "ScopeFile",
    "SystemsFile",
    "TechniqueFile",
    "VulnerabilityFile",
]


class BudgetEntry(StrictModel):
    """What the procedure may cost at most."""

    max_queries: Annotated[int, Field(ge=0)]
    rps: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None
    seconds: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None


class SuccessEntry(StrictModel):
    """When the procedure has worked, and what it is compared with."""

    metric: Attack
    norm: Literal["l2", "linf", "words", "characters", "bytes", "none"]
    threshold: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    control: Attack | Literal[""] = ""


class SafetyEntry(StrictModel):
    """What it leaves behind, and how that is undone."""

    idempotent: bool
    destructive: bool
    revert: Line


class StepEntry(StrictModel):
    """One attack, by its name in ``threatmatrix emulate attacks``."""

    use: Attack
    params: dict[Attack, Scalar | list[Scalar]] = Field(default_factory=dict)


class ExpectedControlEntry(StrictModel):
    """A control of the library that is measured against the procedure."""

    id: Slug
    expected: Line
    adaptive: Line | Literal[""] = ""


class ProcedureFile(StrictModel):
    """procedures/<id>.yaml: how the technique is carried out."""

    id: Slug
    name: Line
    description: Prose
    access: Literal["none", "label", "score", "feedback", "file", "train"]
    modality: Literal["vector", "image", "text", "binary", "any"]
    needs: list[Literal["scores", "feedback", "store", "chat"]] = Field(default_factory=list)
    inputs: list[Attack] = Field(default_factory=list)
    outputs: list[Attack] = Field(default_factory=list)
    warm_up: list[StepEntry] = Field(default_factory=list)
    steps: Annotated[list[StepEntry], Field(min_length=1)]
    budget: BudgetEntry
    success: SuccessEntry
    safety: SafetyEntry
    expected_telemetry: list[Literal[get_args(Category)]] = Field(default_factory=list)  # type: ignore[valid-type]
    expected_detections: list[Line] = Field(default_factory=list)
    controls: list[ExpectedControlEntry] = Field(default_factory=list)
    references: list[ReferenceEntry] = Field(default_factory=list)


class BlockPolicy(StrictModel):
    """Refuse a principal."""

    kind: Literal["block"]


class QueryBudgetPolicy(StrictModel):
    """Each principal may ask so often within a sliding window."""

    kind: Literal["query_budget"]
    queries: Annotated[int, Field(ge=1)]
    window_seconds: Annotated[float, Field(gt=0.0)]


class InputNoisePolicy(StrictModel):
    """Gaussian noise on the numeric input, sigma in input units."""

    kind: Literal["input_noise"]
    sigma: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class RoundScoresPolicy(StrictModel):
    """Scores leave with so many decimals."""

    kind: Literal["round_scores"]
    decimals: Annotated[int, Field(ge=0, le=15)]


class Top1Policy(StrictModel):
    """Only the label leaves, no scores."""

    kind: Literal["top1"]


Policy = Annotated[
    BlockPolicy | QueryBudgetPolicy | InputNoisePolicy | RoundScoresPolicy | Top1Policy,
    Field(discriminator="kind"),
]


class MeasuredEntry(StrictModel):
    """The effect as somebody measured it: attack success before and after, over n samples."""

    attack: Line
    before: Share
    after: Share
    n: Annotated[int, Field(ge=1)]
    source: Line


class ControlEntry(StrictModel):
    """A mitigation that the gateway can run."""

    id: Slug
    name: Line
    description: Prose
    policy: Policy
    measured: MeasuredEntry
    cost: Prose
    defeated_by: Prose


class ControlsFile(RootModel[list[ControlEntry]]):
    """controls.yaml: a list of controls."""

    model_config = ConfigDict(strict=True, frozen=True)


class PublishedEntry(StrictModel):
    """A figure of the real case, to be read beside the replay's own."""

    figure: Attack
    value: Annotated[float, Field(allow_inf_nan=False)]
    reach: Literal["at-least", "at-most"]
    unit: Line
    source: Line


class ReplayFile(StrictModel):
    """replay.yaml: how the case study is run on a reference target."""

    target: Slug
    samples: Annotated[int, Field(ge=1)]
    params: dict[Attack, Scalar] = Field(default_factory=dict)
    small: dict[Attack, Scalar] = Field(default_factory=dict)
    judged: Slug | Literal[""] = ""
    adaptive: Line | Literal[""] = ""
    effect: Line | Literal[""] = ""
    mirror: Prose | Literal[""] = ""
    store: bool = False
    published: list[PublishedEntry] = Field(default_factory=list)


KINDS: dict[str, type[BaseModel]] = {
    "matrix": MatrixFile,
    "technique": TechniqueFile,
    "procedure": ProcedureFile,
    "controls": ControlsFile,
    "case": CaseFile,
    "replay": ReplayFile,
    "mitigation": MitigationFile,
    "vulnerability": VulnerabilityFile,
    "systems": SystemsFile,
    "scope": ScopeFile,
}
"""Kind of file → its model; the name of its JSON Schema."""


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys that a mapping of this kind may have, in the order in which they are documented."""
    return tuple(model.model_fields)


def plain(entry: BaseModel) -> dict[str, Any]:
    """A checked entry as plain data."""
    return entry.model_dump(mode="python")
