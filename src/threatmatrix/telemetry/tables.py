"""Rows of a table → records: CSV as it streams in, Parquet by DuckDB."""

from __future__ import annotations

import csv
import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from threatmatrix.model.errors import InputError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.logfile import LogFile
from threatmatrix.telemetry.records import MAX_LINE, LineParser

__all__ = ["Table", "read_csv", "read_parquet"]

_ROWS = 1000
_UNENDED = "a quoted field does not end"


class Table(NamedTuple):
    """How a CSV file is written. ``columns``: their names, where the first line does not say them; ``needs``: the
    columns that must be there.
    """

    delimiter: str = ","
    columns: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()


def read_csv(log: LogFile, table: Table, parser: LineParser, out: list[Event]) -> Iterator[None]:
    """Append the events of each row; yields after every row.

    RFC 4180: a field in double quotes may hold the delimiter, quotes (doubled) and line ends. A row of the wrong
    length or with a crooked quote is one dead letter; reading goes on at the line after its first one. A row is at
    most ``MAX_LINE`` bytes: a quote that never ends does not swallow what follows it.

    Raises InputError where a column that is needed is missing or a name stands twice in the first line.
    """
    lines = _Lines(log)
    columns = table.columns or _header(log, lines, table)
    missing = sorted(table.needs - set(columns))
    if missing:
        raise InputError(log.name, f"has no column {missing[0]!r}", hint="Compare its first line with the mapping file")
    while lines.more():
        number, raw = lines.number + 1, lines.peek()
        if not raw.strip():
            lines.take(1)
            continue
        row, taken, reason = _row(lines, table.delimiter)
        if not reason and len(row) != len(columns):
            reason = f"has {len(row)} fields, the table has {len(columns)} columns"
            taken = 1
        if not reason:
            reason = parser.value(dict(zip(columns, row, strict=True)), number, out)
        if reason:
            parser.letter(b"\n".join(lines.take(taken)), number, reason)
        else:
            lines.take(taken)
        yield
    if log.torn:
        parser.letter(log.torn, lines.number + 1, "cut off: the file ends in the middle of this line")


def _header(log: LogFile, lines: _Lines, table: Table) -> tuple[str, ...]:
    lines.more()
    row, taken, reason = _row(lines, table.delimiter)
    names = tuple(name.strip() for name in row)
    lines.take(taken)
    if reason or len(set(names)) != len(names):
        problem = reason or "a name stands there twice"
        raise InputError(log.name, f"its first line does not name the columns: {problem}", hint="Check the delimiter")
    return names


class _Lines:
    """Lines that can be looked at before they are taken; ``number`` counts the taken ones."""

    def __init__(self, log: LogFile) -> None:
        self._source = log.lines()
        self._ahead: deque[bytes] = deque()
        self.number = 0
        self.alone = 0  # so many of the next lines stand for themselves: a quote before them has been given up

    def more(self, count: int = 1) -> bool:
        while len(self._ahead) < count:
            line = next(self._source, None)
            if line is None:
                return False
            self._ahead.append(line)
        return True

    def peek(self, at: int = 0) -> bytes:
        return self._ahead[at]

    def take(self, count: int) -> list[bytes]:
        self.number += count
        self.alone = max(0, self.alone - count)
        return [self._ahead.popleft() for _ in range(count)]


def _row(lines: _Lines, delimiter: str) -> tuple[list[str], int, str]:
    """The next row, how many lines it takes, and why it is none ("": it is one)."""
    size = taken = 0

    def texts() -> Iterator[str]:
        nonlocal size, taken
        while (not taken or not lines.alone) and size <= MAX_LINE and lines.more(taken + 1):
            raw = lines.peek(taken)
            size += len(raw) + 1
            taken += 1
            yield raw.rstrip(b"\r").decode("utf-8", "replace") + "\n"

    before = csv.field_size_limit(MAX_LINE)  # of the whole process, where others rely on it: only for this row
    try:
        row = next(csv.reader(texts(), delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        unended = "unexpected end" in str(error)
        if unended and taken > 1:
            lines.alone = taken  # looked at once in vain: not again from each of these lines
        return [], 1, _UNENDED if unended else "a quote inside a field, or a field that is too long"
    finally:
        csv.field_size_limit(before)
    if size > MAX_LINE:
        return [], taken, f"longer than {MAX_LINE // 2**20} MiB"
    return row, taken, ""


def read_parquet(log: LogFile, parser: LineParser, out: list[Event]) -> Iterator[None]:
    """Append the events of each row; yields after every 1,000. Damage ends up in ``log.broken``.

    Times become ISO 8601 text, decimals numbers, bytes text. DuckDB may read this file and nothing else.
    """
    import duckdb

    if log.packing or log.size is None:
        raise InputError(log.name, "Parquet can only be read from a plain file", hint="Unpack it, and name the file")
    con = duckdb.connect(config={"threads": 1, "memory_limit": "256MB"})
    number = 0
    try:
        con.execute("SET preserve_insertion_order = true")
        con.execute("SET allowed_paths = ?", [[log.name]])
        con.execute("SET enable_external_access = false")
        cursor = con.execute("SELECT * FROM read_parquet(?)", [log.name])
        columns: Sequence[str] = [column[0] for column in cursor.description or ()]
        while rows := cursor.fetchmany(_ROWS):
            for number, cells in enumerate(rows, number + 1):  # noqa: B020 - goes on counting
                record = {name: _plain(cell) for name, cell in zip(columns, cells, strict=True)}
                reason = parser.value(record, number, out)
                if reason:
                    parser.letter(json.dumps(record).encode(), number, reason)
            yield
    except (duckdb.Error, ValueError, OverflowError):
        problem = f"is a damaged Parquet file, or one that DuckDB cannot read (after row {number})"
        log.broken = InputError(log.name, problem, hint="Write it again; the rows before that were read")
    finally:
        con.close()
    log.finish()


_PLAIN: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    ((str, bool, int), lambda cell: cell),
    (float, lambda cell: cell if math.isfinite(cell) else None),  # NaN and infinities say nothing
    (bytes, lambda cell: cell.decode("utf-8", "replace")),
    (Decimal, lambda cell: int(cell) if cell == cell.to_integral_value() else float(cell)),
    ((datetime, date, time), lambda cell: cell.isoformat()),
    (timedelta, lambda cell: cell.total_seconds()),
    (dict, lambda cell: {str(key): _plain(value) for key, value in cell.items()}),
    ((list, tuple), lambda cell: [_plain(value) for value in cell]),
    (UUID, str),
)


def _plain(cell: Any) -> Any:
    """A cell as JSON has it; None for a type that JSON knows nothing like."""
    return next((convert(cell) for kind, convert in _PLAIN if isinstance(cell, kind)), None)
