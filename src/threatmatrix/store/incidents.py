"""Incidents, replaced by id, and their status."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from threatmatrix.model.errors import UnknownNameError
from threatmatrix.model.response import Incident
from threatmatrix.store.codec import canonical, incident_from
from threatmatrix.store.database import Database
from threatmatrix.store.schema import incidents

__all__ = ["IncidentStore", "Status"]

Status = Literal["open", "contained", "closed"]


class IncidentStore:
    """Save, get, list, and the status that people set."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, items: Iterable[Incident]) -> list[str]:
        """Insert, or replace by id; returns the ids that were new or changed. One transaction."""
        rows = {item.incident_id: _row(item) for item in items}
        known = self._database.read(lambda connection: {key: _body(connection, key) for key in rows}) if rows else {}
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
        query = select(incidents.c.body).order_by(incidents.c.last_time.desc(), incidents.c.incident_id)
        if statuses:
            query = query.where(incidents.c.status.in_(statuses))
        bodies = self._database.read(lambda connection: connection.scalars(query).all())
        return [incident_from(body) for body in bodies]

    def set_status(self, incident_id: str, status: Status) -> Incident:
        """Open, contain or close; returns the incident as it is now. Raises UnknownNameError."""
        self.get(incident_id)  # for its error

        def work(connection: Connection) -> Incident:
            incident = dataclasses.replace(incident_from(str(_body(connection, incident_id))), status=status)
            _upsert(connection, {incident_id: _row(incident)})
            return incident

        return self._database.write(work)


def _row(item: Incident) -> dict[str, object]:
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
