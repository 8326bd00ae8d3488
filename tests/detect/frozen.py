"""A snapshot as a file: JSON beside an npz that is read without pickle, so that only plain data gets through."""

from __future__ import annotations

import io
import json
from base64 import b64decode, b64encode
from typing import Any

import numpy as np


def freeze(state: Any) -> bytes:
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_plain(state, arrays), allow_nan=False)
    file = io.BytesIO()
    np.savez(file, **{"json": np.frombuffer(text.encode(), np.uint8), **arrays})  # type: ignore[arg-type]
    return file.getvalue()


def thaw(data: bytes) -> Any:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return _rich(json.loads(arrays["json"].tobytes()), dict(arrays))


def _plain(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        arrays[f"a{len(arrays)}"] = value
        return {"$array": f"a{len(arrays) - 1}"}
    if type(value) is bytes:
        return {"$bytes": b64encode(value).decode()}
    if type(value) is dict:
        assert all(type(key) is str for key in value), value.keys()
        return {key: _plain(part, arrays) for key, part in value.items()}
    if type(value) is list:
        return [_plain(part, arrays) for part in value]
    assert value is None or type(value) in {str, int, float, bool}, type(value)
    return value


def _rich(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        if "$array" in value:
            return arrays[value["$array"]]
        if "$bytes" in value:
            return b64decode(value["$bytes"])
        return {key: _rich(part, arrays) for key, part in value.items()}
    return [_rich(part, arrays) for part in value] if isinstance(value, list) else value
