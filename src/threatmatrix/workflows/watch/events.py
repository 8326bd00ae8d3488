"""Events ↔ bytes for the journal and the snapshot: columns as JSON, packed. Nothing in them can run."""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.following.content import zstd

__all__ = ["decode_events", "encode_events"]

_ROW: Callable[[Event], tuple[Any, ...]] = attrgetter(*EVENT_COLUMNS)
_LEVEL = 1


def encode_events(events: Sequence[Event]) -> bytes:
    """Columns that are None throughout are left out; one that says the same throughout is said once.

    Measured with gateway events that carry a vector of 64 and 10 scores: 11 µs and 182 bytes an event, against 18 µs
    and 868 bytes as JSON lines and 16 µs and 174 bytes as Parquet, which takes 4 ms at least.
    """
    columns: dict[str, Any] = {}
    for (name, sql), cells in zip(EVENT_COLUMNS.items(), zip(*map(_ROW, events), strict=True), strict=True):
        if cells.count(None) == len(cells):
            continue
        if sql == "BLOB":
            columns[name] = [
                None if cell is None else b2a_base64(cell, newline=False).decode("ascii") for cell in cells
            ]
        elif cells.count(cells[0]) == len(cells):
            columns[name] = {"all": cells[0]}
        else:
            columns[name] = cells
    text = json.dumps({"rows": len(events), "columns": columns}, separators=(",", ":"), check_circular=False)
    return zstd.compress(text.encode("ascii"), _LEVEL)


def decode_events(data: bytes, where: object) -> list[Event]:
    """Raises FormatError where these are no events of ours."""
    try:
        content = json.loads(zstd.decompress(data))
        rows, columns = content["rows"], content["columns"]
        names = [name for name in EVENT_COLUMNS if name in columns]
        if len(names) != len(columns):
            raise FormatError(where, "has fields that this version does not know", hint="Use the version that wrote it")
        cells = [_cells(name, columns[name], rows) for name in names]
        return [Event(**dict(zip(names, row, strict=True))) for row in zip(*cells, strict=True)]
    except (zstd.ZstdError, ValueError, KeyError, TypeError) as error:
        raise FormatError(where, f"is damaged: {type(error).__name__}", hint="Restore it from a backup") from error


def _cells(name: str, column: Any, rows: int) -> list[Any]:
    sql = EVENT_COLUMNS[name]
    cells = [column["all"]] * rows if isinstance(column, dict) else column
    if len(cells) != rows:
        raise ValueError("columns of different lengths")
    if sql == "BLOB":
        return [None if cell is None else a2b_base64(cell) for cell in cells]
    if sql == "DOUBLE[]":
        return [None if cell is None else tuple(cell) for cell in cells]
    return list(cells)
