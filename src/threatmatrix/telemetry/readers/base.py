"""What every reader shares: the interface, and how a value of the wrong type is refused."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time as clock
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Category, Event
from threatmatrix.telemetry.inputs.secrets import conceal, scrub

if TYPE_CHECKING:  # the inputs need NumPy, most readers do not
    from threatmatrix.telemetry.inputs.inputs import Inputs
    from threatmatrix.telemetry.readers.mapping_file import FieldMapping

__all__ = [
    "MAX_INT",
    "MAX_TIME",
    "NOTHING_ASKED",
    "Form",
    "Options",
    "Reader",
    "Where",
    "address_of",
    "check_time",
    "content_id",
    "fields_of",
    "from_iso",
    "integer",
    "milliseconds",
    "number",
    "reject",
    "seconds_or_iso",
    "text",
    "top_level_keys",
    "trace_of",
    "without_secrets",
]

MAX_INT = 2**63 - 1  # what a BIGINT column holds
MAX_TIME = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z in µs: the last day that a calendar names

_KEY = re.compile(r'"([A-Za-z_][A-Za-z0-9_]{0,63})"\s*:')
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)
_MILLISECONDS_FROM = 1e11  # as seconds this is the year 5138: a larger figure must be milliseconds
# W3C Trace Context, section 3.2: version "-" trace-id "-" parent-id "-" flags.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*", re.ASCII | re.DOTALL)
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.%]{2,64})\]|([0-9.]{7,15}))(?::[0-9]{1,5})?", re.ASCII)


class Where:
    """The place being read, for messages: ``file`` and ``line`` (1-based). One object per file, moved on."""

    __slots__ = ("file", "line")

    def __init__(self, file: str = "-", line: int = 0) -> None:
        self.file = file
        self.line = line

    def written(self) -> int:
        """When the file was last written (µs), or now where it is no file: the year of lines that have none."""
        try:
            return Path(self.file).stat().st_mtime_ns // 1000
        except (OSError, ValueError):
            return clock.time_ns() // 1000


Form = Literal["lines", "documents", "text", "http", "table"]
"""How the records of a format stand in a file: one JSON object per line; the same, or one JSON document (an array, or
pretty-printed objects); one record per line of plain text; HTTP messages one after the other; rows of CSV or Parquet.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What a user asked of a reader, beyond what the log says.

    ``inputs`` None: inputs are neither fingerprinted nor kept, only measured. ``principal_header``: the header that
    names the principal, where the source logs headers (lower case). ``mapping``: where each field of an event stands,
    for the reader ``mapping`` (:func:`~.mapping_file.load_mapping`). ``written`` (µs) and ``zone`` (IANA name) are for
    lines without a year or an offset: when the log ended (None: when the file was last written), and its clock.
    """

    inputs: Inputs | None = None
    principal_header: str = ""
    mapping: FieldMapping | None = None
    written: int | None = None
    zone: str = "UTC"


NOTHING_ASKED = Options()


class Reader(Protocol):
    """Knows one log format.

    ``gives`` says, for each category of event that the source can make, which fields it fills and from what (a few
    words, shown by ``telemetry fields`` and held against docs/telemetry.md). ``parse`` takes one record: a JSON
    object, or a line of text where ``form`` is ``text``, or ``HttpMessage`` where it is ``http``. It returns its
    events; ``()`` for a valid record that has nothing to do with us (a cron job in auth.log), which is counted; or it
    raises :class:`FormatError`, which names the key and never quotes a value. It keeps nothing between calls.
    """

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def form(self) -> Form: ...

    @property
    def gives(self) -> Mapping[Category, Mapping[str, str]]: ...

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """Whether these first lines of a file (or of a document) look like this format."""

    def parse(self, record: Any, where: Where) -> Sequence[Event]:
        """One record → its events."""

    def with_options(self, options: Options) -> Reader:
        """The same reader, told what the user asked for; itself where nothing of it concerns this format."""


def fields_of(reader: Reader) -> frozenset[str]:
    """The event fields that a reader can fill, of whatever category."""
    return frozenset().union(*reader.gives.values())


def reject(where: Where, key: str, problem: str) -> FormatError:
    """The error for one key of the record at ``where``."""
    return FormatError(where.file, problem, key=key, line=where.line)


def _kind(value: object) -> str:
    names = {bool: "true/false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _first(obj: Mapping[str, Any], keys: Iterable[str]) -> tuple[str, Any]:
    for key in keys:
        value = obj.get(key)
        if value is not None and value not in ("", "-"):
            return key, value
    return "", None


def text(obj: Mapping[str, Any], where: Where, *keys: str) -> str | None:
    """The first of ``keys`` that says something; None, "" and "-" say nothing."""
    for key in keys:
        value = obj.get(key)
        if type(value) is str:
            if value and value != "-":
                return value
        elif value is not None:
            raise reject(where, key, f"is {_kind(value)}, must be a text")
    return None


def integer(obj: Mapping[str, Any], where: Where, *keys: str, most: int = MAX_INT) -> int | None:
    """The first of ``keys`` that says something as an integer 0..``most``; digits in quotes count."""
    key, value = _first(obj, keys)
    if value is None:
        return None
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise reject(where, key, f"is {_kind(value)}, must be an integer")
    if not 0 <= value <= most:
        raise reject(where, key, f"must be from 0 to {most}")
    return value


def number(obj: Mapping[str, Any], where: Where, *keys: str) -> float | None:
    """The first of ``keys`` that says something as a finite number; a number in quotes counts."""
    key, value = _first(obj, keys)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise reject(where, key, f"is {_kind(value)}, must be a number")
    try:
        result = float(value)
    except (ValueError, OverflowError):
        raise reject(where, key, "must be a number") from None
    if not math.isfinite(result):
        raise reject(where, key, "must be a finite number")
    return result


def from_iso(iso: str, key: str, where: Where) -> int:
    """µs since 1970-01-01 UTC of an ISO 8601 time; without an offset it is taken as UTC."""
    try:
        moment = datetime.fromisoformat(iso)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise reject(where, key, "must be an ISO 8601 time such as 2026-01-31T12:00:00+00:00") from None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def check_time(time: int, key: str, where: Where) -> int:
    """The time itself (µs); one that no calendar names is refused."""
    if not 0 <= time <= MAX_TIME:
        raise reject(where, key, "must lie between 1970 and the year 10000")
    return time


def seconds_or_iso(obj: Mapping[str, Any], where: Where, *keys: str) -> int | None:
    """µs of the first of ``keys`` that says something: ISO 8601, or seconds, or (10¹¹ and more) milliseconds."""
    key, value = _first(obj, keys)
    if value is None:
        return None
    if isinstance(value, str) and ("-" in value[1:] or "T" in value):
        return check_time(from_iso(value, key, where), key, where)
    seconds = number(obj, where, key) or 0.0
    if abs(seconds) >= _MILLISECONDS_FROM:
        seconds /= 1000
    return check_time(round(seconds * 1_000_000), key, where)


def milliseconds(seconds: float | None) -> float | None:
    """Seconds as milliseconds, to a microsecond."""
    return None if seconds is None else round(seconds * 1000, 3)


def trace_of(traceparent: str | None) -> str | None:
    """The trace id, or None: the header comes from the client, a crooked one must not hide the request."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return match[1] if match and match[1].strip("0") else None


