"""What stands behind a field in a rule, once its modifiers are applied: the value types between YAML and conditions.

Source: Sigma rules specification 2.0, "String Wildcard", "Escaping", "Special Field Values", "Placeholders".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from threatmatrix.detect.sigma.ir import Op, Part, Wild

__all__ = [
    "AnyOf",
    "Compare",
    "Encoded",
    "Exists",
    "FieldRef",
    "Network",
    "Null",
    "Number",
    "Piece",
    "Placeholder",
    "Regex",
    "Text",
    "Truth",
    "Value",
    "parse_text",
    "shaped",
    "text_of",
]

_WILD = {"*": Wild.ANY, "?": Wild.ONE}
_ESCAPED = frozenset("*?\\")
_PLACEHOLDER = re.compile(r"%([^%\\*?]+)%")

Shape = Literal["contains", "startswith", "endswith"]


@dataclass(frozen=True, slots=True)
class Placeholder:
    """``%name%`` under the modifier ``expand``: a pipeline says what it stands for."""

    name: str


Piece = str | Wild | Placeholder


@dataclass(frozen=True, slots=True)
class Text:
    """Literal texts, wildcards and placeholders in turn."""

    pieces: tuple[Piece, ...]
    cased: bool = False

    @property
    def plain(self) -> str | None:
        """The text itself, where there is nothing but text."""
        if all(isinstance(piece, str) for piece in self.pieces):
            return "".join(piece for piece in self.pieces if isinstance(piece, str))
        return None

    @property
    def placeholders(self) -> tuple[str, ...]:
        return tuple(piece.name for piece in self.pieces if isinstance(piece, Placeholder))


@dataclass(frozen=True, slots=True)
class Number:
    """A number, compared as one in a field of numbers and as text in a field of text."""

    number: int | float
    spelt: str  # as the rule writes it; empty where YAML has changed it


@dataclass(frozen=True, slots=True)
class Truth:
    """True or false, compared as these words."""

    true: bool


@dataclass(frozen=True, slots=True)
class Null:
    """``null``: the field is not there."""


@dataclass(frozen=True, slots=True)
class Exists:
    """``exists``: the field is, or is not, there."""

    present: bool


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression of RE2, found anywhere in the text."""

    text: str
    flags: str = ""  # of i, m, s; sorted


@dataclass(frozen=True, slots=True)
class Network:
    """``cidr``: the text is an address within the network."""

    cidr: str  # canonical


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison with a number: of the field itself, or of a part of its time."""

    op: Op
    number: int | float
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class FieldRef:
    """Another field of the same record."""

    field: str
    op: Op = "same"
    cased: bool = False


@dataclass(frozen=True, slots=True)
class Encoded:
    """UTF-16 on its way into Base64: bytes, which no field of text can hold as they are."""

    data: bytes
    cased: bool = False


@dataclass(frozen=True, slots=True)
class AnyOf:
    """What one written value expands to: joined by or, even where ``all`` joins the written values by and."""

    values: tuple[Value, ...]


Value = Text | Number | Truth | Null | Exists | Regex | Network | Compare | FieldRef | Encoded | AnyOf


def parse_text(written: str, *, expand: bool = False, cased: bool = False) -> Text:
    r"""Read wildcards and escapes: ``\*``, ``\?`` and ``\\`` are the plain characters, any other ``\`` is itself.

    With ``expand``, ``%name%`` becomes a placeholder and ``\%`` a plain percent sign.
    """
    return Text(_joined(_pieces(written, expand)), cased)


def _pieces(written: str, expand: bool) -> Iterator[Piece]:
    escaped = _ESCAPED | {"%"} if expand else _ESCAPED
    at = 0
    while at < len(written):
        char = written[at]
        if char == "\\" and written[at + 1 : at + 2] in escaped and at + 1 < len(written):
            yield written[at + 1]
            at += 2
        elif char in _WILD:
            yield _WILD[char]
            at += 1
        elif expand and (match := _PLACEHOLDER.match(written, at)):
            yield Placeholder(match[1])
            at = match.end()
        else:
            yield char
            at += 1


def _joined(pieces: Iterator[Piece]) -> tuple[Piece, ...]:
    result: list[Piece] = []
    text: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            text.append(piece)
            continue
        if text:
            result.append("".join(text))
            text.clear()
        result.append(piece)
    if text:
        result.append("".join(text))
    return tuple(result)


def text_of(pieces: Iterator[Piece], cased: bool) -> Text:
    """A Text of these pieces, with neighbouring texts made one."""
    return Text(_joined(piece for piece in pieces if piece != ""), cased)


def shaped(text: Text, shape: Shape | None) -> Text:
    """The text between the wildcards that ``contains``, ``startswith`` or ``endswith`` stands for."""
    if shape is None:
        return text
    before: tuple[Piece, ...] = (Wild.ANY,) if shape != "startswith" else ()
    after: tuple[Piece, ...] = (Wild.ANY,) if shape != "endswith" else ()
    return Text((*before, *text.pieces, *after), text.cased)
