"""One record of a log → events, or one dead letter. Never an exception, whatever the record holds."""

from __future__ import annotations

import json
from typing import Any

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import DeadLetter, Event
from threatmatrix.telemetry.dead_letters import DeadLetterFile, as_text
from threatmatrix.telemetry.decoding import decode_json, failure
from threatmatrix.telemetry.messages import HttpMessage
from threatmatrix.telemetry.readers.base import Reader, Where
from threatmatrix.telemetry.readers.parts import PartlyRead

__all__ = ["MAX_LINE", "LineParser", "decode_json", "failure"]

MAX_LINE = 10 * 1024 * 1024  # bytes; a longer line becomes a dead letter

_BLANK = b" \t\r\n\x0b\x0c\x00"  # NUL: what a log is padded with when its writer goes on after a truncation


class LineParser:
    """Parses the records of one file with one reader; what fails goes to ``dead_letters``.

    ``events``, ``dead`` and ``passed`` (records that hold nothing of interest) count since the start.
    """

    def __init__(self, reader: Reader, file: str, dead_letters: DeadLetterFile | None) -> None:
        self._reader = reader
        self._where = Where(file)
        self._text = reader.form == "text"
        self.dead_letters = dead_letters
        self.events = 0
        self.dead = 0
        self.passed = 0

    def line(self, raw: bytes, line: int, out: list[Event]) -> None:
        """Append the events of one line to ``out``; a blank line has none and is no dead letter either.

        Bytes that are not UTF-8 become U+FFFD: nginx passes a client's bytes through, and a crooked
        user agent must not take a request out of sight. NUL bytes around a line are padding.
        """
        if len(raw) > MAX_LINE:
            self.letter(raw, line, f"longer than {MAX_LINE // 2**20} MiB")
            return
        text = raw.strip(_BLANK).decode("utf-8", "replace")
        if not text:
            return
        reason = self.record(text, line, out) if self._text else self._json(text, line, out)
        if reason:
            self.letter(raw, line, reason)

    def _json(self, text: str, line: int, out: list[Event]) -> str:
        try:
            value, end = decode_json(text)
        except (ValueError, RecursionError) as error:
            return failure(error)
        if end != len(text):
            return f"not JSON: more text after the value, at column {end + 1}"
        return self.value(value, line, out)

    def value(self, value: Any, line: int, out: list[Event]) -> str:
        """Append the events of one decoded value; returns why not, or "" where all is well."""
        return self.record(value, line, out) if type(value) is dict else "not a JSON object"

    def message(self, message: HttpMessage, raw: bytes, line: int, out: list[Event]) -> None:
        """Append the events of one HTTP message, or of a line of JSON between messages."""
        if len(raw) > MAX_LINE:
            self.letter(raw, line, f"longer than {MAX_LINE // 2**20} MiB")
        elif not message.start:
            self.line(raw, line, out)
        elif reason := self.record(message, line, out):
            self.letter(raw, line, reason)

    def record(self, record: Any, line: int, out: list[Event]) -> str:
        """Append the events of one record as the reader takes it; returns why not, or "" where all is well.

        Of a record that holds many, each that fails is a dead letter by itself, and the others' events count.
        """
        self._where.line = line
        try:
            events = self._reader.parse(record, self._where)
        except PartlyRead as partly:
            events = partly.events
            self._refuse(partly, line)
        except (FormatError, ValueError, OverflowError, RecursionError) as error:
            return failure(error)
        except Exception as error:  # noqa: BLE001 - a reader's mistake costs this record, never the ones after it
            return f"reader {self._reader.name} failed with {type(error).__name__}"
        else:
            self.passed += not events
        self.events += len(events)
        out.extend(events)
        return ""

    def _refuse(self, partly: PartlyRead, line: int) -> None:
        for item, error in partly.refused:
            self.letter(_written(item), line, failure(error))
        if partly.more:
            self.letter(b"", line, f"{partly.more} more of its records cannot be read")

    def letter(self, raw: bytes, line: int, reason: str) -> None:
        """Send a record to the dead letters."""
        self.dead += 1
        if self.dead_letters is not None:
            self.dead_letters.add(DeadLetter(self._where.file, line, reason, as_text(raw)))


def _written(item: Any) -> bytes:
    """A part of a record as JSON; nothing where it is nested too deeply to be written."""
    try:
        return json.dumps(item, ensure_ascii=False).encode("utf-8", "replace")
    except (TypeError, ValueError, RecursionError):
        return b""
