"""One line of a log → events, or one dead letter. Never an exception, whatever the line holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn, cast

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import DeadLetter, Event
from threatmatrix.telemetry.dead_letters import DeadLetterFile, as_text
from threatmatrix.telemetry.readers.base import Reader, Where

__all__ = ["MAX_LINE", "LineParser", "decode_json", "failure"]

MAX_LINE = 10 * 1024 * 1024  # bytes; a longer line becomes a dead letter

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# The decoder's own scanner: what raw_decode() calls, without its wrapper.
_scan: Callable[[str, int], tuple[Any, int]] = cast(Any, json.JSONDecoder(parse_constant=_no_constant)).scan_once


def decode_json(text: str, start: int = 0) -> tuple[Any, int]:
    r"""One JSON value at ``start`` and where it ends. Raises ValueError or RecursionError.

    NaN and Infinity are refused. Half a surrogate pair (``"\ud800"``), which no UTF-8 file or database
    can hold, becomes U+FFFD.
    """
    try:
        value, end = _scan(text, start)
    except StopIteration:
        raise ValueError("not JSON") from None
    if "\\u" in text and _SURROGATE.search(text, start, end):
        whole = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        value = json.loads(whole)
    return value, end


class LineParser:
    """Parses the lines of one file with one reader; what fails goes to ``dead_letters``.

    ``events`` and ``dead`` count since the start.
    """

    def __init__(self, reader: Reader, file: str, dead_letters: DeadLetterFile | None) -> None:
        self._reader = reader
        self._where = Where(file)
        self.dead_letters = dead_letters
        self.events = 0
        self.dead = 0

    def line(self, raw: bytes, line: int, out: list[Event]) -> None:
        """Append the events of one line to ``out``; a blank line has none and is no dead letter either.

        Bytes that are not UTF-8 become U+FFFD: nginx passes a client's bytes through, and a crooked
        user agent must not take a request out of sight.
        """
        if len(raw) > MAX_LINE:
            self.letter(raw, line, f"longer than {MAX_LINE // 2**20} MiB")
            return
        text = raw.decode("utf-8", "replace").strip()
        if not text:
            return
        try:
            value, end = decode_json(text)
        except (ValueError, RecursionError) as error:
            self.letter(raw, line, failure(error))
            return
        if end != len(text):
            self.letter(raw, line, f"not JSON: more text after the value, at column {end + 1}")
            return
        reason = self.value(value, line, out)
        if reason:
            self.letter(raw, line, reason)

    def value(self, value: Any, line: int, out: list[Event]) -> str:
        """Append the events of one decoded value; returns why not, or "" where all is well."""
        if type(value) is not dict:
            return "not a JSON object"
        self._where.line = line
        try:
            events = self._reader.parse(value, self._where)
        except (FormatError, ValueError, OverflowError, RecursionError) as error:
            return failure(error)
        self.events += len(events)
        out.extend(events)
        return ""

    def letter(self, raw: bytes, line: int, reason: str) -> None:
        """Send a line to the dead letters."""
        self.dead += 1
        if self.dead_letters is not None:
            self.dead_letters.add(DeadLetter(self._where.file, line, reason, as_text(raw)))


def failure(error: Exception) -> str:
    """Why a record failed, without the place, which a dead letter has of its own."""
    if isinstance(error, FormatError):
        return error.message.removeprefix(f"{error.file}:{error.line}: ")
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
