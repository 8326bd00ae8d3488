"""Inference answers of the Open Inference Protocol v2: labels and scores by row."""

from __future__ import annotations

import json
import math
from itertools import chain
from typing import Any, NamedTuple

from threatmatrix.telemetry.inputs.oip import BodyProblem

__all__ = ["InferAnswer", "parse_answer", "read_outputs"]

_NUMBERS = frozenset({int, float})


class InferAnswer(NamedTuple):
    """An answer's JSON, and per row its label (None: none) and its scores as they are logged."""

    document: dict[str, Any]
    labels: list[str] | None
    scores: list[list[float]] | None


def parse_answer(body: bytes, rows: int, *, label: str = "label", scores: str = "scores") -> InferAnswer:
    """Answer of the app → labels and scores by row; tensors that do not fit ``rows`` are left out.

    Raises ``BodyProblem`` if the body is not an answer at all.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise BodyProblem("the answer is not JSON", opaque=True) from None
    if not isinstance(document, dict) or not isinstance(document.get("outputs"), list):
        raise BodyProblem("the answer has no outputs", opaque=True)
    return read_outputs(document, rows, label, scores)


def read_outputs(document: dict[str, Any], rows: int, label: str, scores: str) -> InferAnswer:
    """Labels and scores of a decoded answer."""
    found: dict[object, Any] = {}
    for output in document["outputs"]:
        if isinstance(output, dict) and isinstance(output.get("data"), list) and isinstance(output.get("name"), str):
            found[output["name"]] = output["data"]
    values = _score_rows(found[scores], rows) if scores in found else None
    names = _label_rows(found[label], rows) if label in found else None
    if names is None and values is not None:
        names = [str(row.index(max(row))) for row in values]
    return InferAnswer(document, names, values)


def _score_rows(data: list[Any], rows: int) -> list[list[float]] | None:
    nested = bool(data) and type(data[0]) is list
    if nested and (len(data) != rows or any(type(row) is not list or len(row) != len(data[0]) for row in data)):
        return None
    flat = list(chain.from_iterable(data)) if nested else data
    if not flat or len(flat) % rows or not _NUMBERS.issuperset(map(type, flat)):
        return None
    try:
        if not math.isfinite(sum(flat)):
            return None
    except OverflowError:  # a huge integer
        return None
    width = len(flat) // rows
    return data if nested else [flat[start : start + width] for start in range(0, len(flat), width)]


def _label_rows(data: list[Any], rows: int) -> list[str] | None:
    flat = [part[0] if isinstance(part, list) and len(part) == 1 else part for part in data]
    if len(flat) != rows or any(not isinstance(part, (int, str, float)) for part in flat):
        return None
    return [_readable(str(part)[:256]) for part in flat]


def _readable(text: str) -> str:
    """Text without lone surrogates, which JSON can carry and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
