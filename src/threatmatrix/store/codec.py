"""Nouns to canonical JSON text and back."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from threatmatrix.model.detection import Finding, PrincipalShare, Severity
from threatmatrix.model.errors import StoreError
from threatmatrix.model.evidence import Evidence
from threatmatrix.model.response import ChainStep, Incident, PolicyEntry

__all__ = [
    "canonical",
    "entry_from",
    "evidence_from",
    "finding_from",
    "finite",
    "incident_from",
    "plain",
]


def plain(value: Any) -> Any:
    """What JSON does not know by itself: dataclasses (one level) and NumPy scalars."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be stored")


def canonical(value: Any) -> str:
    """JSON with sorted keys, no spaces, ASCII only: the same value gives the same bytes.

    Raises StoreError for what JSON cannot hold (an infinite number, an object of no plain kind).
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=plain)
    except (TypeError, ValueError) as error:
        raise StoreError(f"cannot be stored as JSON: {error}", hint="Use numbers, text, lists and mappings") from error


def finite(value: Any) -> Any:
    """The same structure with every number that is not finite replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def _shares(items: list[dict[str, Any]]) -> tuple[PrincipalShare, ...]:
    return tuple(PrincipalShare(**item) for item in items)


def finding_from(body: str) -> Finding:
    data = json.loads(body)
    data["severity"] = Severity(data["severity"])
    data["event_ids"] = tuple(data["event_ids"])
    data["principals"] = _shares(data["principals"])
    return Finding(**data)


def incident_from(body: str) -> Incident:
    data = json.loads(body)
    data["severity"] = Severity(data["severity"])
    data["chain"] = tuple(ChainStep(**{**step, "finding_ids": tuple(step["finding_ids"])}) for step in data["chain"])
    data["principals"] = _shares(data["principals"])
    data["finding_ids"] = tuple(data["finding_ids"])
    return Incident(**data)


def entry_from(body: str) -> PolicyEntry:
    return PolicyEntry(**json.loads(body))


def evidence_from(body: str) -> Evidence:
    return Evidence(**json.loads(body))
