"""The answer of a model server → the label and the scores of each row.

Where the outputs are declared (the gateway's ``label`` and ``scores``), they are taken as declared. In a capture
nobody says which output is what; :func:`read_answer` goes by names that servers use and by shapes:

- a whole number, a text or true/false is a label; a number with a fraction is one score (a probability, a regression);
- 2 to ``MAX_SCORES`` numbers are scores, and where they are a distribution (from 0 to 1, with sum 1) the index of the
  greatest is the label; numbers that are none (logits, an embedding) name no label.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

__all__ = ["MAX_ROWS", "MAX_SCORES", "Answer", "InferAnswer", "RowAnswer", "read_answer", "read_outputs", "usage_of"]

MAX_ROWS = 4096  # rows of a request that become events of their own; the gateway takes no more either
MAX_SCORES = 1024  # of one row; more are an embedding or an image
_MAX_LABEL = 256  # characters
_NUMBERS = frozenset({int, float})
_SUM_WITHIN = 0.02  # of 1: float16 and rounded probabilities still pass
_DEEPEST = 3  # lists of one element around an answer
_ITEMS = ("predictions", "outputs", "result", "results", "data", "output", "classifications")
_LABELS = ("label", "predicted_label", "predicted_class", "predicted", "prediction", "class")
_SCORES = ("scores", "probabilities", "confidences", "probs", "score", "probability", "confidence", "logits")
_NAMES = ("classes", "displayNames", "labels")


class InferAnswer(NamedTuple):
    """An answer's JSON, and per row its label (None: none) and its scores as they are logged."""

    document: dict[str, Any]
    labels: list[str] | None
    scores: list[list[float]] | None


def read_outputs(document: dict[str, Any], rows: int, label: str, scores: str) -> InferAnswer:
    """Labels and scores of a decoded OIP answer, from the outputs of these names."""
    found = _named(document["outputs"])
    values = _score_rows(found[scores], rows) if scores in found else None
    names = _label_rows(found[label], rows) if label in found else None
    if names is None and values is not None:
        names = [str(row.index(max(row))) for row in values]
    return InferAnswer(document, names, values)


def _named(outputs: list[Any]) -> dict[object, list[Any]]:
    found: dict[object, list[Any]] = {}
    for output in outputs:
        if isinstance(output, dict) and isinstance(output.get("data"), list) and isinstance(output.get("name"), str):
            found[output["name"]] = output["data"]
    return found


def _score_rows(data: list[Any], rows: int) -> list[list[float]] | None:
    nested = bool(data) and type(data[0]) is list
    if nested and (len(data) != rows or any(type(row) is not list or len(row) != len(data[0]) for row in data)):
        return None
    flat = list(chain.from_iterable(data)) if nested else data
    if not flat or len(flat) % rows or not _finite(flat):
        return None
    width = len(flat) // rows
    return data if nested else [flat[start : start + width] for start in range(0, len(flat), width)]


def _finite(numbers: Sequence[Any]) -> bool:
    if not _NUMBERS.issuperset(map(type, numbers)):
        return False
    try:
        return math.isfinite(math.fsum(numbers))
    except (OverflowError, ValueError):  # an integer that no float holds, infinities of both signs
        return False


def _label_rows(data: list[Any], rows: int) -> list[str] | None:
    flat = [part[0] if isinstance(part, list) and len(part) == 1 else part for part in data]
    if len(flat) != rows or any(not isinstance(part, (int, str, float)) for part in flat):
        return None
    return list(map(_label, flat))


def _label(value: float | str) -> str:
    """Text without lone surrogates, which JSON can carry and UTF-8 cannot."""
    text = str(value)[:_MAX_LABEL]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


class RowAnswer(NamedTuple):
    """What the answer says of one row."""

    label: str | None = None
    scores: tuple[float, ...] | None = None


class Answer(NamedTuple):
    """``rows``: how many rows it answers; ``by_row`` has as many entries, or none where it tells nothing of them."""

    rows: int
    by_row: Sequence[RowAnswer] = ()


def read_answer(value: Any, rows: int | None = None) -> Answer:
    """A decoded answer, or the text of a CSV one. ``rows`` of the request, None where only the answer is known.

    An answer that does not fit the ``rows``, or has more than ``MAX_ROWS``, tells nothing of them. Never raises.
    """
    outputs = value.get("outputs") if isinstance(value, dict) else None
    if isinstance(outputs, list) and outputs and all(isinstance(part, dict) and "datatype" in part for part in outputs):
        return _oip(value, outputs, rows)
    items = _csv_items(value, rows) if isinstance(value, str) else _items(value, rows)
    if len(items) != (rows or len(items)) or len(items) > MAX_ROWS:
        return Answer(len(items) if rows is None else rows)
    by_row = [_row(item) for item in items]
    if rows is None and by_row == [RowAnswer()]:
        return Answer(0)
    return Answer(len(items), by_row)


