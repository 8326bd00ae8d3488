"""Trying a log out: what was recognised, what each field became, what can be seen with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast

from threatmatrix.detect.visibility import Sighting, sight
from threatmatrix.knowledge import Library
from threatmatrix.model.detection import Calibration
from threatmatrix.model.errors import InputError
from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.model.system import System
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.readers import AUTO, NOTHING_ASKED, SOURCES, Options
from threatmatrix.telemetry.reading import read_events
from threatmatrix.telemetry.seen import Seen
from threatmatrix.telemetry.systems import Resolver
from threatmatrix.workflows.detect import build_session

__all__ = ["FieldSeen", "TryReport", "try_log"]

MOST_EVENTS = 10_000  # enough to see every field, and soon done on a log of any size


@dataclass(frozen=True, slots=True)
class FieldSeen:
    """One field of the events of one category."""

    category: str
    name: str
    filled: int  # events that have it
    events: int  # events of the category
    origin: str  # what of the source it comes from
    example: str  # of the first event that has it; inputs are never events' values, so none can stand here


@dataclass(frozen=True, slots=True)
class TryReport:
    """What came of a log that was tried."""

    file: str
    source: str
    description: str
    events: int
    whole: bool  # False: reading stopped at MOST_EVENTS
    dead_letters: int
    reasons: Mapping[str, int]
    categories: Mapping[str, int]
    fields: tuple[FieldSeen, ...]
    systems: Mapping[str, int]  # events by system; "" for none
    visible: tuple[Sighting, ...]
    blind: tuple[Sighting, ...]
    unreadable: InputError | None = field(default=None)


def try_log(
    file: Path | Literal["-"],
    *,
    library: Library,
    calibrations: Sequence[Calibration] = (),
    systems: Sequence[System] = (),
    source: str = AUTO,
    options: Options = NOTHING_ASKED,
) -> TryReport:
    """Read at most MOST_EVENTS events of one log; nothing is kept and nothing is judged.

    Raises InputError for a file that cannot be opened or is not recognised, UnknownNameError for an unknown source.
    """
    letters = DeadLetterFile()
    resolver = Resolver(systems)
    events: list[Event] = []
    unreadable: InputError | None = None
    batches = cast(
        "Generator[list[Event]]",
        read_events([file], source=source, dead_letters=letters, batch_size=1000, options=options),
    )
    try:
        for batch in islice(batches, MOST_EVENTS // 1000):
            events.extend(map(resolver.resolve, batch))
    except InputError as error:
        if not events and not letters.count:
            raise
        unreadable = error
    finally:
        batches.close()
    session, _ = build_session(library, calibrations)
    sights = sight([session], Seen.of(events).fields)
    found = events[0].source if events else source
    return TryReport(
        file=str(file),
        source=found,
        description=SOURCES[found].description if found in SOURCES else "",
        events=len(events),
        whole=len(events) < MOST_EVENTS,
        dead_letters=letters.count,
        reasons=dict(letters.reasons.most_common()),
        categories=dict(Counter(event.category for event in events).most_common()),
        fields=tuple(_fields(events, found)),
        systems=dict(Counter(event.system or "" for event in events).most_common()),
        visible=tuple(item for item in sights if not item.missing),
        blind=tuple(item for item in sights if item.missing),
        unreadable=unreadable,
    )


def _fields(events: Sequence[Event], source: str) -> list[FieldSeen]:
    gives = {str(key): names for key, names in SOURCES[source].gives.items()} if source in SOURCES else {}
    seen: list[FieldSeen] = []
    for category in dict.fromkeys(event.category for event in events):
        mine = [event for event in events if event.category == category]
        for name in EVENT_COLUMNS:
            values = [value for event in mine if (value := getattr(event, name)) is not None]
            origin = gives.get(category, {}).get(name, "")
            if values or origin:
                example = _example(values[0]) if values else ""
                seen.append(FieldSeen(category, name, len(values), len(mine), origin, example))
    return seen


def _example(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    shown = ", ".join(f"{number:g}" for number in value) if isinstance(value, tuple) else str(value)
    return shown if len(shown) <= 48 else shown[:47] + "…"
