"""A model as it is offered to clients, whatever protocol they speak: what goes in, what comes out."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from threatmatrix.emulate.reference.base import ModelAnswer, Reference, ServedModel
from threatmatrix.emulate.target import FloatArray, Rows, blobs, texts

__all__ = ["BadRequestError", "Offer", "ScoredModel", "offer_of"]


class BadRequestError(Exception):
    """What the client sent wrongly; the message goes back to it."""


class _Scoring(Protocol):
    @property
    def inputs(self) -> int: ...

    @property
    def classes(self) -> int: ...

    def scores(self, x: FloatArray) -> FloatArray: ...


@dataclass(frozen=True, slots=True)
class ScoredModel:
    """A model that has only scores (an MLP) as a :class:`~threatmatrix.emulate.reference.base.ServedModel`."""

    model: _Scoring

    def answer(self, rows: Rows) -> ModelAnswer:
        scores = self.model.scores(rows)
        return ModelAnswer(np.argmax(scores, axis=1).astype(np.int64), scores)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """``width``: numbers in a row; None: one text a row, or one file in base64 where ``files`` is set."""

    name: str
    model: ServedModel
    classes: int
    width: int | None
    files: bool = False
    scores: bool = True
    text: bool = False
    class_names: tuple[str, ...] = ()
    platform: str = "threatmatrix_reference"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what comes out."""
        return ("label", *(["scores"] if self.scores else []), *(["text"] if self.text else []))

    def rows(self, values: list[Any]) -> Rows:
        """JSON values, one for each row, as the model wants them; raises BadRequestError."""
        if not isinstance(values, list) or not values:
            raise BadRequestError("there must be at least one row")
        if self.width is not None:
            return self.numbers(values, len(values))
        found = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]
        if not all(isinstance(value, str) for value in found):
            raise BadRequestError("each row must be one text")
        if not self.files:
            return texts(found)
        try:
            return blobs(base64.b64decode(value, validate=True) for value in found)
        except (binascii.Error, ValueError) as error:
            raise BadRequestError(f"each row must be one file in base64: {error}") from error

    def numbers(self, values: list[Any], n: int) -> FloatArray:
        """N rows of numbers, nested in any way or flat; raises BadRequestError."""
        try:
            x = np.asarray(values, dtype=np.float64)
        except (ValueError, TypeError, OverflowError) as error:
            raise BadRequestError(f"each row must be {self.width} numbers: {error}") from error
        if x.size != n * (self.width or 0):
            raise BadRequestError(f"each of {n} rows must be {self.width} numbers")
        if not np.all(np.isfinite(x)):
            raise BadRequestError("the numbers must be finite")
        return x.reshape(n, -1)

    def answer(self, rows: Rows) -> ModelAnswer:
        """What the model says; raises BadRequestError for rows that it cannot take."""
        try:
            return self.model.answer(rows)
        except ValueError as error:
            raise BadRequestError(str(error)) from error


def offer_of(reference: Reference) -> Offer:
    """A reference target as its server offers it. Asks the model once, to see what it answers with."""
    first = reference.model.answer(reference.calibration[:1])
    return Offer(
        name=reference.name,
        model=reference.model,
        classes=len(reference.classes),
        width=reference.width,
        files=reference.modality == "binary",
        scores=first.scores is not None,
        text=first.texts is not None,
        class_names=reference.classes,
    )
