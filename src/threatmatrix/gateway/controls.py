"""What the policy changes on the way: noise on the input, less in the answer."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from threatmatrix.telemetry.inputs.oip import BodyProblem, InferRequest, encode

__all__ = ["NoiseSource", "add_noise", "keep_label", "round_scores"]

_FLOATS = frozenset({"FP16", "FP32", "FP64", "BF16"})
_MAX_DECIMALS = 15


class NoiseSource:
    """Gaussian noise that is new for every request, and the same for the same key and request number."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._bits = np.random.PCG64(0)
        self._generator = np.random.Generator(self._bits)

    def gaussian(self, number: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Draw standard normal numbers for request ``number``."""
        # setting the state costs a fifth of a new generator
        digest = hashlib.blake2b(number.to_bytes(8, "big"), key=self._key, digest_size=32).digest()
        state, increment = int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:], "big") | 1
        self._bits.state = {
            "bit_generator": "PCG64",
            "state": {"state": state, "inc": increment},
            "has_uint32": 0,
            "uinteger": 0,
        }
        return self._generator.standard_normal(shape)


def add_noise(
    request: InferRequest, sigma: float, source: NoiseSource, number: int, bounds: tuple[float, float] | None
) -> bytes:
    """The request's body with noise of ``sigma`` (input units) on every numeric input, within ``bounds``.

    Integer inputs are rounded and kept within their datatype. Raises ``BodyProblem`` unless every input is numeric:
    the model may take the one without noise, and ignore the other.
    """
    inputs = []
    width = 0
    for tensor in request.tensors:
        if not tensor.width:
            raise BodyProblem("every input must be numeric")
        width += tensor.width
    noise = source.gaussian(number, (request.rows, width)) * sigma
    start = 0
    for raw, tensor in zip(request.document["inputs"], request.tensors, strict=True):
        stop = start + tensor.width
        array = np.asarray(tensor.array)
        changed = _within(array.astype(np.float64) + noise[:, start:stop], array.dtype, bounds)
        start = stop
        inputs.append({**raw, "data": (changed.reshape(tensor.shape) if tensor.nested else changed.ravel()).tolist()})
    return encode({**request.document, "inputs": inputs}).encode()


def _within(values: NDArray[np.float64], dtype: np.dtype[Any], bounds: tuple[float, float] | None) -> NDArray[Any]:
    if bounds is not None:
        values = np.clip(values, bounds[0], bounds[1])
    if dtype.kind == "f":
        limit = float(np.finfo(dtype).max)
        return np.clip(values, -limit, limit).astype(dtype)
    info = np.iinfo(dtype)
    # the bounds of 64-bit integers are not floats: stay a step inside them
    low, high = np.nextafter(float(info.min), 0), np.nextafter(float(info.max), 0)
    if dtype.itemsize < np.dtype(np.int64).itemsize:
        low, high = float(info.min), float(info.max)
    return np.clip(np.rint(values), low, high).astype(dtype)


def round_scores(document: dict[str, Any], decimals: int) -> dict[str, Any]:
    """The answer with every floating-point output rounded to ``decimals``."""
    outputs = [
        {**output, "data": _rounded(output.get("data"), decimals)}
        if isinstance(output, dict) and output.get("datatype") in _FLOATS
        else output
        for output in document["outputs"]
    ]
    return {**document, "outputs": outputs}


def _rounded(data: Any, decimals: int) -> Any:
    if isinstance(data, list):
        return [_rounded(part, decimals) for part in data]
    if isinstance(data, float) and math.isfinite(data) and decimals <= _MAX_DECIMALS:
        return round(data, decimals)
    return data


def keep_label(document: dict[str, Any], rows: int, labels: list[str] | None, label: str) -> dict[str, Any]:
    """The answer with its label alone; where there is none, the index of the highest score becomes it.

    Raises ``BodyProblem`` if neither is there.
    """
    outputs = [output for output in document["outputs"] if isinstance(output, dict) and output.get("name") == label]
    if not outputs:
        if labels is None:
            raise BodyProblem("the answer has no label", opaque=True)
        outputs = [{"name": label, "datatype": "INT64", "shape": [rows], "data": [int(text) for text in labels]}]
    return {**{key: value for key, value in document.items() if key != "parameters"}, "outputs": outputs}
