"""The parts of an ``Edition`` as plain data (what JSON can hold) and back. Fields at their default are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from threatmatrix.model.edition import (
    EditionCase,
    EditionMitigation,
    EditionStep,
    EditionTactic,
    EditionTechnique,
    EditionVulnerability,
    Mitigates,
    Note,
)
from threatmatrix.model.procedure import Reference

__all__ = ["ENTRIES", "built", "plain"]

ENTRIES: dict[str, type] = {
    "tactics": EditionTactic,
    "techniques": EditionTechnique,
    "mitigations": EditionMitigation,
    "cases": EditionCase,
    "vulnerabilities": EditionVulnerability,
}
"""Field of ``Edition`` → what stands in it."""

_PARTS: dict[str, type] = {
    **ENTRIES,
    "references": Reference,
    "mitigates": Mitigates,
    "steps": EditionStep,
    "notes": Note,
}


def plain(value: Any) -> Any:
    """Plain data; the keys of ``extra`` are sorted, so that equal values give equal data."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            item.name: plain(held) for item in fields(value) if (held := getattr(value, item.name)) != _default(item)
        }
    if isinstance(value, Mapping):
        return {key: plain(value[key]) for key in sorted(value)}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def built(kind: type, data: Mapping[str, Any]) -> Any:
    """A part of an edition from plain data that a schema has accepted."""
    return kind(**{name: field_value(name, value) for name, value in data.items()})


def field_value(name: str, value: Any) -> Any:
    """The value of the field ``name`` from plain data."""
    if name == "extra" or not isinstance(value, list):
        return value
    part = _PARTS.get(name)
    # a vulnerability's ``techniques`` are ids
    return tuple(built(part, item) if part and isinstance(item, dict) else item for item in value)


def _default(item: Any) -> Any:
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.default
