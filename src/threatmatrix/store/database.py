"""One engine, two ways to use it (read, write), and every driver error turned into a StoreError."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, NoSuchModuleError, SQLAlchemyError

from threatmatrix.model.errors import StoreError

__all__ = ["Database"]

_T = TypeVar("_T")
_BUSY_MS = 10_000
_COLLISIONS = 5
_WRITE = "threatmatrix_write"
_ALONE = 0x7468726D  # any number that is ours: the advisory lock of ``alone``

_HINTS = (
    ("not a database", "is not a SQLite database", "Give another path, or restore the file from a backup"),
    ("malformed", "is damaged", "Restore the file from a backup"),
    (
        "unable to open",
        "cannot be opened or created",
        "Check that its directory exists and that this user may write there",
    ),
    ("readonly", "cannot be written", "Check that this user may write the file and its directory"),
    ("read-only", "cannot be written", "Check that this user may write the file and its directory"),
    ("locked", f"has been locked for {_BUSY_MS // 1000} s", "Wait until the other process has finished, try again"),
    ("disk is full", "cannot grow: the disk is full", "Free some space, then try again"),
    ("connection", "cannot be reached", "Check the URL, and that the server answers"),
)


class Database:
    """SQLite (WAL, synchronous=FULL) or PostgreSQL behind the same SQL. ``where`` names it in errors."""

    def __init__(self, url: str, where: str) -> None:
        self.where = where
        self._local = threading.local()
        try:
            self.engine = create_engine(url)
        except (SQLAlchemyError, NoSuchModuleError) as error:
            raise StoreError(f"{where}: {error}", hint="Give a file path or a postgresql:// URL") from error
        except ImportError as error:
            raise StoreError(
                f"{where}: the driver {error.name} is not installed",
                hint="Install it with: pip install 'psycopg[binary]'",
            ) from error
        if make_url(url).get_backend_name() == "sqlite":
            event.listen(self.engine, "connect", _set_up_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    def read(self, work: Callable[[Connection], _T]) -> _T:
        """Run ``work`` in a transaction of its own that changes nothing (within ``alone``: in that one)."""
        shared = self._shared
        if shared is not None:
            return work(shared)
        with self._translated(), self.engine.connect() as connection:
            return work(connection)

    def write(self, work: Callable[[Connection], _T]) -> _T:
        """Run ``work`` in a write transaction; committed (and on disk) when this returns.

        Two writers that insert the same key collide on servers: the loser's ``work`` runs again and
        then sees the winner's row. ``work`` must therefore have no effect outside the database, or
        one that may be repeated. Within ``alone`` it runs in that transaction.
        """
        shared = self._shared
        if shared is not None:
            return work(shared)
        with self._translated():
            for _ in range(_COLLISIONS):
                try:
                    return self._write_once(work)
                except IntegrityError as error:
                    collision = error
            raise collision

    def alone(self, work: Callable[[], _T]) -> _T:
        """Run ``work`` with everything that it reads and writes here in one write transaction, and nobody else in one.

        For decisions that rest on several parts of the store: of two processes, the second waits and then sees what
        the first one did. ``work`` may run again, as in ``write``. Another thread has no part in it.
        """

        def together(connection: Connection) -> _T:
            if connection.dialect.name == "postgresql":  # SQLite lets one transaction write as it is
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ALONE})
            self._local.connection = connection
            try:
                return work()
            finally:
                self._local.connection = None

        return self.write(together)

    @property
    def _shared(self) -> Connection | None:
        found: Connection | None = getattr(self._local, "connection", None)
        return found

    def _write_once(self, work: Callable[[Connection], _T]) -> _T:
        with self.engine.connect() as plain:
            connection = plain.execution_options(**{_WRITE: True})
            with connection.begin():
                return work(connection)

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise self._error(error) from error

    def _error(self, error: SQLAlchemyError) -> StoreError:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        for needle, problem, hint in _HINTS:
            if needle in cause.lower():
                return StoreError(f"{self.where}: {problem} ({cause})", hint=hint)
        return StoreError(f"{self.where}: {cause}", hint="The store is as it was before this step")


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, so that DDL is transactional too
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={_BUSY_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",  # a committed intent survives a power cut
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that turns into a writer fails at once when another writes: take the lock first.
    writes = connection.get_execution_options().get(_WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
