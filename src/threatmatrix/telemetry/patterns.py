"""Patterns with ``*`` for paths and hosts, matched in one pass over hostile text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

__all__ = ["Pattern", "best_first"]

_Entry = TypeVar("_Entry", bound=tuple["Pattern", str, str | None])


class Pattern:
    """``*`` stands for any characters, ``/`` and ``.`` too; several in a row are one. ``literal`` counts the others."""

    __slots__ = ("_literals", "literal")

    def __init__(self, text: str) -> None:
        self._literals = re.split(r"\*+", text)
        self.literal = sum(map(len, self._literals))

    def fits(self, text: str) -> bool:
        """Whether a text fits, in one pass: a regular expression takes polynomial time over hostile text."""
        first, *middle = self._literals
        if not middle:
            return text == first
        last = middle.pop()
        if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
            return False
        position, end = len(first), len(text) - len(last)
        for literal in middle:
            position = text.find(literal, position, end)
            if position < 0:
                return False
            position += len(literal)
        return True


def best_first(entries: Iterable[_Entry]) -> list[_Entry]:
    """By the number of literal characters, the most first; between equals the first written."""
    return sorted(entries, key=lambda entry: -entry[0].literal)
