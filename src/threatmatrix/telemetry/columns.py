"""Events → a DuckDB table, fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import duckdb
import numpy as np

from threatmatrix.model.event import EVENT_COLUMNS, Event

__all__ = ["create_table", "quote_name", "to_table"]

_ROW: Callable[[Event], tuple[Any, ...]] = attrgetter(*EVENT_COLUMNS)
_NULL = -(2**63)  # stands for None in an int64 column; readers refuse negative integers


def quote_name(name: str) -> str:
    """A table name or column as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def create_table(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Make the table ``name`` with the columns and types of EVENT_COLUMNS, if it is not there."""
    columns = ", ".join(f"{quote_name(column)} {sql}" for column, sql in EVENT_COLUMNS.items())
    con.execute(f"CREATE TABLE IF NOT EXISTS {quote_name(name)} ({columns})")


def to_table(con: duckdb.DuckDBPyConnection, name: str, events: Sequence[Event]) -> None:
    """Append ``events`` to the table ``name``, which is made where it does not exist.

    One NumPy array per column, scanned by DuckDB in place: measured in one run with 5,000 gateway
    events 10 µs per event, against 37 µs through newline-delimited JSON and 53 µs through lists as
    parameters; 4–7 ms per call at least. Columns that are None throughout cost nothing. NaN becomes
    NULL. ``con`` must not be shared with another thread meanwhile.
    """
    create_table(con, name)
    if not events:
        return
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    targets: list[str] = []
    values: list[str] = []
    for (column, sql), cells in zip(EVENT_COLUMNS.items(), zip(*map(_ROW, events), strict=True), strict=True):
        if cells.count(None) == len(cells):
            continue
        targets.append(quote_name(column))
        values.append(_add(arrays, column, sql, cells))
    view = "_threatmatrix_event_columns"
    con.register(view, arrays)
    try:
        source = f"SELECT {', '.join(values)} FROM {quote_name(view)}"  # noqa: S608 - names quoted, no values
        con.execute(f"INSERT INTO {quote_name(name)} ({', '.join(targets)}) {source}")
    finally:
        con.unregister(view)


def _add(arrays: dict[str, np.ndarray[Any, Any]], column: str, sql: str, cells: tuple[Any, ...]) -> str:
    """Put one column into ``arrays``; returns the expression that reads it back."""
    name = quote_name(column)
    if sql == "BIGINT":
        arrays[column] = np.array([_NULL if cell is None else cell for cell in cells], dtype=np.int64)
        return f"nullif({name}, {_NULL})" if None in cells else name
    if sql == "DOUBLE":
        arrays[column] = np.array(cells, dtype=np.float64)  # None → NaN, which DuckDB reads as NULL
        return name
    if sql == "DOUBLE[]":
        # DuckDB guesses the element type from a sample and cannot from an empty list: those go by a flag.
        arrays[column] = _objects([list(cell) if cell else None for cell in cells])
        if () not in cells:
            return name
        flag = f"{column} is empty"
        arrays[flag] = np.array([cell is not None and not cell for cell in cells], dtype=np.bool_)
        return f"CASE WHEN {quote_name(flag)} THEN []::DOUBLE[] ELSE {name}::DOUBLE[] END"
    arrays[column] = _objects(cells)
    return name


def _objects(cells: Sequence[Any]) -> np.ndarray[Any, Any]:
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array
