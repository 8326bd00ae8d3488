"""The body of a request to a model server → its rows, and what an event keeps of each.

Understood: Open Inference Protocol v2 (``inputs`` of named tensors), KServe and TensorFlow Serving v1
(``instances``, or ``inputs`` by column), Vertex AI (``instances``), Azure ML and MLflow (``data``, ``input_data``,
``dataframe_split``, ``dataframe_records``) and CSV. What is none of these is one row of text: its canonical JSON.

What stands for a row depends on the row alone, never on the rows beside it. A row of an OIP request is hashed in its
declared datatypes, as the gateway does. Elsewhere nobody declares one: numbers are taken as FP64, so that ``1`` and
``1.0`` are the same input; a row of numbers and texts is projected by its numbers; a row with a gap (null, an empty
cell) has a fingerprint but no vector, because its numbers would stand for other columns.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable
from io import StringIO
from typing import Any, NamedTuple

import numpy as np

from threatmatrix.telemetry.decoding import canonical
from threatmatrix.telemetry.inputs.answers import MAX_ROWS
from threatmatrix.telemetry.inputs.inputs import InputFields, Inputs
from threatmatrix.telemetry.inputs.oip import BodyProblem, Tensor, read_infer, read_tensor
from threatmatrix.telemetry.inputs.payloads import OPENING, Payload

__all__ = ["MAX_WIDTH", "Batch", "Body", "input_fields", "of_text", "read_body", "read_csv", "read_payload"]

MAX_WIDTH = 2**20  # numbers in a row that are projected

_MAX_DIMENSIONS = 8
_NUMBERS = frozenset({bool, int, float})
_NO_VECTOR: dict[str, Any] = dict.fromkeys(("input_vec", "vec_scale", "vec_key", "input_vec_prev", "vec_key_prev"))
_CONTAINERS = ("instances", "inputs", "dataframe_records", "dataframe_split", "input_data", "data", "Inputs")


class Batch(NamedTuple):
    """Rows that are alike: ``tensors`` hold them, or ``texts`` one text for each.

    ``language`` False: the texts are JSON or base64 of something else. They get no vector: rows of one table share
    their column names, and honest ones would look like variations of one another.
    """

    rows: int
    tensors: tuple[Tensor, ...] = ()
    texts: tuple[str, ...] = ()
    language: bool = False


class Body(NamedTuple):
    """A request of ``rows`` rows; the rows of ``batches`` one after the other are the request's.

    ``apart`` False: the rows are not taken apart (none, or more than ``MAX_ROWS``); one text stands for all.
    """

    rows: int
    batches: tuple[Batch, ...]
    apart: bool = True


def read_payload(payload: Payload) -> Body:
    """What was sent → its rows. Raises ``BodyProblem`` for JSON that is nested too deeply, and nothing else."""
    if payload.kind == "json":
        return read_body(payload.value)
    if payload.kind == "csv":
        return read_csv(payload.value)
    # a text that starts like JSON and is none is no language either
    return of_text(payload.value, language=payload.kind == "text" and not payload.value.startswith(OPENING))


def read_body(value: Any) -> Body:
    """A decoded body → its rows. Raises ``BodyProblem`` for one that is nested too deeply, and nothing else."""
    try:
        return _object(value) if isinstance(value, dict) else _rows(_listed(value), value)
    except RecursionError:
        raise BodyProblem("nested too deeply") from None


def read_csv(text: str) -> Body:
    """Lines of comma-separated cells (RFC 4180), without a header: SageMaker's ``text/csv``."""
    try:
        if '"' in text:
            lines = [cells for cells in csv.reader(StringIO(text, newline="")) if cells]
        else:
            lines = [line.split(",") for line in text.splitlines() if line.strip()]
    except csv.Error:
        return of_text(text, language=False)
    rows = [[_cell(cell) for cell in cells] for cells in lines] if len(lines) <= MAX_ROWS else lines
    return _rows([row[0] if len(row) == 1 and isinstance(row[0], str) else row for row in rows], text)


def _cell(text: str) -> float | str | None:
    try:
        number = float(text)
    except ValueError:
        return text.strip() or None
    return number if math.isfinite(number) else text


def _object(value: dict[str, Any]) -> Body:
    inputs = value.get("inputs")
    if isinstance(inputs, list) and inputs and all(isinstance(part, dict) and "datatype" in part for part in inputs):
        return _oip(value, inputs)
    for key in _CONTAINERS:
        if key in value:
            return _rows(_contained(value[key]), value[key])
    return _rows([value], value)


def _oip(value: dict[str, Any], inputs: list[Any]) -> Body:
    try:
        request = read_infer(value, max_rows=MAX_ROWS)
    except BodyProblem:  # malformed, or its data is elsewhere: the request was made all the same
        shape = inputs[0].get("shape")
        rows = shape[0] if isinstance(shape, list) and shape and type(shape[0]) is int and shape[0] > 1 else 1
        return of_text(canonical(inputs), language=False) if rows == 1 else _whole(min(rows, 2**31), inputs)
    if sum(tensor.width for tensor in request.tensors) > MAX_WIDTH:
        return _whole(request.rows, inputs)
    return Body(request.rows, (Batch(request.rows, request.by_name),))


def _listed(value: Any) -> list[Any]:
    """The rows of a bare list; a flat list of numbers is one row."""
    if isinstance(value, list) and value and not isinstance(value[0], int | float):
        return value
    return [value]


