"""The attacker's own inputs, from a file or from a reference target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from threatmatrix.emulate.reference.base import Reference
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.stage import Samples
from threatmatrix.emulate.target import texts
from threatmatrix.model.errors import FormatError, InputError, UsageError

__all__ = ["load_input", "load_samples", "take"]

_MAX_BYTES = 256 * 2**20
_HINT = 'Give an .npz with x (n, d) and y (n), or JSON lines {"input": text or numbers, "label": whole number}'


def load_samples(path: Path) -> Samples:
    """Inputs with their true labels: ``.npz`` (never unpickled) or ``.jsonl``. Raises InputError, FormatError."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(path, f"is larger than {_MAX_BYTES >> 20} MiB", hint="Give fewer samples")
        found = _arrays(path) if path.suffix == ".npz" else _lines(path)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror or error})", hint=_HINT) from error
    if not len(found):
        raise InputError(path, "holds no samples", hint=_HINT)
    if found.y.min() < 0:
        raise FormatError(path, "a label is negative", key="y", hint=_HINT)
    return found


def load_input(text: str) -> tuple[str, Any]:
    """``NAME=VALUE``: something that a procedure needs to be held, by its name.

    A number, or a file: samples as :func:`load_samples` reads them, or an MLP's weights as ``MLP.save`` writes them.
    Raises UsageError, InputError, FormatError.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageError(f"--input {text}: is not NAME=VALUE", hint="For example surrogate=weights.npz or taught=500")
    try:
        return name, float(value) if "." in value or "e" in value.lower() else int(value)
    except ValueError:
        pass
    path = Path(value)
    return name, MLP.load(path) if _is_weights(path) else load_samples(path)


def _is_weights(path: Path) -> bool:
    if path.suffix != ".npz" or not path.exists():
        return False
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return "w0" in arrays.files
    except (OSError, ValueError, BadZipFile, EOFError):
        return False


def take(reference: Reference, n: int) -> Samples:
    """The first n inputs that an attacker of a reference target has."""
    return Samples(reference.attacker.x[:n], reference.attacker.y[:n])


def _arrays(path: Path) -> Samples:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            x, y = np.asarray(arrays["x"]), np.asarray(arrays["y"])
    except KeyError as error:
        raise FormatError(path, f"has no array {error}", hint=_HINT) from error
    except (ValueError, BadZipFile, EOFError, AttributeError) as error:
        raise FormatError(path, f"is no .npz of plain arrays ({error})", hint=_HINT) from error
    if x.ndim < 2 or y.shape != (len(x),) or y.dtype.kind not in "iu" or x.dtype.kind not in "fiub":
        raise FormatError(path, f"x has the shape {x.shape} of {x.dtype}, y {y.shape} of {y.dtype}", hint=_HINT)
    rows = x.reshape(len(x), -1).astype(np.float64)
    if not np.all(np.isfinite(rows)):
        raise FormatError(path, "a number is not finite", key="x", hint=_HINT)
    return Samples(rows, y.astype(np.int64))


def _lines(path: Path) -> Samples:
    inputs: list[Any] = []
    labels: list[int] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                value, label = entry["input"], entry["label"]
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise FormatError(path, f"is no sample ({error})", line=number, hint=_HINT) from error
            if isinstance(label, bool) or not isinstance(label, int) or not isinstance(value, (str, list)):
                raise FormatError(path, "needs a text or numbers, and a whole number", line=number, hint=_HINT)
            inputs.append(value)
            labels.append(label)
    y = np.asarray(labels, dtype=np.int64)
    if all(isinstance(value, str) for value in inputs):
        return Samples(texts(inputs), y)
    try:
        x = np.asarray(inputs, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise FormatError(
            path, f"rows differ in length or are no numbers ({error})", key="input", hint=_HINT
        ) from error
    if x.ndim < 2 or not np.all(np.isfinite(x)):
        raise FormatError(path, "each input needs as many finite numbers", key="input", hint=_HINT)
    return Samples(x.reshape(len(x), -1), y)
