"""Read metadata: what an endpoint of the Open Inference Protocol tells to whoever asks.

Source: Open Inference Protocol v2 (KServe), sections Server Metadata, Model Metadata and Model Ready.
Access: none (no inference). Cost: three reads, each counted as one query, as each is one line in the
defender's log. There is no norm and no confirmation: a read is its own proof.

Result: one outcome, e.g. ``SampleOutcome(index=0, claimed=True, confirmed=True, queries=3,
distance=0.0, refused=False)``; claimed where the reads gave anything, confirmed where they gave the
names of an input and an output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import Target
from threatmatrix.model.errors import TargetRefused
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["ModelCard", "ReadMetadataParams", "read_card", "read_metadata"]


@dataclass(frozen=True, slots=True)
class ReadMetadataParams:
    """There is nothing to choose."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What was learned: the server's name, and name, data type and shape of each tensor."""

    server: str
    platform: str
    inputs: tuple[tuple[str, str, tuple[int, ...]], ...]
    outputs: tuple[tuple[str, str, tuple[int, ...]], ...]


def read_metadata(stage: Stage) -> Brought:
    """Three reads; holds the ``card``."""
    stage.settings(ReadMetadataParams)
    target = stage.target
    before = target.queries
    try:
        card = read_card(target)
    except TargetRefused:
        target.accounts.refused()
        spent = target.queries - before
        return Brought(
            outcomes=(
                SampleOutcome(index=0, claimed=False, confirmed=False, queries=spent, distance=0.0, refused=True),
            )
        )
    got = bool(card.server or card.platform or card.inputs or card.outputs)
    outcome = SampleOutcome(
        index=0, claimed=got, confirmed=bool(card.inputs and card.outputs),
        queries=target.queries - before, distance=0.0,
    )  # fmt: skip
    return Brought(outcomes=(outcome,), holds={"card": card})


def read_card(target: Target) -> ModelCard:
    """Read server and model metadata; whatever is missing stays empty. Raises as a Target does."""
    answers = target.read_metadata()
    server = _mapping(answers.get("/v2"))
    model: dict[str, Any] = {}
    for path, answer in answers.items():
        if path.startswith("/v2/models/") and not path.endswith("/ready"):
            model = _mapping(answer)
    return ModelCard(
        str(server.get("name", "")), str(model.get("platform", "")),
        _tensors(model.get("inputs")), _tensors(model.get("outputs")),
    )  # fmt: skip


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _tensors(value: object) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    entries = value if isinstance(value, list) else []
    return tuple(
        (str(e.get("name", "")), str(e.get("datatype", "")), tuple(int(s) for s in e.get("shape", []) if _whole(s)))
        for e in entries
        if isinstance(e, dict) and isinstance(e.get("shape", []), list)
    )


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
