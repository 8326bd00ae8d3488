"""What a model takes and gives, and how a served model's JSON values become labels, scores and texts."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from threatmatrix.emulate.reference.base import Reference
from threatmatrix.emulate.target import Answer, FloatArray, IntArray, Rows
from threatmatrix.model.errors import UsageError

__all__ = ["ModelForm", "OutputNames", "Reading", "fitting", "form_of", "in_json"]

_LABEL = ("label", "labels", "prediction", "predict", "class", "class_id", "predicted_label")
_SCORES = ("scores", "score", "probabilities", "probability", "predict_proba", "logits")
_TEXT = ("text", "generated_text", "content", "completion")


@dataclass(frozen=True, slots=True)
class OutputNames:
    """How a server of the Open Inference Protocol calls its outputs; "" for one that it does not have."""

    label: str = "label"
    scores: str = "scores"
    text: str = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelForm:
    """``input_shape``: () for one text or file a row. ``class_names``: for servers that answer with words.

    ``gives_text``: the model generates texts. ``input_name``, ``outputs``: where the protocol names them.
    """

    input_shape: tuple[int, ...]
    classes: int
    class_names: tuple[str, ...] = ()
    bounds: tuple[float, float] = (0.0, 1.0)
    gives_text: bool = False
    input_name: str = "input"
    outputs: OutputNames = OutputNames()


def form_of(reference: Reference) -> ModelForm:
    """A reference target's form. Asks its model once, to see whether it generates texts."""
    return ModelForm(
        input_shape=() if reference.width is None else (reference.width,),
        classes=len(reference.classes),
        class_names=reference.classes,
        bounds=reference.bounds,
        gives_text=reference.model.answer(reference.calibration[:1]).texts is not None,
    )


def in_json(x: Rows, input_shape: tuple[int, ...] = ()) -> list[Any]:
    """Rows as JSON values: numbers in the input's shape, texts as they are, files in base64.

    Raises UsageError for rows of another shape.
    """
    if x.dtype.kind != "O":
        return list(fitting(x, input_shape).tolist())
    return [base64.b64encode(row).decode("ascii") if isinstance(row, bytes) else str(row) for row in x]


def fitting(x: Rows, input_shape: tuple[int, ...]) -> Rows:
    """Rows of numbers in the input's shape (() leaves them as they are); raises UsageError."""
    shape = input_shape or x.shape[1:]
    if x.size != len(x) * math.prod(shape):
        raise UsageError(f"the target takes rows of shape {list(shape)}, and these are {list(x.shape[1:])}")
    return x.reshape(len(x), *shape)


@dataclass(slots=True)
class Reading:
    """Reads what a server says about each row. Every method raises ValueError for what it cannot read.

    Words are labels: those of ``names``, whatever their case; without names they are numbered in the order in which
    they come, up to ``classes``. Where the model generates texts (``gives_text``), words are texts and no labels.
    """

    classes: int
    names: Sequence[str] = ()
    gives_text: bool = False
    _learnt: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._learnt = {name.strip().casefold(): index for index, name in enumerate(self.names)}

    def answer(self, values: Any, rows: int, *, want_scores: bool) -> Answer:
        """One JSON value for each row: a number, a word, a list of scores, or an object that holds such."""
        if not isinstance(values, list) or len(values) != rows:
            raise ValueError(f"there is not one prediction for each of {rows} rows")
        parts = [self.one(value) for value in values]
        return self.together(parts, want_scores=want_scores)

    def together(
        self, parts: Sequence[tuple[int | None, FloatArray | None, str | None]], *, want_scores: bool
    ) -> Answer:
        """The answer out of each row's label, scores and text; the scores' highest is the label where none is given."""
        vectors = [scores for _, scores, _ in parts if scores is not None]
        scores = np.stack(vectors) if len(vectors) == len(parts) else None
        written = [text for _, _, text in parts if text is not None]
        labels = []
        for label, vector, text in parts:
            if label is None and vector is None and text is None:
                raise ValueError("there is neither a label nor a score nor a text")
            labels.append(label if label is not None else 0 if vector is None else int(np.argmax(vector)))
        return Answer(
            np.asarray(labels, dtype=np.int64),
            scores if want_scores else None,
            tuple(written) if len(written) == len(parts) and written else None,
        )

    def one(self, value: Any) -> tuple[int | None, FloatArray | None, str | None]:
        """Label, scores and text of one row; None for what it does not say."""
        if isinstance(value, Mapping):
            return self._object(value)
        if isinstance(value, list) and (len(value) != 1 or self.classes == 1):
            return None, self.vector(value), None
        if isinstance(value, list):
            return self.one(value[0])
        if isinstance(value, str) and self.gives_text:
            return None, None, value
        if isinstance(value, float) and self.classes == 2 and 0.0 <= value <= 1.0:
            return None, np.array([1.0 - value, value]), None
        return self.label(value), None, None

    def label(self, value: Any) -> int:
        """A number, or a word."""
        if isinstance(value, str):
            return self._word(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise ValueError(f"{value!r} is no label")
        if not 0 <= value < self.classes:
            raise ValueError(f"the label {value} is outside 0..{self.classes - 1}")
        return int(value)

    def labels(self, values: Any, rows: int) -> IntArray:
        """A list of numbers or words, flat or (n, 1)."""
        flat = np.ravel(np.asarray(values))
        if flat.dtype.kind not in "iu":
            flat = np.ravel(np.asarray(values, dtype=object))
        if len(flat) != rows:
            raise ValueError(f"there are {len(flat)} labels for {rows} rows")
        if flat.dtype.kind not in "iu" or np.any((flat < 0) | (flat >= self.classes)):
            flat = np.asarray([self.label(value) for value in flat.tolist()])
        return flat.astype(np.int64)

    def vector(self, value: Any) -> FloatArray:
        """One score for each class: a list, or an object of class names."""
        if isinstance(value, Mapping):
            found = {self._word(str(name)): score for name, score in value.items()}
            value = [found.get(index, 0.0) for index in range(self.classes)]
        elif isinstance(value, int | float) and not isinstance(value, bool) and self.classes == 2:
            value = [1.0 - value, value]
        scores = np.asarray(value, dtype=np.float64)
        if scores.shape != (self.classes,):
            raise ValueError(f"there are scores of shape {scores.shape} for {self.classes} classes")
        if not np.all(np.isfinite(scores)):
            raise ValueError("a score is not finite")
        return scores

    def _word(self, word: str) -> int:
        key = word.strip().casefold()
        if key not in self._learnt:
            if self.names or len(self._learnt) >= self.classes:
                known = ", ".join(self.names or self._learnt)
                raise ValueError(f"{word[:60]!r} is none of the classes {known}")
            self._learnt[key] = len(self._learnt)
        return self._learnt[key]

    def _object(self, value: Mapping[str, Any]) -> tuple[int | None, FloatArray | None, str | None]:
        def first(keys: tuple[str, ...]) -> Any:
            return next((value[key] for key in keys if key in value), None)

        label, scores, text = first(_LABEL), first(_SCORES), first(_TEXT)
        if isinstance(label, list) and len(label) == 1:
            (label,) = label
        if text is not None and not isinstance(text, str):
            raise ValueError("the text is no text")
        return (
            None if label is None else self.label(label),
            None if scores is None else self.vector(scores),
            text,
        )
