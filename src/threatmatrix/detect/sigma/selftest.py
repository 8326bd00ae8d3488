"""The tests that a rule carries: the key ``tests`` of a rule or correlation, read and checked.

::

    tests:
      - name: an account walks through the whole registry
        fires: true
        events:
          - {at: 10s, every: 2s, repeat: 40, category: model_registry, principal: mallory, object: 'model-{n}'}

Sigma allows keys of one's own, so that other tools pass over it. ``engines.rehearsal`` runs the tests;
docs/testing-rules.md describes them for people.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import count
from typing import Any, get_args
from uuid import UUID

from threatmatrix.detect.sigma.documents import Document, Path
from threatmatrix.model.event import CATEGORIES, EVENT_COLUMNS, Event, Outcome

__all__ = ["MAX_EVENTS", "MAX_TESTS", "START", "RuleTest", "Step", "key_of", "read_tests"]

MAX_TESTS = 50
MAX_EVENTS = 10_000  # of one test, repeats written out
START = 1_767_603_600_000_000  # µs: 2026-01-05 09:00:00 UTC, a Monday

_UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}
_OFFSET = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|[smhdw])")
_FURTHEST = 3_660 * _UNITS["d"]
_INT64 = 2**63
_TEST = ("name", "fires", "events")
_TIMING = ("at", "every", "repeat")
_FILLED = ("event_id", "time")  # by us
_CHOICES = {"category": CATEGORIES, "outcome": get_args(Outcome)}
FIELDS = tuple(name for name, kind in EVENT_COLUMNS.items() if name not in _FILLED and kind != "BLOB")
_COUNTER = "{n}"


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of ``events``: a record, and how often it comes. Times are µs after :data:`START`."""

    at: int
    every: int
    repeat: int
    fields: dict[str, Any]  # event field → value; {n} in a text stands for the number of the copy

    def times(self) -> Iterator[tuple[int, int]]:
        """(time, number) of each copy."""
        return ((START + self.at + number * self.every, number) for number in range(self.repeat))


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One test: what happens, and whether the rule finds it."""

    name: str
    fires: bool
    steps: tuple[Step, ...]
    line: int | None = None

    @property
    def events(self) -> list[Event]:
        """The events, sorted by time; of the same time, in the order in which they are written."""
        planned = [(time, number, step) for step in self.steps for time, number in step.times()]
        planned.sort(key=lambda each: each[0])
        return [_event(place, *each) for place, each in zip(count(1), planned, strict=False)]


def key_of(document: Document) -> str:
    """The key that the document's rule has in a rule set (``Meta.key``), whether or not it compiles."""
    raw = document.raw
    given = raw.get("id")
    try:
        return str(UUID(str(given))) if given else str(raw.get("name") or raw.get("title") or "")
    except ValueError:
        return str(given)


def read_tests(document: Document, category: str = "") -> tuple[RuleTest, ...]:
    """The tests of a rule; none where it has no ``tests``.

    ``category`` is that of an event which does not say its own. Raises RuleError with file, line and the valid choices.
    """
    if "tests" not in document.raw:
        return ()
    tests = document.raw["tests"]
    if not isinstance(tests, list) or not tests:
        raise document.refuse("is a list of tests", "tests", hint="docs/testing-rules.md shows one")
    if len(tests) > MAX_TESTS:
        raise document.refuse(f"more than {MAX_TESTS} tests", "tests")
    names: set[str] = set()
    found = []
    for index, test in enumerate(tests):
        found.append(_test(document, test, ("tests", index), category))
        if found[-1].name in names:
            raise document.refuse("two tests have this name", "tests", index, "name")
        names.add(found[-1].name)
    return tuple(found)


