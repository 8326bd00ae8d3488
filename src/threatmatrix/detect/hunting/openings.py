"""How episodes began: the event that completed the evidence, and the steps, as the stream's own judges say.

SQL knows the moment at which an episode first fired. What is told of that moment, the judges of ``engines.judging`` say
of the rows that lead up to it: of the temporal kinds always, of the others where several events share the moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import duckdb

from threatmatrix.detect.engines.counting.evidence import Row
from threatmatrix.detect.engines.counting.groups import Group, Step
from threatmatrix.detect.engines.counting.occurrences import Occurrence
from threatmatrix.detect.engines.judging.absences import Absences
from threatmatrix.detect.engines.judging.choosing import MAX_CROWD, judge_of
from threatmatrix.detect.engines.judging.judges import Firing
from threatmatrix.detect.hunting.kept import KEPT_EVENTS
from threatmatrix.detect.sigma.rules import TEMPORAL, VALUED, Correlation

__all__ = ["Opening", "openings"]

_ORDER = 'time, "row", event_id'
_PLACE = ("time", "row", "event_id", "principal", "system", "model")


class Opening(NamedTuple):
    """What is told of an episode's first firing."""

    alarm: Row
    figure: float
    steps: tuple[Step, ...]


def openings(connection: duckdb.DuckDBPyConnection, one: Correlation, near: str, episodes: str) -> dict[int, Opening]:
    """Finding (a number) → its opening, for those episodes whose opening SQL cannot tell.

    ``near``: the table of what lies near an episode (finding, fired, event, slot, time, v0 …), a row for each rule that
    an event matched; ``episodes``: the table of them, with ``finding``.
    """
    if one.kind == "event_count" and one.minimum is not None:
        return {}  # it is the Nth event
    found = connection.execute(_rows(one, near, episodes))
    told: dict[int, Opening] = {}
    for finding, rows in groupby(_fetched(found), key=itemgetter(0)):
        opening = _judged(one, [row[1:] for row in rows])
        if opening is not None:
            told[finding] = opening
    return told


def _rows(one: Correlation, near: str, episodes: str) -> str:
    """finding, fired, slots, values, and the row, of what leads up to the first firing; in order.

    Of a run of rows of the same rules only the ends count for steps; beyond MAX_CROWD rows the oldest are left out.
    """
    names = [f"v{at}" for at in range(len(one.field) if one.kind in VALUED else 0)]
    values = f"[{', '.join(names)}]" if names else "NULL"
    until = f"time <= fired + {one.timespan if one.waits else 0}"
    if one.kind in TEMPORAL:
        which = f"SELECT finding FROM {episodes}"  # noqa: S608
        over = f"(slots) OVER (PARTITION BY finding ORDER BY {_ORDER})"
        ends = f" QUALIFY time = fired OR slots IS DISTINCT FROM lag{over} OR slots IS DISTINCT FROM lead{over}"
    else:
        moments = f"SELECT finding FROM {near} WHERE time = fired GROUP BY finding"  # noqa: S608
        which = f"{moments} HAVING count(DISTINCT event) > 1"
        ends = ""
    keys = ", ".join(["finding", "fired", "event", "time", *names])
    events = (
        f"SELECT {keys}, list(DISTINCT slot ORDER BY slot) AS slots FROM {near} "  # noqa: S608
        f"WHERE {until} AND finding IN ({which}) GROUP BY {keys}"
    )
    rows = f"SELECT e.* EXCLUDE (event, time), k.* FROM ({events}) AS e JOIN {KEPT_EVENTS} AS k ON k.event = e.event"  # noqa: S608
    newest = f"row_number() OVER (PARTITION BY finding ORDER BY time DESC) <= {MAX_CROWD}"
    place = ", ".join(f'"{name}"' for name in _PLACE)
    return (
        f"SELECT finding, fired, slots, {values} AS vals, {place} FROM (SELECT * FROM ({rows}){ends}) "  # noqa: S608
        f"QUALIFY {newest} ORDER BY finding, {_ORDER}"
    )


def _fetched(found: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while rows := found.fetchmany(5_000):
        yield from rows


def _judged(one: Correlation, rows: Sequence[tuple[Any, ...]]) -> Opening | None:
    judge, group = judge_of(one), Group(())
    firing: Firing | None = None
    for serial, (fired, slots, values, time, row, event_id, principal, system, model) in enumerate(rows, 1):
        place = Row(time, row or 0, event_id, principal or "", system or "", model or "")
        mask = sum(1 << slot for slot in slots)
        occurrence = Occurrence(place, serial, mask, _values(one, values))
        at = group.add(occurrence, 0)
        if time == fired and not one.waits:
            firing = next(iter(judge.firings(group, at)), None)
            if firing is not None:
                return Opening(firing.at.row, firing.figure, judge.steps(group, firing))
    return _waited(judge, group, rows[0][0]) if isinstance(judge, Absences) else None


def _waited(judge: Absences, group: Group, fired: int) -> Opening | None:
    for occurrence in group.rows:
        if occurrence.row.time == fired and occurrence.slots & judge.asks_for:
            firing = judge.judged(group, occurrence)
            if firing is not None:
                steps = judge.steps(group, firing)
                return Opening(steps[-1].row if steps else occurrence.row, firing.figure, steps)
    return None


def _values(one: Correlation, values: list[Any] | None) -> tuple[Any, ...]:
    """As ``engines.counting.occurrences`` reads them."""
    if values is None or None in values:
        return ()
    return (tuple(values),) if one.kind == "value_count" else (values[0],)
