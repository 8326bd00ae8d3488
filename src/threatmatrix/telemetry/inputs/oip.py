"""Open Inference Protocol v2 over JSON: inference requests and answers as arrays.

Source: the protocol's "Inference Protocol HTTP/REST" chapter (``required_api``) and its tensor datatypes. The
first dimension of every input is taken for the batch: one row is one query.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BodyProblem",
    "InferRequest",
    "Tensor",
    "encode",
    "is_object",
    "parse_infer",
    "read_infer",
    "read_tensor",
]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_LEAVES: dict[str, frozenset[type]] = {
    "b": frozenset({bool}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "f": frozenset({int, float}),
}
_MAX_DIMENSIONS = 8
_MAX_TENSORS = 64
_ELSEWHERE = ("binary_data", "shared_memory")  # parameters of the extensions that send data by other means


class BodyProblem(ValueError):
    """A body that the gateway cannot read as rows.

    ``opaque`` True: perhaps valid, but beyond this codec (binary extension, unknown datatype);
    False: malformed, and the message says how.
    """

    def __init__(self, message: str, *, opaque: bool = False) -> None:
        super().__init__(message)
        self.opaque = opaque


class Tensor(NamedTuple):
    """One input: ``array`` (n, d) of the declared datatype, or ``texts`` (n lists of d) for BYTES."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    array: NDArray[Any] | None
    texts: list[list[str]] | None
    nested: bool

    @property
    def width(self) -> int:
        """Numbers in a row; 0 if it is not numeric (BOOL, BYTES)."""
        return 0 if self.array is None or self.array.dtype.kind == "b" else int(self.array.shape[1])

    def first(self) -> Tensor:
        """The first row alone."""
        array, texts = self.array, self.texts
        return self._replace(
            shape=(1, *self.shape[1:]),
            array=None if array is None else array[:1],
            texts=None if texts is None else texts[:1],
        )

    def kind(self) -> bytes:
        """Datatype and row shape: what the hash of a row covers besides its bytes."""
        return f"{self.datatype}|{','.join(map(str, self.shape[1:]))}|".encode()

    def row_bytes(self) -> Iterator[bytes]:
        """Each row's little-endian bytes, C order (BYTES: its JSON)."""
        if self.array is None:
            for texts in self.texts or ():
                yield json.dumps(texts).encode()
            return
        raw = self.array.tobytes()
        size = len(raw) // len(self.array)
        for start in range(0, len(raw), size):
            yield raw[start : start + size]


class InferRequest(NamedTuple):
    """A request of ``rows`` rows; ``document`` is the JSON as sent."""

    document: dict[str, Any]
    tensors: tuple[Tensor, ...]
    rows: int

    @property
    def by_name(self) -> tuple[Tensor, ...]:
        """The tensors in the order of their names: the order in which a client sends them says nothing."""
        return tuple(sorted(self.tensors, key=_name)) if len(self.tensors) > 1 else self.tensors

    def first(self) -> InferRequest:
        """The first row alone."""
        return InferRequest(self.document, tuple([tensor.first() for tensor in self.tensors]), 1)

    @property
    def row_size(self) -> int:
        """Bytes of one row over all tensors, in the declared datatypes (BYTES: mean)."""
        total = 0
        for tensor in self.tensors:
            if tensor.array is not None:
                total += tensor.array.nbytes
            else:
                total += sum(len(text) for texts in tensor.texts or () for text in texts)
        return total // self.rows


def _name(tensor: Tensor) -> str:
    return tensor.name


def _no_constant(name: str) -> Any:
    raise BodyProblem(f"{name} is not JSON")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # two parsers might choose different ones: the model must see what was logged
        raise BodyProblem("a key is repeated in an object")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_no_repeats, parse_constant=_no_constant)
encode = json.JSONEncoder(separators=(",", ":")).encode
"""Compact ASCII JSON."""


def _decode(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode())
    except BodyProblem:
        raise
    except UnicodeDecodeError:
        raise BodyProblem("the body is not UTF-8 JSON") from None
    except (ValueError, RecursionError):
        raise BodyProblem("the body is not JSON") from None


def is_object(body: bytes) -> bool:
    """True for a JSON object that reads in one way only."""
    try:
        return isinstance(_decode(body), dict)
    except BodyProblem:
        return False


def parse_infer(body: bytes, *, max_rows: int = 4096) -> InferRequest:
    """JSON body → request. Raises ``BodyProblem``, and nothing else, for whatever is sent."""
    return read_infer(_decode(body), max_rows=max_rows)