def _oip(document: dict[str, Any], outputs: list[Any], rows: int | None) -> Answer:
    if rows is None:
        shape = outputs[0].get("shape")
        rows = shape[0] if isinstance(shape, list) and shape and type(shape[0]) is int else 0
    if not 0 < rows <= MAX_ROWS:
        return Answer(max(0, min(rows, 2**31)))
    answer = read_outputs(document, rows, "label", "scores")
    labels, scores = answer.labels, answer.scores
    if labels is None and scores is None:
        floats = [part.get("name") for part in outputs if str(part["datatype"])[:2] == "FP"]
        for name, data in _named(outputs).items():
            values = _score_rows(data, rows)
            if values is not None and (len(values[0]) > 1 or name in floats):
                scores = scores or values
            else:
                labels = labels or _label_rows(data, rows)
        if labels is None and scores is not None:
            return Answer(rows, list(map(_scored, scores)))
    if scores is not None and len(scores[0]) > MAX_SCORES:
        scores = None
    if labels is None and scores is None:
        return Answer(rows)
    each_label: Sequence[str | None] = labels or [None] * rows
    each_scores = [tuple(map(float, row)) for row in scores] if scores else [None] * rows
    return Answer(rows, list(map(RowAnswer, each_label, each_scores)))


def _items(value: Any, rows: int | None) -> list[Any]:
    """The answers by row: what stands in the container that servers use, or the answer itself for a single row."""
    if isinstance(value, dict):
        inner = next((value[key] for key in _ITEMS if isinstance(value.get(key), list | dict)), None)
        if inner is None:
            return [value]
        value = inner
    if isinstance(value, dict):
        columns = list(value.values())
        lengths = {len(column) if isinstance(column, list) else -1 for column in columns}
        if len(lengths) == 1 and -1 < max(lengths) <= MAX_ROWS:
            value = [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]
    if not isinstance(value, list) or (rows == 1 and len(value) != 1):
        return [value]
    return value


def _csv_items(text: str, rows: int | None) -> list[Any]:
    """A line for each row; or, as SageMaker's XGBoost has it, one line with a cell for each."""
    lines: list[Any] = [line for line in text.splitlines() if line.strip()]
    if len(lines) <= MAX_ROWS:
        lines = [[_number(cell.strip()) for cell in line.split(",", MAX_ROWS)] for line in lines]
    return lines[0] if len(lines) == 1 and rows not in (None, 1) else lines


def _number(cell: str) -> float | int | str:
    for kind in (int, float):
        try:
            number = kind(cell)
            return number if math.isfinite(number) else cell
        except (ValueError, OverflowError):
            continue
    return cell


def _row(item: Any) -> RowAnswer:
    for _ in range(_DEEPEST):
        if not isinstance(item, list) or len(item) != 1:
            break
        item = item[0]
    if isinstance(item, dict):
        return _of_object(item)
    if isinstance(item, list):
        if item and all(isinstance(part, dict) for part in item):
            return _top(item)
        return _scored(item)
    if isinstance(item, float):
        return RowAnswer(None, (item,)) if math.isfinite(item) else RowAnswer()
    return RowAnswer(_label(item)) if isinstance(item, int | str) else RowAnswer()


def _scored(values: list[Any]) -> RowAnswer:
    if not 0 < len(values) <= MAX_SCORES or not _finite(values):
        return RowAnswer()
    scores = tuple(map(float, values))
    likely = len(scores) > 1 and min(scores) >= 0 and abs(sum(scores) - 1) <= _SUM_WITHIN
    return RowAnswer(str(scores.index(max(scores))) if likely else None, scores)


def _of_object(item: dict[str, Any]) -> RowAnswer:
    scores = next((item[key] for key in _SCORES if isinstance(item.get(key), list | int | float)), None)
    scored = RowAnswer() if isinstance(scores, bool) else _scored(scores if isinstance(scores, list) else [scores])
    label = next((item[key] for key in _LABELS if isinstance(item.get(key), int | str | float)), None)
    if label is not None:
        return RowAnswer(_label(label), scored.scores)
    names = next((item[key] for key in _NAMES if isinstance(item.get(key), list)), None)
    if names and scored.scores and len(names) == len(scored.scores):
        name = names[scored.scores.index(max(scored.scores))]
        return RowAnswer(_label(name), scored.scores) if isinstance(name, int | str) else scored
    if scores is None and len(item) == 1:  # a table of one column, whatever its name
        (value,) = item.values()
        return RowAnswer() if isinstance(value, dict) else _row(value)
    return scored


def _top(items: list[dict[str, Any]]) -> RowAnswer:
    """Of classes with a score each, the likeliest: ``[{"label": "cat", "score": 0.9}, …]``."""
    rows = [_of_object(item) for item in items[:MAX_SCORES]]
    best = max(rows, key=lambda row: row.scores[0] if row.scores else -math.inf)
    return RowAnswer(best.label, best.scores)


def usage_of(value: Any) -> tuple[int | None, int | None]:
    """Tokens in and out as a language model's answer counts them: OpenAI, Anthropic and Gemini spell them so."""
    usage = (value.get("usage") or value.get("usageMetadata")) if isinstance(value, dict) else None
    if not isinstance(usage, dict):
        return None, None
    return (
        _count(usage, "prompt_tokens", "input_tokens", "promptTokenCount"),
        _count(usage, "completion_tokens", "output_tokens", "candidatesTokenCount"),
    )


def _count(usage: dict[str, Any], *keys: str) -> int | None:
    found = next((usage[key] for key in keys if key in usage), None)
    return found if type(found) is int and 0 <= found < 2**63 else None
