"""How much of a text or a file was changed: the norms of inputs that are no vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from types import MappingProxyType

__all__ = ["EDITS"]


def _changed(a: Sequence[object], b: Sequence[object]) -> int:
    """Items that were put in, taken out or replaced (a replacement of m by n counts the larger)."""
    blocks = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    return sum(max(i2 - i1, j2 - j1) for tag, i1, i2, j1, j2 in blocks if tag != "equal")


def _words(a: str, b: str) -> int:
    return _changed(a.split(), b.split())


def _characters(a: str, b: str) -> int:
    return _changed(a, b)


def _bytes(a: bytes, b: bytes) -> int:
    """A file that begins with the other one counts what was appended; else what was changed between the common ends."""
    if b.startswith(a) or a.startswith(b):
        return abs(len(b) - len(a))
    start = next(i for i, (p, q) in enumerate(zip(a, b, strict=False)) if p != q)
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
        end += 1
    return max(len(a), len(b)) - start - end


EDITS: MappingProxyType[str, Callable[..., int]] = MappingProxyType(
    {"words": _words, "characters": _characters, "bytes": _bytes}
)
"""Norm → the number of changes from one input to another."""
