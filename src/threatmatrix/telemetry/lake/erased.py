"""Whose events are not to come back: the lake's list of erasures, by salted digest, and what it takes out of rows."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from threatmatrix.model.errors import InputError
from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.columns import quote_name

__all__ = ["IDENTITY", "NAMING", "Erasures", "Name", "clean", "mentions", "names_in", "sql_text", "theirs", "without"]

FILE = "erasures.json"
IDENTITY = ("principal", "key_id", "src_ip", "session")
"""What may tell a principal: the first always, the others where the event names no principal."""

NAMING = (*IDENTITY, "tenant", "host", "object")
"""Where the name of an erased principal is looked for in events that come later."""

_KEPT = ("event_id", "source", "category")  # what an event cannot be without
_TEXTS = [name for name, sql in EVENT_COLUMNS.items() if sql == "VARCHAR" and name not in _KEPT]


@dataclass(frozen=True, slots=True)
class Name:
    """One principal, in clear, only ever in memory. ``before`` (µs): events from then on are not meant."""

    name: str
    before: int | None
    alias: str | None


@dataclass(frozen=True, slots=True)
class Erasures:
    """Entries are (digest, before, alias): who holds the lake can test a guess at a name, but not read one."""

    salt: str
    entries: tuple[tuple[str, int, str | None], ...] = ()

    @staticmethod
    def load(root: Path) -> Erasures:
        """Raises InputError where the list is damaged: events of an erased principal could come back unseen."""
        try:
            data = json.loads((root / FILE).read_bytes())
            entries = tuple((str(digest), int(before), alias) for digest, before, alias in data["entries"])
            return Erasures(str(bytes.fromhex(data["salt"]).hex()), entries)
        except FileNotFoundError:
            return Erasures(secrets.token_hex(16))
        except (ValueError, TypeError, KeyError) as error:
            hint = "Restore it from a backup, or remove it and erase those principals once more"
            raise InputError(root / FILE, "is not a list of erasures", hint=hint) from error

    @staticmethod
    def signature(root: Path) -> tuple[int, int]:
        """Differs after every change of the list."""
        try:
            stat = (root / FILE).stat()
        except FileNotFoundError:
            return 0, 0
        return stat.st_ino, stat.st_mtime_ns

    def digest(self, name: str) -> str:
        return hmac.digest(bytes.fromhex(self.salt), name.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]

    def plus(self, name: Name) -> Erasures:
        """With one more principal; of several times of the same one the latest counts."""
        digest = self.digest(name.name)
        before = max((time for known, time, _ in self.entries if known == digest), default=0)
        entry = (digest, max(before, name.before or 0), name.alias)
        return Erasures(self.salt, (*self.entries, entry))

    def text(self) -> str:
        return json.dumps({"salt": self.salt, "entries": self.entries}, separators=(",", ":"))

    def among(self, values: Iterable[str | None]) -> list[Name]:
        """The erased principals among some names."""
        if not self.entries:
            return []
        latest = {digest: (before, alias) for digest, before, alias in self.entries}
        different = {value for value in values if value is not None}
        found = {value: entry for value in different if (entry := latest.get(self.digest(value)))}
        return [Name(value, *entry) for value, entry in sorted(found.items())]


def names_in(con: duckdb.DuckDBPyConnection, query: str) -> Iterator[str]:
    """Every value of the fields where names are looked for, few at a time; nothing else may use ``con`` meanwhile."""
    listed = ", ".join(map(quote_name, NAMING))
    found = con.execute(f"SELECT DISTINCT unnest([{listed}]) AS name FROM ({query})")  # noqa: S608 - names quoted
    while rows := found.fetchmany(10_000):
        yield from (name for (name,) in rows if name is not None)


def sql_text(text: str) -> str:
    """A SQL string that holds any text, NUL too."""
    return f"decode(unhex('{text.encode('utf-8', 'replace').hex()}'))"


def _meant(name: Name) -> str:
    return "" if name.before is None else f" AND time < {name.before}"


def theirs(name: Name) -> str:
    """The condition that a row is of the principal."""
    text = sql_text(name.name)
    others = " OR ".join(f"{quote_name(column)} = {text}" for column in IDENTITY[1:])
    return f"coalesce((principal = {text} OR (principal IS NULL AND ({others}))){_meant(name)}, false)"


def mentions(name: Name) -> str:
    """The condition that a row is theirs or has their name as the value of another field."""
    text = sql_text(name.name)
    return f"coalesce(({' OR '.join(f'{quote_name(column)} = {text}' for column in _TEXTS)}){_meant(name)}, false)"


def without(names: Sequence[Name], query: str) -> str:
    """The query without rows of the principals, and with an alias (or NULL) where another field names one."""
    if not names:
        return query
    columns = ", ".join(_renamed(column, names) if column in _TEXTS else quote_name(column) for column in EVENT_COLUMNS)
    kept = " AND ".join(f"NOT {theirs(name)}" for name in names)
    return f"SELECT {columns} FROM ({query}) WHERE {kept}"  # noqa: S608 - names quoted, values as hex


def _renamed(column: str, names: Sequence[Name]) -> str:
    field = quote_name(column)
    cases = " ".join(f"WHEN {field} = {sql_text(name.name)}{_meant(name)} THEN {_alias(name)}" for name in names)
    return f"CASE {cases} ELSE {field} END AS {field}"


def _alias(name: Name) -> str:
    return "NULL" if name.alias is None else sql_text(name.alias)


def clean(events: list[Event], names: Sequence[Name]) -> list[Event]:
    """The same for events in memory."""
    for name in names:
        events = [_without(event, name) for event in events if not _is_theirs(event, name)]
    return events


def _is_theirs(event: Event, name: Name) -> bool:
    if name.before is not None and event.time >= name.before:
        return False
    others = (getattr(event, column) for column in IDENTITY[1:])
    return event.principal == name.name or (event.principal is None and name.name in others)


def _without(event: Event, name: Name) -> Event:
    if name.before is not None and event.time >= name.before:
        return event
    named = [column for column in _TEXTS if getattr(event, column) == name.name]
    return replace(event, **dict.fromkeys(named, name.alias)) if named else event
