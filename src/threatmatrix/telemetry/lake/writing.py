"""Appending: one part for each day, durable when the call returns, written once however often it is asked for."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.columns import create_table, quote_name, to_table
from threatmatrix.telemetry.lake import layout
from threatmatrix.telemetry.lake.erased import NAMING, Erasures, Name, clean, names_in, without
from threatmatrix.telemetry.lake.reading import SCHEMA, from_parquet, quoted
from threatmatrix.telemetry.lake.staging import Staging, place

__all__ = ["Writer", "copy_out", "floor_div"]

_MIDNIGHT = 3_600_000_000  # µs: a revision this near to midnight may belong to an event of the other day
_KNOWN_DAYS = 64
_FEW_DAYS = 16  # a table of more is sorted once, or each of them would read all of it
_SORTED = "_threatmatrix_by_time"


def floor_div(column: str, by: int) -> str:
    """SQL for Python's ``column // by``."""
    return f"(({column} - (({column} % {by}) + {by}) % {by}) // {by})"


def copy_out(con: duckdb.DuckDBPyConnection, query: str, target: Path, *, group: int = 122_880) -> int:
    """Write a query as Parquet, ``group`` rows to a row group; returns the number of rows.

    zstd at level 1: measured with gateway events, 30 % less work than at DuckDB's level 3, and no larger.
    """
    how = f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {group}"
    row = con.execute(f"COPY ({query}) TO {quoted(str(target))} ({how})").fetchone()
    return int(row[0]) if row else 0


