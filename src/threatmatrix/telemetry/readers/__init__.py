"""One reader per source, by name. To add one: docs/telemetry.md, "Adding a reader"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from threatmatrix.model.errors import InputError, UnknownNameError
from threatmatrix.telemetry.readers.base import NOTHING_ASKED, Options, Reader, Where
from threatmatrix.telemetry.readers.gateway import GatewayReader
from threatmatrix.telemetry.readers.litellm import LiteLLMReader
from threatmatrix.telemetry.readers.nginx import NginxReader

__all__ = [
    "AUTO",
    "NOTHING_ASKED",
    "SOURCES",
    "Options",
    "Reader",
    "Where",
    "check_source",
    "detect_reader",
    "get_reader",
]

AUTO = "auto"

SOURCES: Mapping[str, Reader] = MappingProxyType(
    {reader.name: reader for reader in (GatewayReader(), NginxReader(), LiteLLMReader())}
)
"""Name → reader, in the order in which auto-detection asks them."""


def check_source(source: str) -> None:
    """Raises :class:`UnknownNameError` unless ``source`` is a reader's name or ``auto``."""
    if source != AUTO and source not in SOURCES:
        raise UnknownNameError("source", source, (AUTO, *SOURCES))


def get_reader(source: str, options: Options = NOTHING_ASKED) -> Reader:
    """The reader of that name, told what was asked for. Raises UnknownNameError."""
    if source not in SOURCES:
        raise UnknownNameError("source", source, SOURCES)
    return SOURCES[source].with_options(options)


def detect_reader(file: object, first_lines: Sequence[str], options: Options = NOTHING_ASKED) -> Reader:
    """The first reader that recognises these lines; raises :class:`InputError` where none does."""
    for name, reader in SOURCES.items():
        if reader.recognises(first_lines):
            return get_reader(name, options)
    raise InputError(
        file,
        "no reader recognises its first lines",
        hint=f"Name the format with --source ({', '.join(SOURCES)}); docs/telemetry.md shows what each expects",
    )
