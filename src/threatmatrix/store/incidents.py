"""Incidents, replaced by id, and their status."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from threatmatrix.model.errors import UnknownNameError
from threatmatrix.model.response import Incident
from threatmatrix.store.codec import canonical, incident_from
from threatmatrix.store.database import Database
from threatmatrix.store.schema import incidents

__all__ = ["IncidentStore", "Status", "incident_row"]

Status = Literal["open", "contained", "closed"]


class IncidentStore:
    """Save, get, list, and the status that people set."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._decoded: dict[str, tuple[str, Incident]] = {}  # id -> body, and that body decoded; of open ones

    def save(self, items: Iterable[Incident], merged: Mapping[str, str] | None = None) -> list[str]:
        """Insert, or replace by id; returns the ids that were new or changed. One transaction.

        ``merged``: incidents of ``items`` that another one took in → the id of that one.
        """
        rows = {item.incident_id: incident_row(item) for item in items}
        known = self._database.read(lambda connection: {key: _body(connection, key) for key in rows}) if rows else {}
        for key, home in (merged or {}).items():
            rows[key]["merged_into"] = home
        changed = {key: row for key, row in rows.items() if known.get(key) != row["body"]}
        if changed:
            self._database.write(lambda connection: _upsert(connection, changed))
        return list(changed)

    def get(self, incident_id: str) -> Incident:
        """One incident. Raises UnknownNameError, which suggests near ids."""
        body = self._database.read(lambda connection: _body(connection, incident_id))
        if body is None:
            newest = select(incidents.c.incident_id).order_by(incidents.c.last_time.desc()).limit(200)
            names = self._database.read(lambda connection: list(connection.scalars(newest)))
            raise UnknownNameError("incident", incident_id, names)
        return incident_from(body)

    def list(self, *statuses: Status) -> list[Incident]:
        """Newest first; all, or those with one of the statuses."""
        query = select(incidents.c.incident_id, incidents.c.body).order_by(
            incidents.c.last_time.desc(), incidents.c.incident_id
        )
        if statuses:
            query = query.where(incidents.c.status.in_(statuses))
        rows = self._database.read(lambda connection: connection.execute(query).all())
        found = {incident_id: self._incident(incident_id, body) for incident_id, body in rows}
        if statuses and "closed" not in statuses:  # asked for at every tick: what did not change is not decoded again
            self._decoded = {incident_id: (body, found[incident_id]) for incident_id, body in rows}
        return list(found.values())

    def family(self, incident_id: str) -> Sequence[str]:
        """The incident's id, then those of all that were merged into it, and into those."""
        members = [incident_id]

        def work(connection: Connection) -> None:
            fresh = [incident_id]
            while fresh:
                query = select(incidents.c.incident_id).where(incidents.c.merged_into.in_(fresh))
                fresh = sorted(set(connection.scalars(query)) - set(members))
                members.extend(fresh)

        self._database.read(work)
        return members

    def _incident(self, incident_id: str, body: str) -> Incident:
        known = self._decoded.get(incident_id)
        return known[1] if known is not None and known[0] == body else incident_from(body)

    def set_status(self, incident_id: str, status: Status) -> Incident:
        """Open, contain or close; returns the incident as it is now. Raises UnknownNameError."""
        self.get(incident_id)  # for its error

        def work(connection: Connection) -> Incident:
            incident = dataclasses.replace(incident_from(str(_body(connection, incident_id))), status=status)
            _upsert(connection, {incident_id: incident_row(incident)})
            return incident

        return self._database.write(work)


def incident_row(item: Incident) -> dict[str, object]:
    """The columns of an incident."""
    return {
        "incident_id": item.incident_id,
        "status": item.status,
        "severity": int(item.severity),
        "first_time": item.first_time,
        "last_time": item.last_time,
        "body": canonical(item),
    }


def _body(connection: Connection, incident_id: str) -> str | None:
    return connection.scalar(select(incidents.c.body).where(incidents.c.incident_id == incident_id))


def _upsert(connection: Connection, rows: dict[str, dict[str, object]]) -> None:
    for key, row in rows.items():
        if _body(connection, key) is None:
            connection.execute(insert(incidents).values(**row))
        else:
            connection.execute(update(incidents).where(incidents.c.incident_id == key).values(**row))
