"""State at rest: nested dicts and lists of JSON types, bytes and NumPy arrays; columns instead of objects.

Nothing in a snapshot can run when it is read: no object is named in it, and no part of it is code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from threatmatrix.model.errors import FormatError

__all__ = [
    "VERSION",
    "State",
    "check",
    "header",
    "hexes",
    "hexes_of",
    "ints",
    "ints_of",
    "names",
    "names_of",
    "runs",
    "runs_of",
    "texts",
    "texts_of",
    "understood",
]

State: TypeAlias = dict[str, Any]

VERSION = 1
_HEX = re.compile(r"[0-9a-f]*")
_WHAT = "detection state"
_MEND = "Start without it: detection begins with an empty memory"


def header(kind: str) -> State:
    """What a snapshot begins with."""
    return {"kind": kind, "version": VERSION}


def check(state: object, kind: str) -> State:
    """The same snapshot, if it is one of this kind and version. Raises FormatError."""
    found = state.get("kind") if isinstance(state, dict) else None
    if not isinstance(state, dict) or found != kind:
        raise FormatError(_WHAT, f"is not a snapshot of {kind!r}", hint=_MEND)
    if state.get("version") != VERSION:
        hint = f"This release reads version {VERSION}. {_MEND}"
        raise FormatError(_WHAT, "is of another version", key="version", hint=hint)
    return state


@contextmanager
def understood(kind: str) -> Iterator[None]:
    """Turn whatever goes wrong while a snapshot is read into a FormatError."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise FormatError(_WHAT, f"is a damaged snapshot of {kind!r} ({type(error).__name__})", hint=_MEND) from error


def ints(values: Sequence[int]) -> NDArray[np.int64]:
    """(n,) int64."""
    return np.fromiter(values, np.int64, len(values))


def ints_of(column: object) -> list[int]:
    """The values of :func:`ints`; refuses any other array."""
    if not isinstance(column, np.ndarray) or column.ndim != 1 or column.dtype != np.int64:
        raise TypeError("not a column of whole numbers")
    found: list[int] = column.tolist()
    return found


def texts(values: Sequence[str]) -> State:
    """Texts as one run of UTF-8 and their lengths in characters."""
    data = "".join(values).encode("utf-8", "surrogatepass")
    return {"data": data, "lengths": ints(list(map(len, values)))}


def texts_of(column: State) -> list[str]:
    """The values of :func:`texts`."""
    whole = bytes(column["data"]).decode("utf-8", "surrogatepass")
    return [whole[begin:end] for begin, end in _edges(column["lengths"], len(whole))]


def hexes(values: Sequence[str]) -> State:
    """Texts that are mostly hex digits of one length (fingerprints): as bytes where all are, else as :func:`texts`."""
    joined = "".join(values)
    size = len(values[0]) if values else 0
    if size and not size % 2 and set(map(len, values)) == {size} and _HEX.fullmatch(joined):
        return {"hex": bytes.fromhex(joined), "size": size}
    return {"texts": texts(values)}


def hexes_of(column: State) -> list[str]:
    """The values of :func:`hexes`."""
    if "texts" in column:
        return texts_of(column["texts"])
    whole, size = bytes(column["hex"]).hex(), int(column["size"])
    return [whole[begin : begin + size] for begin in range(0, len(whole), size)]


def names(values: Sequence[str]) -> State:
    """Texts of which few differ: each once, and which of them stands where."""
    known: dict[str, int] = {}
    codes = ints([known.setdefault(value, len(known)) for value in values])
    return {"names": texts(list(known)), "codes": codes}


def names_of(column: State) -> list[str]:
    """The values of :func:`names`."""
    known = texts_of(column["names"])
    return [known[code] for code in ints_of(column["codes"])]


def runs(groups: Sequence[Sequence[Any]]) -> NDArray[np.int64]:
    """Lengths of lists that are kept one after the other."""
    return ints(list(map(len, groups)))


def runs_of(lengths: object, values: list[Any]) -> list[list[Any]]:
    """The lists again."""
    return [values[begin:end] for begin, end in _edges(lengths, len(values))]


def _edges(lengths: object, total: int) -> Iterator[tuple[int, int]]:
    sizes = ints_of(lengths)
    if (sizes and min(sizes) < 0) or sum(sizes) != total:
        raise ValueError("lengths do not add up")
    return pairwise([0, *np.cumsum(np.array(sizes, np.int64)).tolist()])
