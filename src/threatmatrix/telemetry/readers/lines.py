"""Lines of plain text: the times that they begin with, and JSON lines among them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from threatmatrix.model.errors import UsageError
from threatmatrix.telemetry.decoding import decode_json, failure
from threatmatrix.telemetry.readers.base import Where, check_time, from_iso, integer, reject, text

__all__ = ["Clock", "JournalEntry", "journal_entry", "json_line", "split_time"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CLASSIC = re.compile(r"([A-Z][a-z]{2}) ([ 0-9][0-9]) ([0-9]{2}:[0-9]{2}:[0-9]{2})(?= )", re.ASCII)
_SLASHES = re.compile(r"([0-9]{4})/([0-9]{2})/([0-9]{2}) ([0-9:]{8})(?= )", re.ASCII)
_OFFSET = r"(?:Z|[+-][0-9]{2}:?[0-9]{2})"
_ISO = re.compile(
    rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ][0-9:]{{8}}(?:[.,][0-9]{{1,9}})?(?P<offset>{_OFFSET})?(?= )", re.ASCII
)
_PRIORITY = re.compile(r"<[0-9]{1,3}>", re.ASCII)  # RFC 3164, section 4.1.1; files rarely have it
_BYTE = 255
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAP = 8  # years between two leap days, at most
_SLACK = 24 * 3600 * 1_000_000  # a line may be this much younger than its file seems to be: clocks, zones


class Clock:
    """Turns the time of a line into µs: with a year where it has none, in the zone where it names none.

    ``written`` (µs): when the log ended; None: ask the file. ``zone``: an IANA name. Raises UsageError where no zone
    has that name.
    """

    def __init__(self, written: int | None = None, zone: str = "UTC") -> None:
        self._written = written
        self._zone = _zone(zone)

    def classic(self, match: re.Match[str], where: Where) -> int:
        """``Nov 21 17:00:00`` (RFC 3164, section 4.1.2): the latest year that does not put it after the log's end."""
        end = (where.written() if self._written is None else self._written) + _SLACK
        latest = (_EPOCH + timedelta(microseconds=end)).year
        day, clock = int(match[2]), match[3]
        if match[1] in _MONTHS:
            month = _MONTHS.index(match[1]) + 1
            for year in range(latest, latest - _LEAP - 1, -1):
                time = self._at(f"{year:04}-{month:02}-{day:02}T{clock}")
                if time is not None and time <= end:
                    return check_time(time, "time", where)
        raise reject(where, "time", "names a day or an hour that does not exist")

    def iso(self, text: str, where: Where) -> int:
        """ISO 8601 without an offset: in the zone."""
        time = self._at(text)
        if time is None:
            raise reject(where, "time", "names a day or an hour that does not exist")
        return check_time(time, "time", where)

    def _at(self, text: str) -> int | None:
        try:
            since = datetime.fromisoformat(text).replace(tzinfo=self._zone) - _EPOCH
        except (ValueError, OverflowError):
            return None
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


@lru_cache(maxsize=16)
def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"no time zone is called {name!r}", hint="Use an IANA name such as Europe/Berlin") from None


def split_time(line: str, clock: Clock, where: Where) -> tuple[int | None, str]:
    """The time that a line begins with (µs; None: it begins with none), and the rest of it. Raises FormatError."""
    time: int | None = None
    line = line[match.end() :] if (match := _PRIORITY.match(line)) else line
    if match := _ISO.match(line):
        iso = match[0].replace(",", ".")
        time = check_time(from_iso(iso, "time", where), "time", where) if match["offset"] else clock.iso(iso, where)
    elif match := _SLASHES.match(line):
        time = clock.iso(f"{match[1]}-{match[2]}-{match[3]}T{match[4]}", where)
    elif match := _CLASSIC.match(line):
        time = clock.classic(match, where)
    return (time, line[match.end() :].lstrip(" ")) if match else (None, line)


def json_line(line: str, where: Where) -> Mapping[str, Any]:
    """A JSON object that stands alone on its line; raises FormatError."""
    try:
        value, end = decode_json(line)
    except (ValueError, RecursionError) as error:
        raise reject(where, "", failure(error)) from None
    if type(value) is not dict or end != len(line):
        raise reject(where, "", "not one JSON object")
    return value


class JournalEntry(NamedTuple):
    """What of a journal entry a line of syslog would say. ``time`` in µs; ``cursor`` names the entry."""

    time: int
    host: str | None
    program: str
    message: str
    cursor: str | None


def journal_entry(obj: Mapping[str, Any], where: Where) -> JournalEntry:
    """An entry as ``journalctl -o json`` writes it (systemd.journal-fields(7)). Raises FormatError.

    A message that is no UTF-8 is a list of its bytes, and null where it was too long for journalctl to print.
    """
    time = integer(obj, where, "__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP")
    if time is None:
        raise reject(where, "__REALTIME_TIMESTAMP", "missing")
    message = obj.get("MESSAGE")
    if isinstance(message, list):
        if not all(type(byte) is int and 0 <= byte <= _BYTE for byte in message):
            raise reject(where, "MESSAGE", "must be a text or a list of bytes")
        message = bytes(message).decode("utf-8", "replace")
    if message is not None and not isinstance(message, str):
        raise reject(where, "MESSAGE", "must be a text or a list of bytes")
    return JournalEntry(
        check_time(time, "__REALTIME_TIMESTAMP", where),
        text(obj, where, "_HOSTNAME"),
        text(obj, where, "SYSLOG_IDENTIFIER", "_COMM") or "",
        message or "",
        text(obj, where, "__CURSOR"),
    )
