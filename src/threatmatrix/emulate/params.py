"""The parameters of a step, as a procedure's YAML gives them, into the dataclass that an attack declares."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from threatmatrix.model.errors import FormatError

__all__ = ["parse_params"]

P = TypeVar("P")


def parse_params(kind: type[P], params: dict[str, Any]) -> P:
    """Make an attack's parameters; raises FormatError that names an unknown key or a wrong type."""
    known: dict[str, Any] = {f.name: f.default for f in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in params.items():
        if key not in known:
            raise FormatError("procedure", "no such parameter", key=f"params.{key}", choices=known)
        values[key] = _of_type(key, value, type(known[key]))
    return kind(**values)


def _of_type(key: str, value: Any, expected: type) -> Any:
    if expected in (int, float) and (
        isinstance(value, bool) or not isinstance(value, (int, float)) or (expected is int and value != int(value))
    ):
        raise FormatError("procedure", f"needs a {expected.__name__}, not {value!r}", key=f"params.{key}")
    if expected in (bool, str) and not isinstance(value, expected):
        raise FormatError("procedure", f"needs a {expected.__name__}, not {value!r}", key=f"params.{key}")
    if expected is tuple and not isinstance(value, (list, tuple)):
        raise FormatError("procedure", f"needs a list, not {value!r}", key=f"params.{key}")
    return expected(value)
