"""Evidence: append-only, each record chained to the one before by SHA-256 (docs/evidence.md)."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from threatmatrix.model.errors import StoreError
from threatmatrix.model.evidence import Evidence
from threatmatrix.store.codec import canonical, evidence_from, plain
from threatmatrix.store.database import Database
from threatmatrix.store.schema import evidence

__all__ = ["ChainReport", "EvidenceLog", "digest_of"]


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What :meth:`EvidenceLog.verify` saw.

    ``head`` is the newest digest: keep a copy elsewhere to notice records cut off at the end,
    which no chain shows by itself.
    """

    records: int
    head: str
    problems: tuple[str, ...]  # one sentence each; empty: the chain holds

    @property
    def intact(self) -> bool:
        return not self.problems


def digest_of(item: Evidence) -> str:
    """SHA-256, hex, of the canonical JSON of every field but ``digest``."""
    fields = {key: value for key, value in plain(item).items() if key != "digest"}
    return hashlib.sha256(canonical(fields).encode("ascii")).hexdigest()


class EvidenceLog:
    """Append, list, verify: there is no way to change a record."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, item: Evidence) -> Evidence:
        """Chain and keep one record; returns it with ``previous`` and ``digest`` filled in.

        Raises StoreError where the id exists already or a figure is not finite.
        """

        def work(connection: Connection) -> Evidence:
            if connection.dialect.name == "postgresql":
                # one appender at a time, or two would follow the same record (SQLite's write lock does it there)
                connection.exec_driver_sql("LOCK TABLE evidence IN EXCLUSIVE MODE")
            if connection.scalar(select(evidence.c.position).where(evidence.c.evidence_id == item.evidence_id)):
                raise StoreError(
                    f"{self._database.where}: evidence {item.evidence_id!r} is there already",
                    hint="Evidence is never replaced: append a record with an id of its own",
                )
            last = connection.execute(
                select(evidence.c.position, evidence.c.digest).order_by(evidence.c.position.desc()).limit(1)
            ).first()
            # Through JSON first: the digest is over what will be read back (text keys, lists).
            chained = dataclasses.replace(evidence_from(canonical(item)), previous=last.digest if last else "")
            chained = dataclasses.replace(chained, digest=digest_of(chained))
            connection.execute(insert(evidence).values(position=(last.position if last else 0) + 1, **_row(chained)))
            return chained

        return self._database.write(work)

    def list(self, *, technique: str | None = None, system: str | None = None) -> list[Evidence]:
        """Oldest first; all, or those of a technique and a system. Raises StoreError naming a damaged record."""
        query = select(evidence.c.position, evidence.c.evidence_id, evidence.c.body).order_by(evidence.c.position)
        if technique is not None:
            query = query.where(evidence.c.technique == technique)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        found = []
        for row in rows:
            item = _decoded(row.body)
            if item is None:
                raise StoreError(
                    f"{self._database.where}: evidence record {row.position} ({row.evidence_id}) cannot be read",
                    hint="Restore the store from a backup; evidence.verify() names everything that is damaged",
                )
            found.append(item)
        return [item for item in found if system is None or item.system == system]

    def verify(self) -> ChainReport:
        """Recompute every digest and link, from the first record on."""
        query = select(evidence).order_by(evidence.c.position)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        problems: list[str] = []
        previous = ""
        for expected, row in enumerate(rows, start=1):
            if row.position != expected:
                problems.append(f"record {expected} is missing: the next one has the position {row.position}")
            item = _decoded(row.body)
            if item is None:
                problems.append(f"record {row.position} ({row.evidence_id}) cannot be read: its body is damaged")
                previous = row.digest  # so that the records after it are judged by themselves
                continue
            if digest_of(item) != item.digest or _row(item) != {key: row._mapping[key] for key in _row(item)}:
                problems.append(f"record {row.position} ({item.evidence_id}) was changed after it was written")
            if item.previous != previous:
                problems.append(f"record {row.position} ({item.evidence_id}) does not follow the one before it")
            previous = item.digest
        return ChainReport(records=len(rows), head=previous, problems=tuple(problems))


def _decoded(body: str) -> Evidence | None:
    """The record of a body, or None where it does not hold exactly the fields of one."""
    try:
        return evidence_from(body)
    except (ValueError, TypeError, RecursionError):
        return None


def _row(item: Evidence) -> dict[str, object]:
    return {
        "evidence_id": item.evidence_id,
        "created": item.created,
        "technique": item.technique,
        "previous": item.previous,
        "digest": item.digest,
        "body": canonical(item),
    }
