"""What every reader shares: the interface, and how a value of the wrong type is refused."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Category, Event
from threatmatrix.telemetry.inputs.inputs import Inputs

__all__ = [
    "MAX_INT",
    "MAX_TIME",
    "NOTHING_ASKED",
    "Form",
    "Options",
    "Reader",
    "Where",
    "content_id",
    "fields_of",
    "from_iso",
    "integer",
    "number",
    "reject",
    "text",
    "top_level_keys",
]

MAX_INT = 2**63 - 1  # what a BIGINT column holds
MAX_TIME = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z in µs: the last day that a calendar names

_KEY = re.compile(r'"([A-Za-z_][A-Za-z0-9_]{0,63})"\s*:')
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)


class Where:
    """The place being read, for messages: ``file`` and ``line`` (1-based). One object per file, moved on."""

    __slots__ = ("file", "line")

    def __init__(self, file: str = "-", line: int = 0) -> None:
        self.file = file
        self.line = line


Form = Literal["lines", "documents", "text", "http", "table"]
"""How the records of a format stand in a file: one JSON object per line; the same, or one JSON document (an array, or
pretty-printed objects); one record per line of plain text; HTTP messages one after the other; rows of CSV or Parquet.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What a user asked of a reader, beyond what the log says.

    ``inputs`` None: inputs are neither fingerprinted nor kept, only measured. ``principal_header``: the header that
    names the principal, where the source logs headers (lower case). ``mapping``: field of an event → where it stands,
    for the reader ``mapping``.
    """

    inputs: Inputs | None = None
    principal_header: str = ""
    mapping: Mapping[str, Any] | None = None


NOTHING_ASKED = Options()


class Reader(Protocol):
    """Knows one log format.

    ``gives`` says, for each category of event that the source can make, which fields it fills and from what (a few
    words, shown by ``telemetry fields`` and held against docs/telemetry.md). ``parse`` takes one record: a JSON
    object, or a line of text where ``form`` is ``text``, or ``HttpMessage`` where it is ``http``. It returns at least
    one event, or raises :class:`FormatError` that names the key and never quotes a value; it keeps nothing between
    calls.
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
    key, value = _first(obj, keys)
    if value is None or isinstance(value, str):
        return value
    raise reject(where, key, f"is {_kind(value)}, must be a text")


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


def content_id(source: str, obj: Mapping[str, Any]) -> str:
    """An event id where the source has none: the same record gives the same id, whatever file it is in."""
    canonical = json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{source}:{hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()}"


def top_level_keys(first_lines: Sequence[str]) -> list[set[str]]:
    """The keys of each first line that is a JSON object; of a pretty-printed document all keys, as one set."""
    found: list[set[str]] = []
    for line in first_lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(set(value))
    return found or [set(_KEY.findall("\n".join(first_lines)))]