class Writer:
    """What appending needs and keeps: a connection (opening one takes 16 ms) and a place for temporary files.

    A forked child makes its own. ``close`` frees both; appending again is fine.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.Lock()
        self._con: duckdb.DuckDBPyConnection | None = None
        self._staging: Staging | None = None
        self._pid = 0
        self._ids: OrderedDict[Path, tuple[Any, frozenset[str]]] = OrderedDict()

    def append(self, events: Iterable[Event], part: str) -> int:
        listed = list(events)
        signature, erasures = Erasures.signature(self.root), Erasures.load(self.root)
        listed = clean(listed, erasures.among(getattr(e, column) for e in listed for column in NAMING))
        days: dict[str, list[Event]] = defaultdict(list)
        for event in listed:
            days[layout.day_name(event.time // layout.DAY)].append(event)
        written = 0
        for day, rows in sorted(days.items()):
            target = self.root / day / layout.fresh_name(part)
            if not (part and self._is_there(target)):
                self._put(self._loaded(rows), "SELECT * FROM part", target, signature)
                written += len(rows)
        return written

    def append_table(self, con: duckdb.DuckDBPyConnection, table: str, part: str) -> int:
        signature, erasures = Erasures.signature(self.root), Erasures.load(self.root)
        there = {row[0] for row in con.execute(f"DESCRIBE {quote_name(table)}").fetchall()}
        columns = ", ".join(
            f"CAST({quote_name(name) if name in there else 'NULL'} AS {sql}) AS {quote_name(name)}"
            for name, sql in EVENT_COLUMNS.items()
        )
        query = f"SELECT {columns} FROM {quote_name(table)}"  # noqa: S608 - names quoted
        names = erasures.among(names_in(con, query)) if erasures.entries else []
        number = floor_div("time", layout.DAY)
        numbers = [row[0] for row in con.execute(f"SELECT DISTINCT {number} FROM {quote_name(table)}").fetchall()]  # noqa: S608
        days: dict[str, list[int | None]] = defaultdict(list)
        for found in numbers:
            days[layout.day_name(0 if found is None else found)].append(found)
        if len(days) <= _FEW_DAYS:
            return self._put_days(con, query, days, part, names=names, signature=signature)
        con.execute(f"CREATE OR REPLACE TEMP TABLE {_SORTED} AS {query} ORDER BY time")
        try:
            return self._put_days(con, f"SELECT * FROM {_SORTED}", days, part, names=names, signature=signature)  # noqa: S608
        finally:
            con.execute(f"DROP TABLE {_SORTED}")

    def _put_days(
        self,
        con: duckdb.DuckDBPyConnection,
        query: str,
        days: Mapping[str, Sequence[int | None]],
        part: str,
        *,
        names: Sequence[Name],
        signature: tuple[int, int],
    ) -> int:
        written = 0
        for day, wanted in sorted(days.items()):
            target = self.root / day / layout.fresh_name(part)
            if not (part and self._is_there(target)):
                chosen = query if len(days) == 1 else f"{query} WHERE {_within(wanted)}"
                written += self._put(con, without(names, chosen), target, signature)
        return written

    def revise(self, events: Iterable[Event], part: str) -> int:
        """See :meth:`Lake.revise`."""
        days: dict[str, list[Event]] = defaultdict(list)
        for event in events:  # of several versions the last one counts, by its place in the file
            days[self._day_of(event)].append(event)
        signature, erasures = Erasures.signature(self.root), Erasures.load(self.root)
        written = 0
        for day, rows in sorted(days.items()):
            rows = clean(rows, erasures.among(getattr(e, column) for e in rows for column in NAMING))  # noqa: PLW2901
            files = layout.list_day(day.removeprefix("day="), self.root / day)
            target = self.root / day / layout.revision_name(layout.next_sequence(files), part)
            if rows and not (part and self._is_there(target, files)):
                self._put(self._loaded(rows), "SELECT * FROM part", target, signature)
                written += len(rows)
        return written

    def _day_of(self, event: Event) -> str:
        """The folder of what the event revises: near midnight that may be the other day's."""
        number, within = divmod(event.time, layout.DAY)
        own = layout.day_name(number)
        near = -1 if within < _MIDNIGHT else 1 if within >= layout.DAY - _MIDNIGHT else 0
        other = layout.day_name(number + near)
        around = f"time BETWEEN {event.time - 2 * _MIDNIGHT} AND {event.time + 2 * _MIDNIGHT}"
        return other if near and self._holds(other, event, around) and not self._holds(own, event, around) else own

    def _holds(self, day: str, event: Event, around: str) -> bool:
        files = layout.list_day(day.removeprefix("day="), self.root / day)
        paths = [*files.base, *files.newer] if files else []
        if not paths:
            return False
        query = from_parquet(self.root, paths, where=f"event_id = ? AND {around}")
        return self._connection().execute(f"{query} LIMIT 1", [event.event_id]).fetchone() is not None

    def _is_there(self, target: Path, files: layout.DayFiles | None = None) -> bool:
        """Whether the id has been written to that day, and may have been merged since."""
        if target.exists():
            return True
        name = layout.id_of(target.name)
        if files is not None and any(layout.id_of(other) == name for other in files.revisions):
            return True
        return name in self._absorbed(target.parent)

    def _absorbed(self, folder: Path) -> frozenset[str]:
        """The ids that a day's merged parts hold, read again only after a compaction."""
        while True:
            signature = layout.signature(folder)
            known = self._ids.get(folder)
            if known is not None and known[0] == signature:
                return known[1]
            ids = layout.absorbed(folder, layout.read_manifest(folder))
            if ids is not None and layout.signature(folder) == signature:
                self._ids[folder] = (signature, ids)
                while len(self._ids) > _KNOWN_DAYS:
                    self._ids.popitem(last=False)
                return ids

    def _put(self, con: duckdb.DuckDBPyConnection, query: str, target: Path, signature: tuple[int, int]) -> int:
        """Query → part. Where somebody was erased meanwhile, the part is written once more without them."""
        self._shape()
        staging = self._place()
        temporary = staging.path()
        try:
            rows = copy_out(con, query, temporary)
            if rows:
                place(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        now = Erasures.signature(self.root)
        if now == signature:
            return rows
        names = Erasures.load(self.root).among(names_in(con, query))
        if names and rows:
            kept = self._put(con, without(names, query), target, now)
            if not kept:
                target.unlink(missing_ok=True)
            return kept
        return rows

    def _loaded(self, rows: Sequence[Event]) -> duckdb.DuckDBPyConnection:
        con = self._connection()
        con.execute("DROP TABLE IF EXISTS part")
        to_table(con, "part", rows)
        return con

    def _shape(self) -> None:
        """The file without rows that gives readers the columns."""
        if not (self.root / SCHEMA).exists():
            con, temporary = self._connection(), self._place().path()
            create_table(con, "shape")
            try:
                copy_out(con, "SELECT * FROM shape", temporary)
                place(temporary, self.root / SCHEMA)
            finally:
                temporary.unlink(missing_ok=True)

    def _connection(self) -> duckdb.DuckDBPyConnection:
        self._own()
        if self._con is None:
            self._con = duckdb.connect()
        return self._con

    def _place(self) -> Staging:
        self._own()
        if self._staging is None:
            self._staging = Staging(self.root)
            weakref.finalize(self, self._staging.close)
        return self._staging

    def _own(self) -> None:
        if self._pid != os.getpid():
            self._con, self._staging, self._pid = None, None, os.getpid()

    def close(self) -> None:
        self._own()
        if self._con is not None:
            self._con.close()
        if self._staging is not None:
            self._staging.close()
        self._con, self._staging = None, None


def _within(numbers: Sequence[int | None]) -> str:
    """The condition that the time lies in one of the days; as ranges, which DuckDB need not read everything for."""
    ranges = (
        "time IS NULL" if number is None else f"time >= {number * layout.DAY} AND time < {(number + 1) * layout.DAY}"
        for number in numbers
    )
    return " OR ".join(f"({text})" for text in ranges)
