"""A snapshot: everything that is known after a batch, in one file of arrays and JSON."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from threatmatrix.model.errors import FormatError
from threatmatrix.workflows.watch.durable import write_whole

__all__ = ["load_snapshot", "save_snapshot"]

_HINT = "Restore it from a backup; or remove the watch's folder: its logs are then read again from their start"
_JSON = "json"
_DEEPEST = 64


def save_snapshot(path: Path, state: Mapping[str, Any]) -> int:
    """Write nested dicts and lists of JSON types, bytes and arrays; gives the size in bytes.

    Raises OSError, TypeError for anything else in it.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    plain = _lift(state, arrays)
    arrays[_JSON] = np.frombuffer(json.dumps(plain, separators=(",", ":")).encode("ascii"), np.uint8)
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
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
        state = _lower(json.loads(found.pop(_JSON).tobytes()), found, 0)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise FormatError(path, f"is no sound snapshot ({type(error).__name__})", hint=_HINT) from error
    if not isinstance(state, dict):
        raise FormatError(path, "is no snapshot", hint=_HINT)
    return state


def _lift(value: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """JSON with arrays and bytes taken out, by number."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes | np.ndarray):
        name = str(len(arrays))
        array = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else value
        if array.dtype.hasobject:
            raise TypeError("an array of objects cannot be kept")
        arrays[name] = array
        return {"$bytes" if isinstance(value, bytes) else "$array": name}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) and not key.startswith("$") for key in value):
            raise TypeError("a key that is no text, or begins with $, cannot be kept in a snapshot")
        return {key: _lift(item, arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_lift(item, arrays) for item in value]
    raise TypeError(f"{type(value).__name__} cannot be kept in a snapshot")


def _lower(value: Any, arrays: Mapping[str, np.ndarray[Any, Any]], depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [_lower(item, arrays, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$bytes"}:
        return arrays[value["$bytes"]].tobytes()
    if value.keys() == {"$array"}:
        return arrays[value["$array"]]
    return {key: _lower(item, arrays, depth + 1) for key, item in value.items()}
