"""Events at rest: Parquet files, one folder per day, written by anybody at once, read by DuckDB in memory."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from threatmatrix.model.errors import InputError
from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.columns import create_table, quote_name, to_table

__all__ = ["Lake"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000  # µs
_SCHEMA_FILE = Path("day=1970-01-01") / "part-00000000000000000000000000.parquet"
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's, as in ULIDs: sorts like the number


class Lake:
    """``root/day=YYYY-MM-DD/part-<id>.parquet``; days are of the event's time, UTC.

    A part is written under another name, synced and renamed: a reader sees it whole or not at all,
    and several writers need no lock. A part without rows carries the schema, so that an empty lake
    has its columns, and parts of an older version give NULL for columns they lack.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._writer: duckdb.DuckDBPyConnection | None = None
        self._pid = 0

    def append(self, events: Iterable[Event]) -> int:
        """Write the events, one part per day; returns how many. Durable when it returns.

        Raises InputError where the lake cannot be written.
        """
        days: dict[int, list[Event]] = defaultdict(list)
        for event in events:
            days[event.time // _DAY].append(event)
        if not days:
            return 0
        with _failures(self.root), self._lock:
            con = self._connection()
            self._ensure(con)
            for day, rows in sorted(days.items()):
                con.execute("DROP TABLE IF EXISTS part")
                to_table(con, "part", rows)
                folder = self.root / f"day={(_EPOCH + timedelta(days=day)).date().isoformat()}"
                _write(con, folder / f"part-{_part_id()}.parquet")
        return sum(map(len, days.values()))

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection of its own, in memory, with the view ``events`` over the whole lake.

        The view has exactly the columns of EVENT_COLUMNS and sees parts that are added later. The
        caller closes it. Raises InputError where the lake cannot be made or read.
        """
        con = duckdb.connect()
        try:
            with _failures(self.root):
                self._ensure(con)
                columns = ", ".join(
                    f"CAST({quote_name(name)} AS {sql}) AS {quote_name(name)}" for name, sql in EVENT_COLUMNS.items()
                )
                parts = con.read_parquet(str(_literal(self.root) / "day=*" / "part-*.parquet"), union_by_name=True)
                parts.project(columns).create_view("events")
        except BaseException:
            con.close()
            raise
        return con

    def count(self) -> int:
        """How many events the lake holds."""
        with closing(self.connect()) as con:
            row = con.execute("SELECT count(*) FROM events").fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        """Free what writing holds; appending again is fine."""
        with self._lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def _connection(self) -> duckdb.DuckDBPyConnection:
        """The connection that writes: opening one takes 16 ms, so it is kept; a forked child makes its own."""
        if self._writer is None or self._pid != os.getpid():
            self._writer, self._pid = duckdb.connect(), os.getpid()
        return self._writer

    def _ensure(self, con: duckdb.DuckDBPyConnection) -> None:
        if not (self.root / _SCHEMA_FILE).exists():
            con.execute("DROP TABLE IF EXISTS part")
            create_table(con, "part")
            _write(con, self.root / _SCHEMA_FILE)


@contextmanager
def _failures(root: Path) -> Iterator[None]:
    """Turns what the disk and DuckDB's file layer raise into an InputError that names the lake."""
    try:
        yield
    except (OSError, duckdb.IOException, duckdb.InvalidInputException) as error:
        raise InputError(
            root,
            f"the lake failed: {str(error).splitlines()[0]}",
            hint="Check its disk and permissions, or remove the damaged part",
        ) from error


def _write(con: duckdb.DuckDBPyConnection, target: Path) -> None:
    """The table ``part`` → ``target``, by a temporary file that no reader's pattern matches."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{_part_id()}.tmp"
    try:
        con.table("part").write_parquet(str(temporary), compression="zstd")
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name, too, must outlive a power cut
    finally:
        os.close(folder)


def _part_id() -> str:
    """26 characters: milliseconds, then 80 random bits, as in a ULID; parts sort by the time of writing."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(_BASE32[number >> shift & 31] for shift in range(125, -1, -5))


def _literal(root: Path) -> Path:
    """The path with the signs of a glob pattern made literal."""
    return Path("".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(root)))
