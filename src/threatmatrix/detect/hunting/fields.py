"""Which fields the hunted events have: what visibility is judged by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

import duckdb
from sqlglot import exp

from threatmatrix.detect.hunting.only import Only
from threatmatrix.model.event import EVENT_COLUMNS

__all__ = ["FieldsSeen"]

NARROWING = ("system", "model")
"""Telemetry differs from system to system. What a principal did not do is not what the telemetry does not show."""


class FieldsSeen:
    """Category → fields that were not NULL in some event: of those ``asked`` for, and of ``all`` in the hunted days.

    A field that was seen is not looked for again, so that after the first portion little is read for this.
    """

    def __init__(self, fields: Iterable[str], only: Only) -> None:
        self._fields = sorted(set(fields) & EVENT_COLUMNS.keys())
        self._only = only
        self.asked: dict[str, set[str]] = {}
        self.all: dict[str, set[str]] = {}
        self.events = 0  # in the hunted days
        self.events_asked = 0  # of them, those that are asked for
        self.newest: int | None = None  # time (µs) of the newest event in the hunted days

    def look(self, connection: duckdb.DuckDBPyConnection, source: str) -> None:
        """Take a portion of events in."""
        missing = self._missing()
        fields = [name for name in self._fields if name in missing] if self.all else self._fields
        rows = _counts(connection, source, self._only, fields)
        new = {category for category, *_ in rows} - self.all.keys()
        if new and fields != self._fields:  # a category that was not met before: every field of it
            fields = self._fields
            rows = _counts(connection, source, self._only, fields)
        for category, told, asked, count, newest, *filled in rows:
            have = {name for name, number in zip(fields, filled, strict=True) if number}
            self.all.setdefault(category, set()).update(have)
            if told:
                self.asked.setdefault(category, set()).update(have)
            self.newest = newest if self.newest is None else max(newest, self.newest)
            self.events += count
            self.events_asked += count if asked else 0

    def _missing(self) -> Collection[str]:
        missing: defaultdict[str, int] = defaultdict(int)
        for seen in (*self.all.values(), *self.asked.values()):
            for name in set(self._fields) - seen:
                missing[name] += 1
        if len(self.asked) < len(self.all):  # a category of which nothing that is asked for was met yet
            return self._fields
        return missing


def _counts(
    connection: duckdb.DuckDBPyConnection, source: str, only: Only, fields: Iterable[str]
) -> list[tuple[Any, ...]]:
    """(category, whether it tells of visibility, whether it is asked for, events, newest, how many have each field)."""
    counts = "".join(f", count({exp.column(name, quoted=True).sql('duckdb')})" for name in fields)
    groups = f"category, {only.condition(*NARROWING)} AS told, {only.condition()} AS asked"
    sql = f"SELECT {groups}, count(*), max(time){counts} FROM {source} WHERE category IS NOT NULL GROUP BY ALL"  # noqa: S608
    return connection.execute(sql).fetchall()
