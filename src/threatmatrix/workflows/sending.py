"""Events, findings and incidents on their way out: as OCSF, syslog or CEF, to a file or a receiver."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Literal

from threatmatrix.model.detection import Finding
from threatmatrix.model.errors import UsageError
from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.model.response import Incident
from threatmatrix.telemetry.building import event_of
from threatmatrix.telemetry.columns import quote_name
from threatmatrix.telemetry.out import (
    event_to_ocsf,
    finding_to_ocsf,
    in_syslog,
    incident_to_ocsf,
    send,
    to_cef,
    to_syslog,
)
from threatmatrix.workflows.home import Home

__all__ = ["Style", "as_messages", "lake_events", "send_events"]

Style = Literal["ocsf", "syslog", "cef"]
Item = Event | Finding | Incident

_DAY = 86_400_000_000  # µs
_ROWS = 5_000


def as_messages(items: Iterable[Item], style: Style, *, wrapped: bool = False) -> Iterator[str]:
    """One line for each item; ``wrapped``: OCSF and CEF as the text of a syslog message, for a syslog receiver."""
    for item in items:
        if style == "syslog":
            yield to_syslog(item)
            continue
        text = to_cef(item) if style == "cef" else json.dumps(_ocsf(item), ensure_ascii=False)
        yield in_syslog(text, item) if wrapped else text


def _ocsf(item: Item) -> dict[str, object]:
    if isinstance(item, Event):
        return event_to_ocsf(item)
    return finding_to_ocsf(item) if isinstance(item, Finding) else incident_to_ocsf(item)


def lake_events(home: Home, *, since: str = "", until: str = "", system: str | None = None) -> Iterator[Event]:
    """The lake's events in the order of time; ``since`` and ``until`` are days (YYYY-MM-DD, UTC, both included).

    A day is sorted at a time, so that the cost of memory is one day's. Raises UsageError for what is no day.
    """
    low, high = _start(since), _start(until)
    columns = ", ".join(map(quote_name, EVENT_COLUMNS))
    where = "time >= $low AND time < $high AND ($system IS NULL OR system = $system)"
    sql = f"SELECT {columns} FROM events WHERE {where} ORDER BY time, event_id"  # noqa: S608 - names quoted
    with closing(home.open_lake()) as lake:
        days = [status.day for status in lake.days() if status.events]
        with closing(lake.connect()) as con:
            for day in sorted(days):
                start = _start(day) or 0
                if (low is not None and start < low) or (high is not None and start > high):
                    continue
                found = con.execute(sql, {"low": start, "high": start + _DAY, "system": system})
                while rows := found.fetchmany(_ROWS):
                    yield from map(event_of, rows)


def send_events(
    home: Home, style: Style, to: str, *, since: str = "", until: str = "", system: str | None = None
) -> int:
    """Send the lake's events to ``udp://HOST:PORT``, ``tcp://HOST:PORT`` or a file; returns how many.

    Raises InputError, UsageError.
    """
    events = lake_events(home, since=since, until=until, system=system)
    return send(as_messages(events, style, wrapped="://" in to), to)


def _start(day: str) -> int | None:
    """µs of a day's first moment, None for no day given."""
    if not day:
        return None
    try:
        found = date.fromisoformat(day)
    except ValueError:
        raise UsageError(f"{day!r} is no day", hint="Write days as YYYY-MM-DD") from None
    return int(datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp()) * 1_000_000
