"""A file that is one JSON document: an array of records, or pretty-printed records one after the other."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from threatmatrix.model.errors import InputError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.decoding import decode_json, failure
from threatmatrix.telemetry.records import LineParser

__all__ = ["MAX_DOCUMENT", "is_document", "parse_document"]

MAX_DOCUMENT = 256 * 1024 * 1024  # bytes; a document, unlike lines, is held in memory as a whole

_BETWEEN = re.compile(r"[\s,\[\]\x00]*")
_PATIENCE = 8  # times the document's length that may go into records which turn out broken
_WINDOW = 64 * 1024
_LITERAL = 16  # characters that one token may need, such as \uD83D\uDE00
_SPARE = 1024 * 1024
_DEEP = 64 * 1024  # what a record that is nested too deeply counts: the decoder does not say how far it came


def is_document(first_lines: Sequence[str]) -> bool:
    """True for ``[…`` and for an object that does not close on its line, where no line is an object by itself."""
    lines = [line for line in first_lines if line.strip()]
    if not lines:
        return False
    first = lines[0].lstrip()
    return first.startswith("[") or (first.startswith("{") and not any(map(_is_object, lines)))


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def parse_document(file: object, data: bytes, parser: LineParser, out: list[Event]) -> None:
    """Append the events of every record.

    A record that fails is one dead letter; reading goes on at the next line that opens an object at
    the same indentation or less. Broken records can be nested so that each is read to the end of the
    file in vain: where that has cost several times the file's length, the rest is one dead letter.
    Raises InputError above MAX_DOCUMENT.
    """
    if len(data) > MAX_DOCUMENT:
        raise InputError(
            file,
            f"is one JSON document of more than {MAX_DOCUMENT // 2**20} MiB",
            hint=f"Turn it into lines first: jq -c '.[]' {file}",
        )
    text = data.decode("utf-8", "replace")
    position, line, counted = _skip(text, 0), 1, 0
    window = _Window(text)
    patience = _PATIENCE * len(text) + _SPARE
    while position < len(text):
        line += text.count("\n", counted, position)
        counted = position
        reason = ""
        try:
            value, end = window.decode(position)
        except (ValueError, RecursionError) as error:
            patience -= error.pos if isinstance(error, json.JSONDecodeError) else _DEEP
            reason, end = failure(error), _resume(text, position) if patience > 0 else len(text)
        else:
            reason = parser.value(value, line, out)
        if reason:
            parser.letter(text[position:end].rstrip().encode("utf-8", "replace"), line, reason)
        position = _skip(text, end)


class _Window:
    """Decodes from a part of the text that starts near the record: an error of the decoder counts the lines before it,
    which from the start of a long text would take longer than reading it.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._base = 0
        self._part = text[:_WINDOW]

    def decode(self, position: int) -> tuple[Any, int]:
        """As ``decode_json(text, position)``; the position in an error is counted from the record's start."""
        while True:
            last = self._base + len(self._part) >= len(self._text)
            try:
                value, end = decode_json(self._part, position - self._base)
                if end < len(self._part) or last:
                    return value, self._base + end
            except ValueError as error:
                if self._base == position and (last or self._is_settled(error)):
                    raise
            size = 2 * len(self._part) if self._base == position else _WINDOW
            self._base, self._part = position, self._text[position : position + size]

    def _is_settled(self, error: ValueError) -> bool:
        """Whether the error would be the same if the part were longer."""
        if not isinstance(error, json.JSONDecodeError):
            return True
        return error.pos < len(self._part) - _LITERAL and not error.msg.startswith("Unterminated string")


def _skip(text: str, position: int) -> int:
    match = _BETWEEN.match(text, position)
    return match.end() if match else position


def _resume(text: str, position: int) -> int:
    """Where the next record may start after a broken one; the end of the text where none does."""
    indent = position - (text.rfind("\n", 0, position) + 1)
    match = re.compile(rf"\n[ \t]{{0,{min(indent, 64)}}}\{{").search(text, position)
    return match.start() if match else len(text)
