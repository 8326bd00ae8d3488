"""What must hold whatever a file contains: every record is events, a counted no-interest record, or one dead letter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

from threatmatrix.model.event import CATEGORIES, EVENT_COLUMNS, Event
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.documents import parse_document
from threatmatrix.telemetry.logfile import LogFile
from threatmatrix.telemetry.messages import split_http
from threatmatrix.telemetry.readers import Reader
from threatmatrix.telemetry.readers.base import MAX_INT, MAX_TIME
from threatmatrix.telemetry.readers.mapping import MappingReader
from threatmatrix.telemetry.records import LineParser
from threatmatrix.telemetry.tables import read_csv

_TYPES = {"VARCHAR": str, "BIGINT": int, "DOUBLE": float, "BLOB": bytes, "DOUBLE[]": tuple}
_HOLD_MANY = ("cloudtrail", "litellm", "otel")  # one record of these may be a document of many
_BLANK = b" \t\r\n\x0b\x0c\x00"


class Accounts:
    """Feeds one reader and checks after each record that exactly one account of it has been given."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.letters = DeadLetterFile()
        self.parser = LineParser(reader, "fuzz", self.letters)
        self.events: list[Event] = []
        self.seen: list[Event] = []
        self._before = (0, 0, 0)

    def line(self, raw: bytes) -> None:
        """One line of a file."""
        self.parser.line(raw, 1, self.events)
        self.settle(bool(raw.strip(_BLANK).decode("utf-8", "replace")))

    def http(self, data: bytes) -> None:
        """A file of HTTP messages."""
        for line, message, raw in split_http(data):
            if isinstance(message, str):
                self.parser.letter(raw, line, message)
            else:
                self.parser.message(message, raw, line, self.events)
            self.settle(True)

    def document(self, data: bytes) -> None:
        """A file that is one JSON document: as many accounts as it has records."""
        parse_document("fuzz", data, self.parser, self.events)
        self._before = (self.parser.events, self.parser.passed, self.parser.dead)
        self._fine()

    def table(self, data: bytes) -> None:
        """A file of CSV, after the line with the names of the columns."""
        assert isinstance(self.reader, MappingReader)
        rows = SimpleNamespace(name="fuzz", torn=b"", lines=lambda: cast(Iterator[bytes], iter(data.split(b"\n"))))
        for _ in read_csv(cast(LogFile, rows), self.reader.table, self.parser, self.events):
            self.settle(True)

    def settle(self, said_something: bool) -> None:
        """Check the account of the record that was just fed."""
        events, passed, dead = self._before
        gained = (self.parser.events - events, self.parser.passed - passed, self.parser.dead - dead)
        self._before = (self.parser.events, self.parser.passed, self.parser.dead)
        if said_something:
            one = (gained[0] >= 1, gained[1], gained[2]) in ((True, 0, 0), (False, 1, 0), (False, 0, 1))
            assert one or (self.reader.name in _HOLD_MANY and not gained[1] and gained[2]), gained
        else:
            assert gained == (0, 0, 0)
        self._fine()

    def _fine(self) -> None:
        assert len(self.events) == self.parser.events
        assert self.letters.count == self.parser.dead
        failed = [reason for reason in self.letters.reasons if reason.startswith("reader ")]
        assert not failed, failed  # a mistake in a reader is caught when logs are read, not here
        for event in self.events:
            check_event(event)
        self.seen.extend(self.events)
        self.events.clear()
        self.parser.events = 0
        self._before = (0, *self._before[1:])


def check_event(event: Event) -> None:
    """Whether the lake can hold the event."""
    assert event.category in CATEGORIES
    assert 0 <= event.time <= MAX_TIME
    assert event.event_id
    assert event.outcome in (None, "success", "failure")
    for column, sql in EVENT_COLUMNS.items():
        value: Any = getattr(event, column)
        if value is None:
            continue
        assert type(value) is _TYPES[sql], column
        if sql == "VARCHAR":
            value.encode()
        elif sql == "BIGINT":
            assert 0 <= value <= MAX_INT, column
        elif sql == "DOUBLE":
            assert math.isfinite(value), column
        elif sql == "DOUBLE[]":
            assert all(type(number) is float and math.isfinite(number) for number in value), column
