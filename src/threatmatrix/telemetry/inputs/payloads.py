"""Bytes as they were sent → what they hold. Without NumPy: an answer is read without it."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Literal, NamedTuple

from threatmatrix.telemetry.decoding import decode_whole

__all__ = ["OPENING", "Payload", "open_payload"]

OPENING = ("{", "[")


class Payload(NamedTuple):
    """``value``: what JSON decodes to; the text of CSV and of other text; the base64 of other bytes."""

    kind: Literal["json", "csv", "text", "bytes"]
    value: Any


def open_payload(data: bytes, content_type: str = "") -> Payload:
    """``content_type`` (lower case) only tells CSV from other text: a client writes it as it likes.

    JSON is one value, or one to the line (``application/jsonlines``), which is the list of them. Raises
    RecursionError for JSON that is nested too deeply, and nothing else.
    """
    try:
        text = data.decode().strip()
    except UnicodeDecodeError:
        return Payload("bytes", b64encode(data).decode())
    if text.startswith(OPENING) or (text and "json" in content_type):
        try:
            return Payload("json", decode_whole(text))
        except ValueError:
            lines = _json_lines(text)
        if lines is not None:
            return Payload("json", lines)
    return Payload("csv" if "csv" in content_type else "text", text)


def _json_lines(text: str) -> list[Any] | None:
    try:
        return [decode_whole(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        return None
