"""What has arrived: which sources, and which fields in which category, in a table of events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import duckdb

from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.columns import quote_name

__all__ = ["Seen", "seen_in"]


@dataclass(frozen=True, slots=True)
class Seen:
    """Events by source (of a joined event, each of its sources), and the fields that were not null.

    ``kinds``: category → joined sources as events have them (``kserve+nginx``) → fields: what only kserve's events have
    and what only nginx's have does not stand in one event, where the two were not joined.
    """

    events: int = 0
    sources: Mapping[str, int] = field(default_factory=dict)
    kinds: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)

    @property
    def fields(self) -> Mapping[str, frozenset[str]]:
        """Category → fields that some event of it had."""
        return {category: frozenset().union(*kinds.values()) for category, kinds in self.kinds.items()}

    @classmethod
    def of(cls, events: Iterable[Event]) -> Seen:
        """What these events have."""
        sources: Counter[str] = Counter()
        kinds: dict[str, dict[str, set[str]]] = {}
        count = 0
        for event in events:
            count += 1
            sources.update(event.source.split("+"))
            have = kinds.setdefault(event.category, {}).setdefault(event.source, set())
            if len(have) < len(EVENT_COLUMNS):
                have.update(name for name in EVENT_COLUMNS if getattr(event, name) is not None)
        frozen = {category: {name: frozenset(h) for name, h in held.items()} for category, held in kinds.items()}
        return cls(count, dict(sources), frozen)


def seen_in(con: duckdb.DuckDBPyConnection, *, system: str | None = None, since: int = 0) -> Seen:
    """What the view ``events`` holds since ``since`` (µs), of one system or of all: one pass over the columns."""
    # Column names come from EVENT_COLUMNS and are quoted; values go as parameters.
    flags = ", ".join(f"count({quote_name(name)}) > 0" for name in EVENT_COLUMNS)
    where = "time >= $since AND ($system IS NULL OR system = $system)"
    sql = f"SELECT source, category, count(*), {flags} FROM events WHERE {where} GROUP BY source, category"  # noqa: S608
    sources: Counter[str] = Counter()
    kinds: dict[str, dict[str, frozenset[str]]] = {}
    total = 0
    for source, category, count, *present in con.execute(sql, {"since": since, "system": system}).fetchall():
        total += count
        for name in source.split("+"):
            sources[name] += count
        have = frozenset(name for name, there in zip(EVENT_COLUMNS, present, strict=True) if there)
        kinds.setdefault(category, {})[source] = have
    return Seen(total, dict(sources), kinds)
