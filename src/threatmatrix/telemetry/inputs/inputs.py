"""What an event keeps of an input in its place."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from threatmatrix.telemetry.inputs.fingerprint import Fingerprinter
from threatmatrix.telemetry.inputs.keys import Key, Keyring, derive_key
from threatmatrix.telemetry.inputs.oip import Tensor

__all__ = ["InputFields", "Inputs"]


class InputFields(NamedTuple):
    """The fields of an event that stand for its input, by the names that the event has for them."""

    input_fp: str | None = None
    input_vec: bytes | None = None
    vec_scale: float | None = None
    vec_key: str | None = None
    input_fp_prev: str | None = None
    input_vec_prev: bytes | None = None
    vec_key_prev: str | None = None
    input_bytes: int | None = None
    input_raw: str | None = None


class Inputs:
    """Keyed hash and projection of inputs; the inputs themselves only where ``keep_raw`` says so.

    ``ranges``: model → (least, greatest) number of its inputs, as systems.yaml has it; (0, 1) where it says nothing.
    The gateway derives its keys in the same way, so that the same row has the same fingerprint in both logs.
    """

    def __init__(
        self, keyring: Keyring, *, ranges: Mapping[str, tuple[float, float]] | None = None, keep_raw: bool = False
    ) -> None:
        self._keyring = keyring
        self._ranges = dict(ranges or {})
        self._keep_raw = keep_raw
        self._fingerprinters: dict[tuple[str, tuple[float, float]], Fingerprinter] = {}

    def rows(self, model: str | None, tensors: Sequence[Tensor], rows: int, time: int) -> list[InputFields]:
        """The fields of each row of a request; ``tensors`` in the order of their names, ``time`` of the event (µs)."""
        now = self._under(self._keyring.current, model, tensors, rows)
        previous = self._keyring.overlapping(time)
        before = self._under(previous, model, tensors, rows) if previous else _Under([None] * rows, [None] * rows, None)
        scale = self._fingerprinter(self._keyring.current, model).scale if now.key else None
        sizes = [sum(map(len, parts)) for parts in zip(*(tensor.row_bytes() for tensor in tensors), strict=True)]
        raw = [_raw(tensors, row) for row in range(rows)] if self._keep_raw else [None] * rows
        return [
            InputFields(
                input_fp=now.hashes[row],
                input_vec=now.vectors[row],
                vec_scale=scale,
                vec_key=now.key,
                input_fp_prev=before.hashes[row],
                input_vec_prev=before.vectors[row],
                vec_key_prev=before.key,
                input_bytes=sizes[row],
                input_raw=raw[row],
            )
            for row in range(rows)
        ]

    def text(self, content: str, time: int) -> InputFields:
        """The fields of an input that is text: a prompt, or messages as canonical JSON."""
        data = content.encode("utf-8", "surrogatepass")
        previous = self._keyring.overlapping(time)
        return InputFields(
            input_fp=_hash(self._keyring.current, data),
            input_fp_prev=_hash(previous, data) if previous else None,
            input_bytes=len(data),
            input_raw=content if self._keep_raw else None,
        )

    def _fingerprinter(self, key: Key, model: str | None) -> Fingerprinter:
        span = self._ranges.get(model or "", (0.0, 1.0))
        found = self._fingerprinters.get((key.id, span))
        if found is None:
            found = Fingerprinter(derive_key(key.secret, "fingerprint"), input_range=span)
            self._fingerprinters[key.id, span] = found
        return found

    def _under(self, key: Key, model: str | None, tensors: Sequence[Tensor], rows: int) -> _Under:
        fingerprinter = self._fingerprinter(key, model)
        vectors = fingerprinter.vectors(tensors)
        return _Under(
            [*fingerprinter.hashes(tensors, rows)],
            [*map(b64decode, vectors.encoded)] if vectors else [None] * rows,
            vectors.key if vectors else None,
        )


class _Under(NamedTuple):
    """Hashes and vectors of the rows of a request under one key; ``key`` is the projection's."""

    hashes: list[str | None]
    vectors: list[bytes | None]
    key: str | None


def _hash(key: Key, data: bytes) -> str:
    return hashlib.blake2b(data, key=derive_key(key.secret, "text"), digest_size=16).hexdigest()


def _raw(tensors: Sequence[Tensor], row: int) -> str:
    return json.dumps(
        {
            tensor.name: (tensor.texts or [])[row] if tensor.array is None else tensor.array[row].tolist()
            for tensor in tensors
        }
    )