def read_infer(document: Any, *, max_rows: int = 4096) -> InferRequest:
    """Decoded body → request. Raises ``BodyProblem``, and nothing else."""
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(inputs, list) or not 0 < len(inputs) <= _MAX_TENSORS:
        raise BodyProblem("the body must be an object with a list of inputs")
    tensors = tuple([read_tensor(raw) for raw in inputs])
    rows = tensors[0].shape[0]
    if any(tensor.shape[0] != rows for tensor in tensors):
        raise BodyProblem("the inputs have no common first dimension")
    if len({tensor.name for tensor in tensors}) < len(tensors):
        raise BodyProblem("two inputs have the same name")
    if rows > max_rows:
        raise BodyProblem(f"more than {max_rows} rows in one request")
    return InferRequest(document, tensors, rows)


def read_tensor(raw: object) -> Tensor:
    """One entry of ``inputs``, decoded: ``{"name", "datatype", "shape", "data"}``. Raises ``BodyProblem``."""
    if not isinstance(raw, dict):
        raise BodyProblem("an input must be an object")
    name, datatype, shape, data = raw.get("name"), raw.get("datatype"), raw.get("shape"), raw.get("data")
    if not isinstance(name, str) or not isinstance(datatype, str):
        raise BodyProblem("an input needs a name and a datatype")
    if not isinstance(shape, list) or not 0 < len(shape) <= _MAX_DIMENSIONS or any(type(n) is not int for n in shape):
        raise BodyProblem(f"the shape of an input must be a list of 1 to {_MAX_DIMENSIONS} whole numbers")
    if min(shape) < 1:
        raise BodyProblem("the shape of an input must have no empty dimension")
    if data is None:
        raise BodyProblem("an input has no JSON data", opaque="parameters" in raw)
    if not isinstance(data, list):
        raise BodyProblem("the data of an input must be a list")
    parameters = raw.get("parameters")
    if isinstance(parameters, dict) and any(key.startswith(_ELSEWHERE) for key in parameters):
        raise BodyProblem("the data of an input is elsewhere", opaque=True)  # the model would not take what is here
    if datatype == "BYTES":
        flat, nested = _flatten(data, shape)
        return Tensor(name, datatype, tuple(shape), None, _texts(flat, shape[0]), nested)
    dtype = DTYPES.get(datatype)
    if dtype is None:
        raise BodyProblem("a datatype that is not understood", opaque=True)
    flat, nested = _flatten(data, shape)
    return Tensor(name, datatype, tuple(shape), _numbers(flat, dtype).reshape(shape[0], -1), None, nested)


def _flatten(data: list[Any], shape: list[int]) -> tuple[list[Any], bool]:
    """Nested or flat lists → the flat list, and whether it was nested. The leaves are not looked at."""
    size = math.prod(shape)
    if len(shape) == 1 or not isinstance(data[0] if data else None, list):
        if len(data) != size:
            raise BodyProblem("the data of an input does not have its shape")
        return data, False
    if len(data) != shape[0]:
        raise BodyProblem("the data of an input does not have its shape")
    for width in shape[1:]:
        if any(type(part) is not list or len(part) != width for part in data):
            raise BodyProblem("the data of an input does not have its shape")
        data = data[0] if len(data) == 1 else list(chain.from_iterable(data))
    return data, True


def _numbers(flat: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    # looked at before NumPy sees them: it would read "1.0" and None as numbers, and pad texts to the longest
    if not _LEAVES[dtype.kind].issuperset(map(type, flat)):
        raise BodyProblem("the data of an input must be of its datatype")
    if dtype.kind == "b":
        return np.array(flat, dtype)
    try:
        found = _floats(flat, dtype) if dtype.kind == "f" else _integers(flat, dtype)
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise BodyProblem("the data of an input does not fit its datatype")
    return found


def _floats(flat: list[Any], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    found = np.array(flat, np.float64)
    if dtype != found.dtype:
        with np.errstate(over="ignore"):
            found = found.astype(dtype)
    elif math.isfinite(sum(flat)):  # cheaper than asking each; a sum that overflows asks again below
        return found
    return found if np.isfinite(found).all() else None


def _integers(flat: list[Any], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    bounds = np.iinfo(dtype)
    return np.array(flat, dtype) if bounds.min <= min(flat) and max(flat) <= bounds.max else None


def _texts(flat: list[Any], rows: int) -> list[list[str]]:
    if any(type(text) is not str for text in flat):
        raise BodyProblem("the data of a BYTES input must be texts")
    width = len(flat) // rows
    return [flat[start : start + width] for start in range(0, len(flat), width)]
