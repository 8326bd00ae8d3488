"""The gateway's own log: JSON Lines (docs/gateway.md lists every field).

One line per inference row that went on to the model, one per refused or other request.

One ``write`` per request to a file opened with O_APPEND: lines of several processes never mix, and a reader
sees whole requests. Never in the log: inputs, API keys, secrets.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring_ascii as quote
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import category

from threatmatrix.model.errors import InputError
from threatmatrix.telemetry.inputs.oip import encode

__all__ = ["FORMAT_VERSION", "LogWriter", "RowFields", "clean", "lines", "quote"]

FORMAT_VERSION = 1
_LONGEST = 256  # characters of a client's text, as they stand in the line
_LOOKED_AT = 1024  # of a longer text nothing more is looked at


def clean(text: str) -> str:
    """Text of a client, made safe to keep: no control characters, no lone surrogates, bounded.

    The bound counts after the JSON escapes: one byte on the way in must not become six in the log.
    """
    if len(text) <= _LONGEST and text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    text = text[:_LOOKED_AT].encode("utf-8", "replace").decode()
    kept, size = [], 0
    for character in text:
        if category(character) == "Cc":
            continue
        size += len(quote(character)) - 2
        if size > _LONGEST:
            break
        kept.append(character)
    return "".join(kept)


class RowFields(NamedTuple):
    """What differs from row to row; each list has one item per row, or is None."""

    rows: int
    input_fp: Sequence[str] | None = None
    input_vec: Sequence[str] | None = None  # base64
    output_label: Sequence[str] | None = None
    output_scores: Sequence[Sequence[float]] | None = None
    input_fp_prev: Sequence[str] | None = None
    input_vec_prev: Sequence[str] | None = None  # base64


def lines(head: str, ref: str, fields: RowFields | None) -> bytes:
    """Log lines of one request. ``head``: JSON of what all rows share, without its last brace; ``fields`` None: one.

    ``ref`` and the row are the event's id.
    """
    if fields is None:
        return f'{head},"event_id":"{ref}:0"}}\n'.encode()
    template = head.replace("%", "%%") + f',"rows":{fields.rows},"event_id":"{ref}:%d","row":%d'
    columns: list[Iterable[Any]] = [range(fields.rows), range(fields.rows)]
    if fields.input_fp is not None:
        template += ',"input_fp":"%s"'
        columns.append(fields.input_fp)
    if fields.input_vec is not None:
        template += ',"input_vec":"%s"'
        columns.append(fields.input_vec)
    for name, texts in (("input_fp_prev", fields.input_fp_prev), ("input_vec_prev", fields.input_vec_prev)):
        if texts is not None:
            template += f',"{name}":"%s"'
            columns.append(texts)
    if fields.output_label is not None:
        template += ',"output_label":%s'
        columns.append(map(quote, fields.output_label))
    if fields.output_scores is not None:
        template += ',"output_scores":[%s]'
        # rows of numbers: encoded at once, for one call of the encoder costs more than ten numbers
        columns.append(encode(fields.output_scores)[2:-2].split("],["))
    template += "}\n"
    return "".join([template % values for values in zip(*columns, strict=True)]).encode()


class LogWriter:
    """Appends to the log file. Raises ``InputError`` at once if the file cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = False  # a write failed: the file may end within a line
        self._file = self._open()

    def _open(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            hint = "Choose another log_path"
            raise InputError(self._path, f"the log cannot be written: {error.strerror}", hint=hint) from error

    def write(self, data: bytes) -> None:
        """Append whole lines. Raises OSError if the disk is full; what follows then starts on a new line."""
        if self._torn:
            data = b"\n" + data  # else it would be glued to what is left of the last line
        try:
            written = os.write(self._file, data)
            while written < len(data):  # a signal or a nearly full disk can cut a write short
                written += os.write(self._file, data[written:])
        except OSError:
            self._torn = True
            raise
        self._torn = False

    def reopen(self) -> None:
        """Go on in a new file after the old one was renamed (log rotation)."""
        old, self._file = self._file, self._open()
        os.close(old)

    def close(self) -> None:
        """Close the file; writing afterwards raises OSError."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
