"""Policy: what gateways enforce now, and the snapshot file that they read."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select, update

from threatmatrix.model.errors import StoreError
from threatmatrix.model.response import PolicyEntry
from threatmatrix.store.codec import canonical, entry_from
from threatmatrix.store.database import Database
from threatmatrix.store.schema import policy_entries, policy_state

__all__ = ["EntryStatus", "PolicyStore"]

EntryStatus = Literal["active", "expired", "withdrawn", "absent"]

_HEAD = re.compile(rb'\{"version":(\d{1,18}),"published_at"')
_SPARE = 100  # decoded entries kept beside twice those in force


class PolicyStore:
    """Every change raises the version by one; what changes nothing leaves it."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._decoded: dict[str, tuple[str, PolicyEntry]] = {}  # entry id -> its body, and that body decoded

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
        """Take an entry out of force (the undo); False where it is unknown or withdrawn already.

        An id that is unknown is withdrawn in advance: it can never be put in force.
        """

        def work(connection: Connection) -> bool:
            version = _lock(connection)
            row = _row(connection, entry_id)
            if row is None:
                # A tombstone: an action that is under way at this moment cannot put the entry in force afterwards.
                stamp = {"created_at": self._clock(), "expires_at": 0, "withdrawn_at": self._clock()}
                blank = {"entry_id": entry_id, "withdrawn_by": by, "body": "{}"}
                connection.execute(insert(policy_entries).values(**blank, **stamp))
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
        rows = self._database.read(lambda connection: _active(connection, at))
        if len(self._decoded) > 2 * len(rows) + _SPARE:
            self._decoded.clear()
        entries = []
        for entry_id, body in rows:
            known = self._decoded.get(entry_id)
            if known is None or known[0] != body:
                known = self._decoded[entry_id] = (body, entry_from(body))
            entries.append(known[1])
        return entries

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

    def publish(self, path: str | Path, now: int | None = None) -> int:
        """Write the committed entries in force as JSON (``asdict(PolicySnapshot)``); returns the version.

        Temporary file, fsync, rename, fsync of the directory: a reader sees the old file or the new
        one, never half. The policy row stays locked while the file is written, so that of two
        publishers the later content stands. A file with a higher version (left by another store) is
        outnumbered, so that the version at this path only grows. Raises StoreError.
        """
        target = Path(path)
        at = self._clock() if now is None else now

        def work(connection: Connection) -> int:
            version = _lock(connection)
            there = _version_at(target)
            if there > version:
                version = there + 1
                _set_version(connection, version)
            # The stored bodies are the entries' JSON already: a thousand of them are joined, not decoded.
            entries = ",".join(body for _, body in _active(connection, at))
            _replace(target, f'{{"version":{version},"published_at":{at},"entries":[{entries}]}}')
            return version

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


def _active(connection: Connection, at: int) -> Sequence[tuple[str, str]]:
    """(entry id, body) of the entries in force, oldest first."""
    query = (
        select(policy_entries.c.entry_id, policy_entries.c.body)
        .where(policy_entries.c.withdrawn_at.is_(None), policy_entries.c.expires_at > at)
        .order_by(policy_entries.c.created_at, policy_entries.c.entry_id)
    )
    return [(entry_id, body) for entry_id, body in connection.execute(query)]


def _version_at(path: Path) -> int:
    """The version of the published file; 0 where there is none, or none that can be read."""
    try:
        with path.open("rb") as file:
            ours = _HEAD.match(file.read(64))
        if ours:  # as publish writes it: no need to read a thousand entries
            return int(ours[1])
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
