"""The files that lie in an artefact store: weights and tables, written and read without ever running what they hold.

Weights: safetensors (8 bytes little-endian length, a JSON header, raw numbers) or NumPy's ``.npz`` (never with pickle).
Tables: CSV, the label first; or ``.npz`` with ``x`` and ``y``. Floats are written so that they read back bit by bit.
"""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.stage import Samples
from threatmatrix.model.errors import UsageError

__all__ = ["AccessKey", "Credentials", "read_table", "read_weights", "write_npz", "write_table", "write_weights"]

_LARGEST = 64 * 2**20
_HEADER = 8
_ZIP = b"PK\x03\x04"
_TYPES = {"F64": "<f8", "F32": "<f4"}
_ODD = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError, EOFError, RuntimeError,
    csv.Error, zlib.error, BadZipFile,
)  # fmt: skip
"""What comes of a file that is damaged, or was made to break whoever reads it."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account and its password: what ``credentials`` is among the things held."""

    account: str
    password: str


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key: what ``access_key`` is among the things held."""

    key_id: str
    secret: str


def write_weights(model: MLP) -> bytes:
    """A model as safetensors: w0, b0, w1 …"""
    header: dict[str, object] = {}
    parts: list[bytes] = []
    at = 0
    for name, array in _named(model).items():
        raw = np.ascontiguousarray(array, dtype="<f8").tobytes()
        header[name] = {"dtype": "F64", "shape": list(array.shape), "data_offsets": [at, at + len(raw)]}
        parts.append(raw)
        at += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(_HEADER, "little") + text + b"".join(parts)


def write_npz(model: MLP) -> bytes:
    """A model as ``.npz``, as :meth:`MLP.save` lays it out."""
    file = io.BytesIO()
    np.savez(file, **_named(model))  # type: ignore[arg-type]
    return file.getvalue()


def read_weights(content: bytes) -> MLP:
    """What either wrote; raises UsageError for anything else."""
    try:
        arrays = _npz(content) if content.startswith(_ZIP) else _safetensors(content)
        layers = len(arrays) // 2
        return MLP.of([arrays[f"w{i}"] for i in range(layers)], [arrays[f"b{i}"] for i in range(layers)])
    except _ODD as error:
        raise UsageError(f"these are no weights that can be read: {error}") from error


def write_table(samples: Samples) -> bytes:
    """Labels and features (n, d) as CSV with a header."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["label", *(f"f{i}" for i in range(samples.x.shape[1]))])
    for row, label in zip(samples.x.tolist(), samples.y.tolist(), strict=True):
        writer.writerow([label, *row])
    return file.getvalue().encode()


def read_table(content: bytes) -> Samples:
    """What :func:`write_table` wrote, or an ``.npz`` with ``x`` and ``y``; raises UsageError for anything else."""
    try:
        if content.startswith(_ZIP):
            arrays = _npz(content)
            x, y = np.asarray(arrays["x"], dtype=np.float64), np.asarray(arrays["y"]).astype(np.int64)
        else:
            rows = list(csv.reader(io.StringIO(content.decode())))
            if not rows or rows[0][:1] != ["label"]:
                raise ValueError("the first column is not the label")
            x = np.array([[float(v) for v in row[1:]] for row in rows[1:]], dtype=np.float64).reshape(
                len(rows) - 1, len(rows[0]) - 1
            )
            y = np.array([int(row[0]) for row in rows[1:]], dtype=np.int64)
        if x.ndim != 2 or y.shape != (len(x),) or not np.all(np.isfinite(x)):
            raise ValueError("features and labels do not match")
    except _ODD as error:
        raise UsageError(f"this is no table that can be read: {error}") from error
    return Samples(x, y)


def _named(model: MLP) -> dict[str, NDArray[np.float64]]:
    pairs = enumerate(zip(model.weights, model.biases, strict=True))
    return {name: array for i, (w, b) in pairs for name, array in ((f"w{i}", w), (f"b{i}", b))}


def _npz(content: bytes) -> Mapping[str, NDArray[np.float64]]:
    with ZipFile(io.BytesIO(content)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _LARGEST:
            raise ValueError(f"unpacked it is larger than {_LARGEST} bytes")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _safetensors(content: bytes) -> Mapping[str, NDArray[np.float64]]:
    end = _HEADER + int.from_bytes(content[:_HEADER], "little")
    if len(content) < _HEADER or end > min(len(content), _LARGEST):
        raise ValueError("too short for its header")
    found = {}
    for name, entry in json.loads(content[_HEADER:end]).items():
        if name == "__metadata__":
            continue
        low, high = entry["data_offsets"]
        if not 0 <= low <= high <= len(content) - end:
            raise ValueError(f"{name} lies outside the file")
        array = np.frombuffer(content[end + low : end + high], dtype=_TYPES[entry["dtype"]])
        found[name] = array.reshape(entry["shape"]).astype(np.float64)
    return found
