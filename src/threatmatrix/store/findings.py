"""Findings, replaced by id. Those read lately stay in memory: an incident is looked at with all of its findings."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from threatmatrix.model.detection import Finding
from threatmatrix.model.errors import UnknownNameError
from threatmatrix.store.codec import canonical, finding_from, finite
from threatmatrix.store.database import Database
from threatmatrix.store.schema import findings

__all__ = ["FindingStore", "Known", "finding_row"]

_IN = 500  # ids per query: databases limit the number of bound values

_KNOWN = 1_000  # findings kept in memory; one with a thousand event ids takes about 150 KB


class Known(NamedTuple):
    """A finding as the store holds it, with its event ids as a set."""

    digest: str
    finding: Finding
    events: frozenset[str]


class FindingStore:
    """``save`` many at once: a commit is a disk write, and a detection tick has several findings."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[str, Known] = OrderedDict()

    def save(self, items: Iterable[Finding]) -> list[str]:
        """Insert, or replace by id; returns the ids that were new or changed. One transaction."""
        rows = {item.finding_id: finding_row(item) for item in items}
        if not rows:
            return []
        known = self._database.read(lambda connection: _digests(connection, list(rows)))
        changed = [key for key, row in rows.items() if known.get(key) != row["digest"]]
        if changed:
            self._database.write(lambda connection: _upsert(connection, {key: rows[key] for key in changed}))
        return changed

    def get(self, finding_id: str) -> Finding:
        """One finding. Raises UnknownNameError."""
        found = self.many([finding_id])
        if not found:
            newest = select(findings.c.finding_id).order_by(findings.c.last_time.desc()).limit(200)
            names = self._database.read(lambda connection: list(connection.scalars(newest)))
            raise UnknownNameError("finding", finding_id, names)
        return found[0]

    def many(self, finding_ids: Sequence[str]) -> list[Finding]:
        """Those of the ids that exist, ordered by first event."""
        bodies = self._database.read(lambda connection: _bodies(connection, finding_ids))
        return sorted((finding_from(body) for body in bodies.values()), key=lambda f: (f.first_time, f.finding_id))

    def known(self, finding_ids: Sequence[str]) -> dict[str, Known]:
        """Those of the ids that exist, by id; only rows that this process has not read yet, or that changed since,
        are read and decoded. The findings are shared between callers.
        """

        def work(connection: Connection) -> tuple[dict[str, str], dict[str, str]]:
            digests = _digests(connection, finding_ids)
            stale = [key for key, digest in digests.items() if not self._has(key, digest)]
            return digests, _bodies(connection, stale)

        digests, bodies = self._database.read(work)
        for key, body in bodies.items():
            finding = finding_from(body)
            self._known[key] = Known(digests[key], finding, frozenset(finding.event_ids))
        found = {key: self._known[key] for key in digests}
        for key in found:
            self._known.move_to_end(key)
        while len(self._known) > max(_KNOWN, len(found)):
            self._known.popitem(last=False)
        return found

    def _has(self, key: str, digest: str) -> bool:
        return bool(digest) and key in self._known and self._known[key].digest == digest

    def list(self, *, technique: str | None = None, since: int | None = None) -> list[Finding]:
        """All findings, ordered by first event; ``since`` (µs) leaves out those that ended before."""
        query = select(findings.c.body).order_by(findings.c.first_time, findings.c.finding_id)
        if technique is not None:
            query = query.where(findings.c.technique == technique)
        if since is not None:
            query = query.where(findings.c.last_time >= since)
        bodies = self._database.read(lambda connection: connection.scalars(query).all())
        return [finding_from(body) for body in bodies]


def finding_row(item: Finding) -> dict[str, object]:
    """The columns of a finding."""
    body = canonical(dataclasses.replace(item, details=finite(item.details)))
    return {
        "finding_id": item.finding_id,
        "technique": item.technique,
        "severity": int(item.severity),
        "first_time": item.first_time,
        "last_time": item.last_time,
        "body": body,
        "digest": hashlib.sha256(body.encode("ascii")).hexdigest(),
    }


def _bodies(connection: Connection, finding_ids: Sequence[str]) -> dict[str, str]:
    bodies: dict[str, str] = {}
    for start in range(0, len(finding_ids), _IN):
        part = finding_ids[start : start + _IN]
        query = select(findings.c.finding_id, findings.c.body).where(findings.c.finding_id.in_(part))
        bodies.update((row.finding_id, row.body) for row in connection.execute(query))
    return bodies


def _digests(connection: Connection, finding_ids: Sequence[str]) -> dict[str, str]:
    """Id → digest; "" for a row that has none."""
    digests: dict[str, str] = {}
    for start in range(0, len(finding_ids), _IN):
        part = finding_ids[start : start + _IN]
        query = select(findings.c.finding_id, findings.c.digest).where(findings.c.finding_id.in_(part))
        digests.update((key, digest or "") for key, digest in connection.execute(query).all())
    return digests


def _upsert(connection: Connection, rows: dict[str, dict[str, object]]) -> None:
    known = _digests(connection, list(rows))
    new = [row for key, row in rows.items() if key not in known]
    if new:
        connection.execute(insert(findings), new)
    if known:
        change = update(findings).where(findings.c.finding_id == bindparam("key"))
        # the id itself is not set: a column in SET would take the parameter of the WHERE
        values = [{"key": key, **{n: v for n, v in rows[key].items() if n != "finding_id"}} for key in known]
        connection.execute(change, values)
