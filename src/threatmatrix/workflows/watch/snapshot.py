"""A snapshot: everything that is known after a batch, in one file of arrays and JSON."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from threatmatrix.model.errors import FormatError
from threatmatrix.workflows.watch.durable import write_whole

__all__ = ["load_snapshot", "save_snapshot"]

_HINT = "Restore it from a backup; or remove the watch's folder: its logs are then read again from their start"
_JSON, _RAW = "json", "raw"
_DEEPEST = 64
_NONE = type(None)
_PLAIN = frozenset({_NONE, bool, int, float, str})
_BYTES = frozenset({_NONE, bytes})


def save_snapshot(path: Path, state: Mapping[str, Any]) -> int:
    """Write nested dicts and lists of JSON types, bytes and arrays; gives the size in bytes.

    Raises OSError, TypeError for anything else in it.
    """
    lifted = _Lifted()
    plain = lifted.lift(state)
    members = lifted.arrays
    members[_RAW] = np.frombuffer(b"".join(lifted.chunks), np.uint8)
    lifted.chunks.clear()
    text = json.dumps(plain, separators=(",", ":"), check_circular=False)
    members[_JSON] = np.frombuffer(text.encode("ascii"), np.uint8)
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **members)
    view = content.getbuffer()
    try:
        write_whole(path, (view,))
        return len(view)
    finally:
        view.release()


def load_snapshot(path: Path) -> dict[str, Any] | None:
    """What was saved; None where nothing was. Raises FormatError where it is damaged; nothing in it can run."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        plain, raw = json.loads(found.pop(_JSON).tobytes()), found.pop(_RAW).tobytes()
        state = _lower(plain, found, raw, 0)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise FormatError(path, f"is no sound snapshot ({type(error).__name__})", hint=_HINT) from error
    if not isinstance(state, dict):
        raise FormatError(path, "is no snapshot", hint=_HINT)
    return state


class _Lifted:
    """JSON with arrays and bytes taken out: arrays by number, bytes by their place among all bytes.

    Remembered events are lists of a hundred thousand plain values or short byte strings: those are looked at by type,
    not one by one, and their bytes are no member of the file each.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.chunks: list[bytes] = []
        self._size = 0

    def lift(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, list | tuple):
            return self._list(value)
        if isinstance(value, Mapping):
            if not all(isinstance(key, str) and not key.startswith("$") for key in value):
                raise TypeError("a key that is no text, or begins with $, cannot be kept in a snapshot")
            return {key: self.lift(item) for key, item in value.items()}
        if isinstance(value, bytes):
            return {"$bytes": self._keep([value]), "length": len(value)}
        return {"$array": self._member(value)}

    def _list(self, value: Sequence[Any]) -> Any:
        kinds = set(map(type, value))
        if kinds <= _PLAIN:
            return value
        if kinds <= _BYTES:
            return {"$bytes": self._keep(value), "lengths": [None if cell is None else len(cell) for cell in value]}
        return list(map(self.lift, value))

    def _keep(self, cells: Sequence[bytes | None]) -> int:
        """Where they begin."""
        start, data = self._size, b"".join(filter(None, cells))
        self.chunks.append(data)
        self._size += len(data)
        return start

    def _member(self, array: Any) -> str:
        if not isinstance(array, np.ndarray) or array.dtype.hasobject:
            raise TypeError(f"{type(array).__name__} cannot be kept in a snapshot")
        name = str(len(self.arrays))
        self.arrays[name] = array
        return name


def _lower(value: Any, arrays: Mapping[str, np.ndarray[Any, Any]], raw: bytes, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        plain = set(map(type, value)) <= _PLAIN
        return value if plain else [_lower(item, arrays, raw, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if "$bytes" in value:
        one = "length" in value
        cells = _cut(raw, value["$bytes"], [value["length"]] if one else value["lengths"])
        return cells[0] if one else cells
    if "$array" in value:
        return arrays[value["$array"]]
    return {key: _lower(item, arrays, raw, depth + 1) for key, item in value.items()}


def _cut(raw: bytes, at: int, lengths: Sequence[int | None]) -> list[bytes | None]:
    found: list[bytes | None] = []
    for length in lengths:
        if length is None:
            found.append(None)
            continue
        if length < 0 or at < 0 or at + length > len(raw):
            raise ValueError("bytes beyond the end")
        found.append(raw[at : at + length])
        at += length
    return found
