"""What an event keeps of an input in its place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

from threatmatrix.telemetry.inputs.fingerprint import Fingerprinter
from threatmatrix.telemetry.inputs.keys import Key, Keyring, derive_key
from threatmatrix.telemetry.inputs.oip import Tensor
from threatmatrix.telemetry.inputs.prompts import TextProjection, asked

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
        self.keep_raw = keep_raw
        self._under: dict[str, _Under] = {}

    def rows(self, model: str | None, tensors: Sequence[Tensor], rows: int, time: int) -> list[InputFields]:
        """The fields of each row of a request; ``tensors`` in the order of their names, ``time`` of the event (µs)."""
        if not tensors or not rows:
            return [InputFields()] * rows
        span = self._ranges.get(model or "", (0.0, 1.0))
        now = self._views(self._keyring.current, span, tensors, rows)
        previous = self._keyring.overlapping(time)
        before = self._views(previous, span, tensors, rows) if previous else _Views()
        raw = (_raw(tensors, row) for row in range(rows)) if self.keep_raw else repeat(None)
        parts = zip(
            now.hashes,
            now.vectors,
            repeat(now.scale),
            repeat(now.key),
            before.hashes,
            before.vectors,
            repeat(before.key),
            _sizes(tensors, rows),
            raw,
            strict=False,  # what is the same for every row is repeated without end
        )
        return list(map(InputFields._make, parts))

    def text(self, content: str, time: int) -> InputFields:
        """The fields of an input that is text: a prompt, or messages as canonical JSON.

        The hash is of all of it, the vector of what was asked last (``prompts``); a short question has none.
        """
        data = content.encode("utf-8", "surrogatepass")
        question = asked(content)
        now = self._of(self._keyring.current)
        previous = self._keyring.overlapping(time)
        before = self._of(previous) if previous else None
        vector = now.texts(question)
        return InputFields(
            input_fp=now.hash(data),
            input_vec=vector,
            vec_scale=now.texts.scale if vector else None,
            vec_key=now.texts.key if vector else None,
            input_fp_prev=before.hash(data) if before else None,
            input_vec_prev=before.texts(question) if before and vector else None,
            vec_key_prev=before.texts.key if before and vector else None,
            input_bytes=len(data),
            input_raw=content if self.keep_raw else None,
        )

    def name_of(self, secret: str) -> str:
        """A name for a secret, the same each time under the current key: 12 hex digits that tell nothing of it.

        Hashed under a key for names: it must not be the fingerprint of a prompt that is just this secret.
        """
        return self._of(self._keyring.current).name(secret.encode("utf-8", "surrogatepass"))

    def _of(self, key: Key) -> _Under:
        found = self._under.get(key.id)
        if found is None:
            found = self._under[key.id] = _Under(key)
        return found

    def _views(self, key: Key, span: tuple[float, float], tensors: Sequence[Tensor], rows: int) -> _Views:
        fingerprinter = self._of(key).numbers(span)
        hashes = fingerprinter.hashes(tensors, rows)
        vectors = fingerprinter.vectors(tensors)
        if vectors is None:
            return _Views(hashes)
        return _Views(hashes, vectors.rows, vectors.key, fingerprinter.scale)


class _Under:
    """Everything that is derived from one key, made when it is first needed."""

    def __init__(self, key: Key) -> None:
        self._secret = key.secret
        self._text_key = derive_key(key.secret, "text")
        self._name_key = derive_key(key.secret, "name of a secret")
        self._texts: TextProjection | None = None
        self._numbers: dict[tuple[float, float], Fingerprinter] = {}

    @property
    def texts(self) -> TextProjection:
        if self._texts is None:
            self._texts = TextProjection(derive_key(self._secret, "text projection"))
        return self._texts

    def numbers(self, span: tuple[float, float]) -> Fingerprinter:
        found = self._numbers.get(span)
        if found is None:
            found = self._numbers[span] = Fingerprinter(derive_key(self._secret, "fingerprint"), input_range=span)
        return found

    def name(self, data: bytes) -> str:
        return hashlib.blake2b(data, key=self._name_key, digest_size=6).hexdigest()

    def hash(self, data: bytes) -> str:
        return hashlib.blake2b(data, key=self._text_key, digest_size=16).hexdigest()


class _Views(NamedTuple):
    """Hashes and vectors of the rows of a request under one key; ``key`` is the projection's."""

    hashes: Iterable[str | None] = repeat(None)
    vectors: Iterable[bytes | None] = repeat(None)
    key: str | None = None
    scale: float | None = None


def _sizes(tensors: Sequence[Tensor], rows: int) -> Iterable[int]:
    if all(tensor.array is not None for tensor in tensors):
        return repeat(sum(tensor.array.nbytes // rows for tensor in tensors if tensor.array is not None), rows)
    return [sum(map(len, parts)) for parts in zip(*(tensor.row_bytes() for tensor in tensors), strict=True)]


def _raw(tensors: Sequence[Tensor], row: int) -> str:
    return json.dumps(
        {
            tensor.name: (tensor.texts or [])[row] if tensor.array is None else tensor.array[row].tolist()
            for tensor in tensors
        }
    )