def address_of(address: str | None) -> str | None:
    """The IP address of ``ip:port``, ``[ip]:port`` or ``ip``; what is no IP address (a socket's path) stays."""
    match = _ADDRESS.fullmatch(address) if address else None
    return (match[1] or match[2]) if match else address


def without_secrets(fields: dict[str, Any], inputs: Inputs | None) -> dict[str, Any]:
    """The fields of an event; in those that hold what a client wrote or somebody logged, secrets become names."""
    for name in ("principal", "key_id", "tenant", "session"):
        if (value := fields.get(name)) is not None:
            fields[name] = conceal(value, inputs)
    for name in ("user_agent", "endpoint", "object"):
        if (value := fields.get(name)) is not None:
            fields[name] = scrub(value, inputs)
    return fields


def content_id(source: str, record: object) -> str:
    """An event id where the source has none: the same record (any JSON) gives the same id, whatever file it is in."""
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{source}:{hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()}"


def top_level_keys(first_lines: Sequence[str]) -> Sequence[frozenset[str]]:
    """The keys of each first line that is a JSON object; of a pretty-printed document all keys, as one set."""
    return _keys(tuple(first_lines))


@lru_cache(maxsize=1)  # every reader asks the same of the same lines
def _keys(first_lines: tuple[str, ...]) -> tuple[frozenset[str], ...]:
    found: list[frozenset[str]] = []
    for line in first_lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(frozenset(value))
    return tuple(found) or (frozenset(_KEY.findall("\n".join(first_lines))),)
