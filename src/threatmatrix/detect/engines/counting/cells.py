"""Values of fields at rest: one column for each kind of value, so that a snapshot of many is small and quick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from threatmatrix.detect.state import State, ints, ints_of, names, names_of

__all__ = ["keep_cells", "keep_tuples", "kept_cells", "kept_tuples", "thawed"]

_NONE, _INT, _FLOAT, _TEXT, _OTHER = range(5)
_LARGEST = 2**63


def keep_tuples(tuples: Sequence[tuple[Any, ...]]) -> State:
    """Tuples of one length each, as columns."""
    width = len(tuples[0]) if tuples else 0
    return {"count": len(tuples), "columns": [keep_cells([each[at] for each in tuples]) for at in range(width)]}


def kept_tuples(state: State) -> list[tuple[Any, ...]]:
    """The tuples of :func:`keep_tuples`."""
    columns = [kept_cells(column) for column in state["columns"]]
    return list(zip(*columns, strict=True)) if columns else [()] * int(state["count"])


def keep_cells(values: Sequence[Any]) -> State:
    """None, whole numbers, DOUBLEs, texts, and tuples of these."""
    kinds = [_kind(value) for value in values]
    return {
        "kinds": ints(kinds),
        "ints": ints([value for value, kind in zip(values, kinds, strict=True) if kind == _INT]),
        "floats": np.array([value for value, kind in zip(values, kinds, strict=True) if kind == _FLOAT], np.float64),
        "texts": names([value for value, kind in zip(values, kinds, strict=True) if kind == _TEXT]),
        "others": [_plain(value) for value, kind in zip(values, kinds, strict=True) if kind == _OTHER],
    }


def kept_cells(state: State) -> list[Any]:
    """The values of :func:`keep_cells`."""
    floats = state["floats"]
    if not isinstance(floats, np.ndarray) or floats.dtype != np.float64:
        raise TypeError("not a column of numbers")
    columns = {
        _INT: iter(ints_of(state["ints"])),
        _FLOAT: iter(floats.tolist()),
        _TEXT: iter(names_of(state["texts"])),
        _OTHER: iter([thawed(value) for value in state["others"]]),
    }
    return [None if kind == _NONE else next(columns[kind]) for kind in ints_of(state["kinds"])]


def thawed(value: Any) -> Any:
    """JSON has no tuples: lists stand for them."""
    return tuple(map(thawed, value)) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def _kind(value: Any) -> int:
    if value is None:
        return _NONE
    if isinstance(value, str):
        return _TEXT
    if isinstance(value, float):
        return _FLOAT
    if type(value) is int and -_LARGEST <= value < _LARGEST:
        return _INT
    return _OTHER
