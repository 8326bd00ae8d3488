"""Open a store: a path (SQLite) or a PostgreSQL URL."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from threatmatrix.model.errors import StoreError
from threatmatrix.store.database import Database
from threatmatrix.store.evidence import EvidenceLog
from threatmatrix.store.findings import FindingStore
from threatmatrix.store.incidents import IncidentStore
from threatmatrix.store.ledger import Ledger
from threatmatrix.store.migrate import bring_up
from threatmatrix.store.policy import PolicyStore

__all__ = ["Store", "open_store"]

_PATH_HINT = "Give another path, or make its directory writable"


@dataclass(frozen=True, slots=True)
class Store:
    """The parts of the database, each with its own few verbs. Close it, or use it in a ``with``."""

    findings: FindingStore
    incidents: IncidentStore
    ledger: Ledger
    policy: PolicyStore
    evidence: EvidenceLog
    database: Database

    @property
    def where(self) -> str:
        """The path, or the URL without its password."""
        return self.database.where

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def wall_clock() -> int:
    """Microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000


def open_store(url_or_path: str | Path, *, clock: Callable[[], int] = wall_clock) -> Store:
    """Open, and where needed create or migrate, the store at a path or a ``postgresql://`` URL.

    ``clock`` gives "now" in µs for what depends on it (which policy entries are in force). Raises
    StoreError, naming the path and the way out, for a directory that cannot be written, a file that
    is not a store of ours, or one that a newer threatmatrix wrote.
    """
    url, where = _locate(url_or_path)
    database = Database(url, where)
    try:
        bring_up(database)
    except BaseException:
        database.close()
        raise
    return Store(
        findings=FindingStore(database),
        incidents=IncidentStore(database),
        ledger=Ledger(database),
        policy=PolicyStore(database, clock),
        evidence=EvidenceLog(database),
        database=database,
    )


def _locate(url_or_path: str | Path) -> tuple[str, str]:
    """SQLAlchemy's URL, and the name for people."""
    if isinstance(url_or_path, str) and "://" in url_or_path:
        try:
            url = make_url(url_or_path)
        except (ArgumentError, ValueError) as error:
            raise StoreError(f"not a database URL: {error}", hint="Give a path or a postgresql:// URL") from error
        if url.drivername in {"postgresql", "postgres"}:
            url = url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() == "sqlite" and url.database:
            _prepare(Path(url.database))
        return url.render_as_string(hide_password=False), url.render_as_string(hide_password=True)
    path = Path(url_or_path).expanduser().absolute()
    _prepare(path)
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False), str(path)


def _prepare(path: Path) -> None:
    try:
        if path.is_dir():
            raise StoreError(f"{path}: is a directory", hint="Give a file inside it, such as threatmatrix.db")
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: cannot be created ({error.strerror})", hint=_PATH_HINT) from error
