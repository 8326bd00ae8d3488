"""Policy: what gateways enforce now, and the snapshot file that they read."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select, update

from threatmatrix.model.errors import StoreError
from threatmatrix.model.response import PolicyEntry, PolicySnapshot
from threatmatrix.store.codec import canonical, entry_from
from threatmatrix.store.database import Database
from threatmatrix.store.schema import policy_entries, policy_state

__all__ = ["EntryStatus", "PolicyStore"]

EntryStatus = Literal["active", "expired", "withdrawn", "absent"]


class PolicyStore:
    """Every change raises the version by one; what changes nothing leaves it."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock

    def add(self, entry: PolicyEntry) -> bool:
        """Put an entry in force; False (and no change) where the id is there already, withdrawn or not."""

        def work(connection: Connection) -> bool:
            version = _lock(connection)
            if _row(connection, entry.entry_id) is not None:
                return False
            connection.execute(insert(policy_entries).values(withdrawn_by="", **_columns(entry)))
            _set_version(connection, version + 1)
            return True

        return self._database.write(work)

    def extend(self, entry_id: str, expires_at: int) -> bool:
        """Move an entry's end to ``expires_at`` (µs) if that is later; False where nothing changed."""

        def work(connection: Connection) -> bool:
            version = _lock(connection)
            row = _row(connection, entry_id)
            if row is None or row.withdrawn_at is not None or row.expires_at >= expires_at:
                return False
            entry = dataclasses.replace(entry_from(row.body), expires_at=expires_at)
            chosen = policy_entries.c.entry_id == entry_id
            connection.execute(update(policy_entries).where(chosen).values(**_columns(entry)))
            _set_version(connection, version + 1)
            return True

        return self._database.write(work)

    def withdraw(self, entry_id: str, by: str = "") -> bool:
        """Take an entry out of force (the undo); False where it is unknown or withdrawn already."""

        def work(connection: Connection) -> bool:
            version = _lock(connection)
            row = _row(connection, entry_id)
            if row is None or row.withdrawn_at is not None:
                return False
            values = {"withdrawn_at": self._clock(), "withdrawn_by": by}
            connection.execute(update(policy_entries).where(policy_entries.c.entry_id == entry_id).values(**values))
            _set_version(connection, version + 1)
            return True

        return self._database.write(work)

    def active(self, now: int | None = None) -> list[PolicyEntry]:
        """Entries in force at ``now`` (µs; default: the store's clock), oldest first."""
        at = self._clock() if now is None else now
        return list(self._database.read(lambda connection: _active(connection, at)))

    def status(self, entry_id: str, now: int | None = None) -> EntryStatus:
        """What became of an entry."""
        at = self._clock() if now is None else now
        row = self._database.read(lambda connection: _row(connection, entry_id))
        if row is None:
            return "absent"
        if row.withdrawn_at is not None:
            return "withdrawn"
        return "active" if row.expires_at > at else "expired"

    def version(self) -> int:
        return int(self._database.read(lambda connection: connection.scalars(select(policy_state.c.version)).one()))

    def publish(self, path: str | Path, now: int | None = None) -> PolicySnapshot:
        """Write the committed entries in force as JSON (``asdict(PolicySnapshot)``) and return them.

        Temporary file, fsync, rename, fsync of the directory: a reader sees the old file or the new
        one, never half. The policy row stays locked while the file is written, so that of two
        publishers the later content stands. A file with a higher version (left by another store) is
        outnumbered, so that the version at this path only grows. Raises StoreError.
        """
        target = Path(path)
        at = self._clock() if now is None else now

        def work(connection: Connection) -> PolicySnapshot:
            version = _lock(connection)
            there = _version_at(target)
            if there > version:
                version = there + 1
                _set_version(connection, version)
            snapshot = PolicySnapshot(version=version, published_at=at, entries=_active(connection, at))
            _replace(target, json.dumps(dataclasses.asdict(snapshot), allow_nan=False))
            return snapshot

        return self._database.write(work)


def _lock(connection: Connection) -> int:
    """Take the policy's row lock, so that changes queue up; returns the version."""
    connection.execute(update(policy_state).values(version=policy_state.c.version))
    return int(connection.scalars(select(policy_state.c.version)).one())


def _set_version(connection: Connection, version: int) -> None:
    connection.execute(update(policy_state).values(version=version))


def _row(connection: Connection, entry_id: str) -> Row[Any] | None:
    return connection.execute(select(policy_entries).where(policy_entries.c.entry_id == entry_id)).first()


def _columns(entry: PolicyEntry) -> dict[str, object]:
    return {
        "entry_id": entry.entry_id,
        "created_at": entry.created_at,
        "expires_at": entry.expires_at,
        "body": canonical(entry),
    }


def _active(connection: Connection, at: int) -> tuple[PolicyEntry, ...]:
    query = (
        select(policy_entries.c.body)
        .where(policy_entries.c.withdrawn_at.is_(None), policy_entries.c.expires_at > at)
        .order_by(policy_entries.c.created_at, policy_entries.c.entry_id)
    )
    return tuple(entry_from(body) for body in connection.scalars(query))


def _version_at(path: Path) -> int:
    """The version of the published file; 0 where there is none, or none that can be read."""
    try:
        version = json.loads(path.read_bytes())["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return version if isinstance(version, int) else 0


def _replace(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(text + "\n")
                file.flush()
                os.fchmod(file.fileno(), 0o644)  # a gateway often runs as another user
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise StoreError(
            f"{path}: the policy cannot be published ({error.strerror or error})",
            hint="Gateways keep the policy they have; make the directory writable, then publish again",
        ) from error
