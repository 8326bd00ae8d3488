"""One principal's name leaves findings and incidents, in one transaction; what keeps the name is counted."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Table, func, select, update

from threatmatrix.model.detection import PrincipalShare
from threatmatrix.store.codec import finding_from, incident_from
from threatmatrix.store.findings import finding_row
from threatmatrix.store.incidents import incident_row
from threatmatrix.store.opening import Store
from threatmatrix.store.schema import actions, evidence, findings, incidents, policy_entries, runs

__all__ = ["StoreErasure", "erase_principal"]


class StoreErasure(NamedTuple):
    """How many findings and incidents were changed, and in how many records the name stays."""

    findings: int
    incidents: int
    policy_active: int  # entries in force: without the name they would enforce nothing
    policy_past: int
    ledger: int  # runs and actions: what was done to whom
    evidence: int  # a chain of digests: no record of it can change


def erase_principal(store: Store, principal: str, alias: str) -> StoreErasure:
    """Write ``alias`` for the principal in every finding and incident. All of it or nothing. Raises StoreError.

    Shares, explanations, titles and details are gone through; ids of findings are hashes and stay.
    """
    active = {entry.entry_id for entry in store.policy.active() if entry.principal == principal}
    rename = _Rename(principal, alias)

    def work(connection: Connection) -> StoreErasure:
        changed = (_change(connection, findings, rename), _change(connection, incidents, rename))
        entries = _holding(connection, policy_entries, policy_entries.c.body, rename)
        ledger = _holding(connection, runs, runs.c.plan, rename) + _holding(
            connection, actions, actions.c.params, rename
        )
        kept = _holding(connection, evidence, evidence.c.body, rename)
        return StoreErasure(*changed, len(active), entries - len(active), ledger, kept)

    return store.database.write(work)


def _change(connection: Connection, table: Table, rename: _Rename) -> int:
    key = next(iter(table.primary_key))
    count = 0
    for identity, body in connection.execute(select(key, table.c.body).where(rename.within(table.c.body))).all():
        row = _finding(body, rename) if table is findings else _incident(body, rename)
        if row["body"] != body:
            connection.execute(update(table).where(key == identity).values(**row))
            count += 1
    return count


def _finding(body: str, rename: _Rename) -> dict[str, object]:
    found = finding_from(body)
    return finding_row(
        dataclasses.replace(
            found,
            title=rename.text(found.title),
            explanation=rename.text(found.explanation),
            principals=rename.shares(found.principals),
            details=rename.value(found.details),
        )
    )


def _incident(body: str, rename: _Rename) -> dict[str, object]:
    found = incident_from(body)
    return incident_row(
        dataclasses.replace(found, title=rename.text(found.title), principals=rename.shares(found.principals))
    )


def _holding(connection: Connection, table: Table, column: Column[str], rename: _Rename) -> int:
    """Rows whose JSON has the name as a string of its own."""
    key = next(iter(table.primary_key))
    bodies = connection.execute(select(key, column).where(rename.within(column))).all()
    return sum(json.dumps(rename.old) in str(body) for _, body in bodies)


class _Rename:
    """The principal's name → the alias: whole values anywhere, whole words in sentences."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self._new = old, new
        # not \b: a name may begin or end with a sign that is no letter, and "ann" is not in "ann.b"
        self._word = re.compile(rf"(?<![\w.@-]){re.escape(old)}(?![\w@-]|\.\w)")

    def within(self, column: Column[str]) -> Any:
        """SQL: the column's text may have the name (JSON text is ASCII, and LIKE may fold case)."""
        return func.coalesce(column, "").contains(json.dumps(self.old)[1:-1], autoescape=True)

    def text(self, text: str) -> str:
        return self._word.sub(lambda _: self._new, text) if self.old else text

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._new if value == self.old else self.text(value)
        if isinstance(value, dict):
            return {self.value(key): self.value(item) for key, item in value.items()}
        return [self.value(item) for item in value] if isinstance(value, list) else value

    def shares(self, shares: tuple[PrincipalShare, ...]) -> tuple[PrincipalShare, ...]:
        return tuple(
            dataclasses.replace(share, principal=self._new) if share.principal == self.old else share
            for share in shares
        )