def _test(document: Document, test: Any, path: Path, category: str) -> RuleTest:
    if not isinstance(test, dict):
        raise document.refuse("a test is a mapping", *path, choices=_TEST)
    for key in test:
        if key not in _TEST:
            raise document.refuse("unknown key", *path, key, choices=_TEST)
    for key in _TEST:
        if key not in test:
            raise document.refuse(f"a test needs the key {key!r}", *path)
    name, fires, events = (test[key] for key in _TEST)
    if not isinstance(name, str) or not name.strip():
        raise document.refuse("says in words what happens", *path, "name")
    if not isinstance(fires, bool):
        raise document.refuse(f"{fires!r} is not valid", *path, "fires", choices=("true", "false"))
    if not isinstance(events, list) or not events:
        raise document.refuse("is a list of events", *path, "events", hint="Give at least one")
    steps = tuple(_step(document, event, (*path, "events", index), category) for index, event in enumerate(events))
    if sum(step.repeat for step in steps) > MAX_EVENTS:
        raise document.refuse(f"more than {MAX_EVENTS:,} events, repeats written out", *path, "events")
    return RuleTest(" ".join(name.split()), fires, steps, document.lines.get(path))


def _step(document: Document, event: Any, path: Path, category: str) -> Step:
    if not isinstance(event, dict):
        raise document.refuse("an event is a mapping of fields to values", *path)
    at, every = (_offset(document, event.get(key, "0s"), (*path, key)) for key in ("at", "every"))
    repeat = event.get("repeat", 1)
    if type(repeat) is not int or not 1 <= repeat <= MAX_EVENTS:
        raise document.refuse(f"is a whole number from 1 to {MAX_EVENTS:,}", *path, "repeat")
    if at + every * (repeat - 1) > _FURTHEST:
        raise document.refuse("goes on for longer than ten years", *path)
    fields = {key: _value(document, key, value, (*path, key)) for key, value in event.items() if key not in _TIMING}
    if "category" not in fields:
        if not category:
            problem = "an event needs its category: a correlation has none to inherit"
            raise document.refuse(problem, *path, choices=CATEGORIES)
        fields["category"] = category
    return Step(at, every, repeat, fields)


def _offset(document: Document, value: Any, path: Path) -> int:
    match = _OFFSET.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        hint = f"A number and one of {', '.join(_UNITS)}, such as 90s"
        raise document.refuse(f"{value!r} is no time", *path, hint=hint)
    return round(float(match[1]) * _UNITS[match[2]])


def _value(document: Document, field: str, value: Any, path: Path) -> Any:
    """The value as the event holds it, or as a text with {n}; None (null) is a field that is not there."""
    if field in _FILLED:
        raise document.refuse("is filled in by us", *path, hint="Say at: for when it happens")
    if field not in FIELDS:
        near = get_close_matches(field, (*FIELDS, *_TIMING), n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "docs/telemetry.md lists every field"
        raise document.refuse("an event has no such field", *path, hint=hint)
    if field in _CHOICES and value not in _CHOICES[field]:
        raise document.refuse(f"{value!r} is not valid", *path, choices=_CHOICES[field])
    if value is None:
        return None
    kind = EVENT_COLUMNS[field]
    if kind == "VARCHAR":
        if not isinstance(value, str):
            raise document.refuse(f"{value!r} is no text", *path, hint="Put it in quotes")
        if any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in value):
            raise document.refuse("holds a NUL or a lone surrogate character", *path)
        return value
    if kind == "DOUBLE[]":
        if not isinstance(value, list) or not all(_is_number(item) for item in value):
            raise document.refuse("is a list of numbers", *path)
        return tuple(float(item) for item in value)
    if value == _COUNTER:
        return value
    whole = kind == "BIGINT"
    if not _is_number(value) or (whole and type(value) is not int):
        problem = f"{value!r} is no {'whole ' if whole else ''}number"
        raise document.refuse(problem, *path, hint=f"Write it without quotes, or '{_COUNTER}'")
    return value if whole else float(value)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < _INT64


def _event(place: int, time: int, number: int, step: Step) -> Event:
    fields = {"source": "test", **step.fields}
    for name, value in fields.items():
        if isinstance(value, str) and _COUNTER in value:
            text = value.replace(_COUNTER, str(number))
            kind = EVENT_COLUMNS[name]
            fields[name] = int(text) if kind == "BIGINT" else float(text) if kind == "DOUBLE" else text
    return Event(event_id=f"test-{place:05d}", time=time, **fields)
