"""The lake as everybody uses it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import duckdb

from threatmatrix.model.errors import InputError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.lake.compaction import CompactReport, compact
from threatmatrix.telemetry.lake.erasure import EraseReport, erase
from threatmatrix.telemetry.lake.reading import make_view, snapshot
from threatmatrix.telemetry.lake.retention import ExpireReport, expire
from threatmatrix.telemetry.lake.rewriting import Work, working
from threatmatrix.telemetry.lake.staging import failures, rewriting, sweep_dead
from threatmatrix.telemetry.lake.status import DayStatus, statuses
from threatmatrix.telemetry.lake.writing import Writer

__all__ = ["Lake"]

_T = TypeVar("_T")
_TRIES = 10
_MEMORY_MB = 256
_GRACE = 60.0


class Lake:
    """``root/day=YYYY-MM-DD/…parquet``; days are of the event's time, UTC (docs/lake.md).

    Any number of processes append and read at once; of those who rewrite (compact, expire, erase) one at a time.
    Every method raises InputError, naming the lake or the file, where the disk or a file fails; the lake is then as
    it was before the call, or, for what covers several days, before the day at which it failed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._writer = Writer(root)

    def append(self, events: Iterable[Event], *, part: str = "") -> int:
        """Write the events, one part per day; returns how many. Durable when it returns.

        ``part`` names what is written: a day that has a part of that name already, merged by a compaction or not, is
        left as it is and counts 0. Events of an erased principal from before the erasure are not written.
        """
        with self._writing():
            return self._writer.append(events, part)

    def append_table(self, con: duckdb.DuckDBPyConnection, table: str, *, part: str = "") -> int:
        """The same from a table or view of the caller's connection, by DuckDB alone; columns that it lacks are NULL.

        It is read once for its days and once for each day; of more than 16 days it is sorted into a temporary table
        first, so that each reads only its own. A day costs a file: 20 ms of processor time, and three syncs.
        """
        with self._writing():
            return self._writer.append_table(con, table, part)

    def revise(self, events: Iterable[Event], *, part: str = "") -> int:
        """Newer versions of events: in the view they stand in place of every event of their id in the same day.

        Within an hour of midnight the event may also be one of the neighbouring day; the revision is then kept there.
        The newest version wins. Meant for few: a late record that joined an event already written. Returns how many.
        """
        with self._writing():
            return self._writer.revise(events, part)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection of its own, in memory, with the view ``events`` over the lake as it is at this moment.

        The view has exactly the columns of EVENT_COLUMNS. What is written later is not seen: connect again. What a
        compaction replaces stays readable for a minute; a query that comes after that fails. The caller closes it.
        """
        return self._read(_opened)

    def count(self) -> int:
        """How many events the lake holds."""
        return self._read(_counted)

    def days(self, *, deep: bool = False) -> list[DayStatus]:
        """What there is, day by day, oldest first; damaged parts are named, not refused.

        Damage at a file's ends is always found, damage inside only where ``deep`` reads it all.
        """
        return self._read(lambda root: statuses(root, deep=deep))

    def compact(
        self,
        days: Collection[str] | None = None,
        *,
        join: bool = False,
        memory_mb: int = _MEMORY_MB,
        threads: int = 2,
        grace: float = _GRACE,
        on_day: Callable[[str, int], None] | None = None,
    ) -> CompactReport:
        """Merge the parts of each day (``YYYY-MM-DD``; None: all) in which something is new; see docs/lake.md.

        ``join``: records of one request become one event (docs/joining.md), as far as they are of one day. At most
        100,000 records are held against each other at a time: ``forgotten_early`` of the report counts what that cost.
        Parts that cannot be opened are set aside under ``….damaged`` and reported. ``grace``: seconds that replaced
        parts stay for readers that listed them just before; a later compaction removes them. DuckDB holds at most
        ``memory_mb``. InputError where another process is compacting, expiring or erasing.
        """
        with self._rewriting(memory_mb, threads, grace) as (work, swept):
            report = compact(work, days, join=join, on_day=on_day)
            report.swept += swept
        return report

    def expire(self, older_than_day: str) -> ExpireReport:
        """Remove every day before the one given (YYYY-MM-DD), and what was known of its part ids."""
        if not self.root.exists():
            return ExpireReport((), 0, 0, 0)
        with failures(self.root), rewriting(self.root):
            return expire(self.root, older_than_day)

    def erase(
        self,
        principal: str,
        *,
        alias: str | None = None,
        at: int | None = None,
        on_day: Callable[[str, int], None] | None = None,
    ) -> EraseReport:
        """Remove every event of a principal; where another event names them, ``alias`` (or nothing) takes the place.

        An event is theirs where ``principal`` is the name, or where there is no principal and ``key_id``, ``src_ip`` or
        ``session`` is. The files that held the name are gone when this returns. Events of before ``at`` (µs,
        default: now) that anybody appends later are not written; later ones are: they are of a new relation.
        """
        with self._rewriting(_MEMORY_MB, 2, 0) as (work, _):
            return erase(work, principal, alias, at, on_day)

    def close(self) -> None:
        """Free what writing holds; appending again is fine."""
        with self._writer.lock:
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with failures(self.root), self._writer.lock:
            yield

    @contextmanager
    def _rewriting(self, memory_mb: int, threads: int, grace: float) -> Iterator[tuple[Work, int]]:
        with failures(self.root), rewriting(self.root):
            swept = sweep_dead(self.root)
            with working(self.root, memory_mb=memory_mb, threads=threads, grace=grace) as work:
                yield work, swept

    def _read(self, work: Callable[[Path], _T]) -> _T:
        """A file that vanished between listing and opening was compacted away: list again."""
        for _ in range(_TRIES - 1):
            try:
                with failures(self.root):
                    return work(self.root)
            except InputError as error:
                if not _vanished(error):
                    raise
        with failures(self.root):
            return work(self.root)


def _vanished(error: InputError) -> bool:
    text = str(error.__cause__).lower()
    return isinstance(error.__cause__, duckdb.IOException | FileNotFoundError) and any(sign in text for sign in _GONE)


_GONE = ("no such file", "no files found", "cannot open file")


def _opened(root: Path) -> duckdb.DuckDBPyConnection:
    if root.exists() and not root.is_dir():
        raise NotADirectoryError(20, "is a file, not a folder", str(root))
    con = duckdb.connect()
    try:
        make_view(con, root, snapshot(root))
    except BaseException:
        con.close()
        raise
    return con


def _counted(root: Path) -> int:
    with closing(_opened(root)) as con:
        row = con.execute("SELECT count(*) FROM events").fetchone()
    return int(row[0]) if row else 0
