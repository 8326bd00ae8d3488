"""A file that is one JSON document: an array of records, or pretty-printed records one after the other."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from threatmatrix.model.errors import InputError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.records import LineParser, decode_json, failure

__all__ = ["MAX_DOCUMENT", "is_document", "parse_document"]

MAX_DOCUMENT = 256 * 1024 * 1024  # bytes; a document, unlike lines, is held in memory as a whole

_BETWEEN = re.compile(r"[\s,\[\]]*")


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
    the same indentation or less. Raises InputError above MAX_DOCUMENT.
    """
    if len(data) > MAX_DOCUMENT:
        raise InputError(
            file,
            f"is one JSON document of more than {MAX_DOCUMENT // 2**20} MiB",
            hint=f"Turn it into lines first: jq -c '.[]' {file}",
        )
    text = data.decode("utf-8", "replace")
    position, line, counted = _skip(text, 0), 1, 0
    while position < len(text):
        line += text.count("\n", counted, position)
        counted = position
        reason = ""
        try:
            value, end = decode_json(text, position)
        except (ValueError, RecursionError) as error:
            reason, end = failure(error), _resume(text, position)
        else:
            reason = parser.value(value, line, out)
        if reason:
            parser.letter(text[position:end].rstrip().encode("utf-8", "replace"), line, reason)
        position = _skip(text, end)


def _skip(text: str, position: int) -> int:
    match = _BETWEEN.match(text, position)
    return match.end() if match else position


def _resume(text: str, position: int) -> int:
    """Where the next record may start after a broken one; the end of the text where none does."""
    indent = position - (text.rfind("\n", 0, position) + 1)
    match = re.compile(rf"\n[ \t]{{0,{min(indent, 64)}}}\{{").search(text, position)
    return match.start() if match else len(text)
