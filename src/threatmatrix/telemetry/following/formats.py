"""Which formats can be followed: those of which a line is a record."""

from __future__ import annotations

from threatmatrix.model.errors import InputError
from threatmatrix.telemetry.messages import is_http
from threatmatrix.telemetry.readers import AUTO, Options, detect_reader, get_reader
from threatmatrix.telemetry.reading import first_lines

__all__ = ["reader_of"]

_LINES = frozenset({"lines", "documents", "text"})
_LOOKED_AT = 1 << 20  # bytes


def reader_of(file: object, data: bytes, source: str, options: Options) -> str:
    """The name of the reader for what begins like this: ``source`` itself, or the one that recognises it.

    Raises InputError where none does, or where a record of that format is more than a line.
    """
    lines = first_lines(data[:_LOOKED_AT])
    reader = detect_reader(file, lines, options) if source == AUTO else get_reader(source, options)
    if reader.form not in _LINES and (reader.form != "http" or is_http(lines)):
        problem = f"is of a format ({reader.name}) that cannot be followed"
        raise InputError(file, problem, hint="Read it with: threatmatrix ingest")
    return reader.name