def _contained(value: Any) -> list[Any]:
    """The rows of what stands in a container: a list, a table (``columns`` and ``data``), or columns by name."""
    if isinstance(value, dict):
        if isinstance(value.get("data"), list):
            return list(value["data"])
        columns: list[Any] = list(value.values())
        if columns and all(isinstance(column, list) for column in columns):
            if len(columns[0]) > MAX_ROWS:
                return list(columns[0])  # only its length counts: many rows are not laid out in memory
            if len(set(map(len, columns))) == 1:
                return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return value if isinstance(value, list) else [value]


def _rows(rows: list[Any], value: Any) -> Body:
    if not 0 < len(rows) <= MAX_ROWS:
        return _whole(len(rows), value)
    dense = _dense(rows)
    if dense is not None:
        return Body(len(rows), (dense,))
    if all(isinstance(row, str) for row in rows):
        return Body(len(rows), (Batch(len(rows), (), tuple(rows), language=True),))
    return Body(len(rows), tuple(_grouped(rows)))


def of_text(text: str, *, language: bool = True) -> Body:
    """One row that is a text."""
    return Body(1, (Batch(1, (), (text,), language),))


def _whole(rows: int, value: Any) -> Body:
    text = value if isinstance(value, str) else canonical(value)
    return Body(rows, (Batch(1, (), (text,)),), apart=False)


def _shape(value: Any) -> list[int]:
    shape: list[int] = []
    while isinstance(value, list) and len(shape) <= _MAX_DIMENSIONS:
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def _dense(rows: list[Any]) -> Batch | None:
    """Rows of numbers of one shape; None where they are anything else."""
    shape = _shape(rows)
    if math.prod(shape[1:]) > MAX_WIDTH:
        return None
    try:
        tensor = read_tensor({"name": "row", "datatype": "FP64", "shape": shape, "data": rows})
    except BodyProblem:
        return None
    return Batch(len(rows), (tensor,))


class _Row(NamedTuple):
    """A row's numbers and texts, and where in it they stand."""

    layout: list[Any]
    numbers: list[float]
    texts: list[str]


def _grouped(rows: list[Any]) -> list[Batch]:
    """Each row as it would stand alone; neighbours of one layout together."""
    found: list[Batch] = []
    group: list[_Row] = []
    for row in rows:
        alone = Batch(1, (), (row,), language=True) if isinstance(row, str) else _dense([row])
        laid = _laid_out(row) if alone is None and isinstance(row, dict | list) else None
        if group and (laid is None or laid.layout != group[0].layout):
            found.append(_together(group))
            group = []
        if laid is not None:
            group.append(laid)
        else:
            found.append(alone or Batch(1, (), (canonical(row),)))
    return [*found, _together(group)] if group else found


def _together(group: list[_Row]) -> Batch:
    """The tensors of rows of one layout, which is a part of their hash: the numbers alone do not tell the columns."""
    rows, first = len(group), group[0]
    layout = json.dumps(first.layout)
    tensors = []
    if first.numbers:
        array = np.array([row.numbers for row in group])
        tensors.append(Tensor("row", f"FP64 {layout}", array.shape, array, None, False))
    if first.texts:
        texts = [row.texts for row in group]
        tensors.append(Tensor("texts", f"BYTES {layout}", (rows, len(first.texts)), None, texts, False))
    return Batch(rows, tuple(tensors))


def _laid_out(row: dict[str, Any] | list[Any]) -> _Row | None:
    """None for a row with a gap, with an object in a cell, or with nothing in it: only a text can stand for it."""
    cells: list[tuple[Any, Any]] = sorted(row.items()) if isinstance(row, dict) else list(enumerate(row))
    values = [value for _, value in cells]
    try:
        if _NUMBERS.issuperset(map(type, values)):
            found = _Row([place for place, _ in cells], list(map(float, values)), [])
        else:
            found = _mixed(cells)
    except (OverflowError, ValueError):
        return None
    if not found.layout or len(found.numbers) > MAX_WIDTH or not all(map(math.isfinite, found.numbers)):
        return None
    return found


def _mixed(cells: Iterable[tuple[Any, Any]]) -> _Row:
    """Raises ValueError or OverflowError for a cell that is no number, text or array of numbers."""
    found = _Row([], [], [])
    for place, cell in cells:
        if isinstance(cell, str) and cell:
            found.texts.append(cell)
            found.layout.append((place, "text"))
        elif isinstance(cell, bool | int | float):
            found.numbers.append(float(cell))
            found.layout.append(place)
        else:
            dense = _dense([cell]) if isinstance(cell, list) else None
            if dense is None or dense.tensors[0].array is None:
                raise ValueError("a gap")
            found.numbers.extend(dense.tensors[0].array[0].tolist())
            found.layout.append((place, dense.tensors[0].shape[1:]))
    return found


def input_fields(inputs: Inputs | None, model: str | None, body: Body, time: int) -> list[InputFields]:
    """What stands for each row, in order; ``inputs`` None: only its size. ``time`` of the event in µs."""
    found: list[InputFields] = []
    for batch in body.batches:
        if not batch.tensors:
            found += [_of_text(inputs, text, time, batch.language) for text in batch.texts]
        elif inputs is not None:
            found += inputs.rows(model, batch.tensors, batch.rows, time)
        else:
            parts = zip(*(tensor.row_bytes() for tensor in batch.tensors), strict=True)
            found += [InputFields(input_bytes=sum(map(len, row))) for row in parts]
    return found


def _of_text(inputs: Inputs | None, text: str, time: int, language: bool) -> InputFields:
    if inputs is None:
        return InputFields(input_bytes=len(text.encode("utf-8", "surrogatepass")))
    found = inputs.text(text, time)
    return found if language else found._replace(**_NO_VECTOR)
