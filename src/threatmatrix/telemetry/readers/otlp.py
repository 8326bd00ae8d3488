"""The JSON encoding of OTLP: attributes as plain values, and the numbers that JSON cannot hold.

Source: OpenTelemetry Protocol specification 1.x, "JSON Protobuf Encoding", and ``opentelemetry/proto/common/v1``.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any

from threatmatrix.telemetry.readers.base import Where, reject

__all__ = ["attributes_of", "failed", "hex_id", "number_of", "said"]

_HEX = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)
_ERROR = (2, "STATUS_CODE_ERROR")


def attributes_of(holder: object, where: Where, key: str, wanted: Container[str]) -> dict[str, Any]:
    """Those attributes of a resource, span or log record that are ``wanted``, name → plain value.

    What is no attribute is passed over. Raises FormatError where values are nested too deeply.
    """
    attributes = holder.get("attributes") if isinstance(holder, dict) else None
    if not isinstance(attributes, list):
        return {}
    try:
        return _pairs(attributes, wanted)
    except RecursionError:
        raise reject(where, key, "nested too deeply") from None


def hex_id(value: object) -> str | None:
    """A trace or span id in lower case; None for what is no id, and for the id of no trace (all zeros)."""
    found = value.lower() if isinstance(value, str) else ""
    return found if _HEX.fullmatch(found) and found.strip("0") else None


def number_of(value: object) -> int | None:
    """A 64-bit integer, which JSON has as a text; None for anything else."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**63 else None


def said(attributes: Mapping[str, Any], *names: str) -> str | None:
    """The first of ``names`` that says something: a text, or an integer as text; other values say nothing."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value:
            return value
        if type(value) is int:
            return str(value)
    return None


def failed(status: object) -> bool:
    """Whether a span's status says that it failed."""
    return isinstance(status, dict) and status.get("code") in _ERROR


class _Everything:
    def __contains__(self, name: object) -> bool:
        return True


_EVERYTHING = _Everything()


def _pairs(attributes: list[Any], wanted: Container[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in attributes:
        name = pair.get("key") if isinstance(pair, dict) else None
        if isinstance(name, str) and name in wanted:
            value = pair.get("value")
            held = value.get("stringValue") if isinstance(value, dict) else None
            found[name] = held if isinstance(held, str) else _plain(value)
    return found


def _plain(value: object) -> Any:
    """An AnyValue without its type."""
    if not isinstance(value, dict) or len(value) != 1:
        return None
    ((kind, held),) = value.items()
    if kind == "intValue":
        return int(held) if isinstance(held, str) and re.fullmatch(r"-?[0-9]{1,19}", held, re.ASCII) else held
    if kind == "arrayValue":
        values = held.get("values") if isinstance(held, dict) else None
        return [_plain(item) for item in values] if isinstance(values, list) else []
    if kind == "kvlistValue":
        values = held.get("values") if isinstance(held, dict) else None
        return _pairs(values, _EVERYTHING) if isinstance(values, list) else {}
    return held
