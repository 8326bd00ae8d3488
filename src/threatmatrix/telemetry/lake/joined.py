"""Records of one request become one event while a day is rewritten.

The streaming Joiner is fed the day in order of time, slice by slice, and waits for every partner as long as one could
come: so it comes to the same events as ``joining.join`` over the whole day, in bounded memory.
"""

from __future__ import annotations

import duckdb

from threatmatrix.model.event import Event
from threatmatrix.telemetry.building import event_of
from threatmatrix.telemetry.columns import to_table
from threatmatrix.telemetry.joining import Joined, Joiner
from threatmatrix.telemetry.joining.joiner import WINDOW
from threatmatrix.telemetry.lake.slicing import Slice

__all__ = ["REACH", "SetJoiner"]

REACH = 2 * WINDOW
"""µs: records further apart neither belong together nor speak against each other."""

_NOBODY = ""  # a source that never comes: everything waits until nothing else can come
_CHUNK = 5_000
_ANSWERED = "(output_label IS NOT NULL OR output_scores IS NOT NULL OR tokens_out IS NOT NULL)"


class SetJoiner:
    """An editor for :func:`rewriting.rewrite`, one for each day. ``records`` counts those that went into other events.

    ``events`` is a query for the day. What it has of a system with one source, which logs a request in one record,
    is never looked at.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, events: str) -> None:
        several = con.execute(
            f"SELECT system, list_distinct(flatten(list(string_split(source, '+')))), "  # noqa: S608 - our own query
            f"bool_or(halves) FROM (SELECT system, source, bool_or({_ANSWERED}) AND bool_or(NOT {_ANSWERED}) AS halves "
            f"FROM ({events}) GROUP BY system, source) GROUP BY system"
        ).fetchall()
        self._systems = {system: sources for system, sources, halves in several if halves or len(sources) > 1}
        self._joiner = Joiner(
            hold=REACH, remember=0, sources={name: frozenset((*s, _NOBODY)) for name, s in self._systems.items()}
        )
        self.records = 0
        self.repeats = 0
        self.revised: list[tuple[Event, Event]] = []

    @property
    def forgotten_early(self) -> int:
        """How many records the joiner had no room for as long as it should have held them."""
        stats = self._joiner.stats()
        return stats["forgotten_early"] + stats["too_late"]

    def edit(self, con: duckdb.DuckDBPyConnection, piece: Slice, last: bool) -> None:
        """Join within the table ``slice``; what may yet get a partner comes back with the next one."""
        if not self._systems:
            return
        named = [name for name in self._systems if name is not None]
        ours = "(list_contains(?, system) OR system IS NULL)" if None in self._systems else "list_contains(?, system)"
        con.execute(
            "CREATE OR REPLACE TEMP TABLE queue AS SELECT *, row_number() OVER (ORDER BY time, event_id) AS _at "  # noqa: S608
            f"FROM slice WHERE {ours}",
            [named],
        )
        con.execute(f"DELETE FROM slice WHERE {ours}", [named])  # noqa: S608
        whole = piece.share + 1 == piece.of  # else others of the same second come with the next slice
        total = con.execute("SELECT count(*) FROM queue").fetchall()[0][0]
        for low in range(0, total, _CHUNK):
            rows = con.execute(
                "SELECT * EXCLUDE (_at) FROM queue WHERE _at > ? AND _at <= ? ORDER BY _at", [low, low + _CHUNK]
            ).fetchall()
            events = list(map(event_of, rows))
            self._take(con, len(events), self._joiner.add(events))
            if whole:
                self._take(con, 0, self._joiner.advance(events[-1].time))
        if last:
            self._take(con, 0, self._joiner.flush())
        con.execute("DROP TABLE queue")

    def _take(self, con: duckdb.DuckDBPyConnection, read: int, found: Joined) -> None:
        self.records += read - len(found.events) - found.duplicates
        self.repeats += found.duplicates
        self.revised += found.revised
        to_table(con, "slice", found.events)
