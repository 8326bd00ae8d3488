"""Which files lie beside a log as its rotated generations, told by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["base_of", "is_sibling", "looks_rotated", "siblings"]

_PACKED = r"(?:\.(?:gz|zst|zstd))?"
# What logrotate (start, dateext, extension), Python's handlers and log4j append: numbers and dates. Bounded, so linear.
_STAMP = r"[.\-_](?:[0-9][0-9T:.\-_]{0,40}|old|bak)"
_SUFFIX = re.compile(rf"(?:{_STAMP}{_PACKED}|\.(?:gz|zst|zstd))\Z")
_ANY = re.compile(rf"{_STAMP}(?:\.[A-Za-z][A-Za-z0-9]{{0,15}})?{_PACKED}\Z|\.(?:gz|zst|zstd)\Z")
_EXTENSION = re.compile(r"(\.[A-Za-z][A-Za-z0-9]{0,15})\Z")


def siblings(path: Path) -> Iterator[os.DirEntry[str]]:
    """Regular files beside ``path`` that are named like its generations: ``log.1``, ``log.2.gz``, ``log-20260101``,
    ``log-2026-01-01.jsonl.zst`` of ``log.jsonl``. A directory that cannot be listed has none.
    """
    try:
        with os.scandir(path.parent) as entries:
            found = [entry for entry in entries if is_sibling(path.name, entry.name)]
    except OSError:
        return
    for entry in sorted(found, key=lambda one: one.name):
        try:
            if entry.is_file():
                yield entry
        except OSError:  # a link into nowhere, or gone meanwhile
            continue


def is_sibling(base: str, name: str) -> bool:
    """Whether ``name`` is how a generation of ``base`` is called."""
    if name.startswith(base):
        return name != base and _SUFFIX.match(name, len(base)) is not None
    extension = _EXTENSION.search(base)
    if extension is None or not name.startswith(base[: extension.start()]):
        return False
    middle = name[extension.start() :]
    return re.match(rf"{_STAMP}{re.escape(extension[1])}{_PACKED}\Z", middle) is not None


def base_of(name: str, known: set[str]) -> str | None:
    """The one of ``known`` names of which ``name`` is a generation; the longest where several are."""
    bases = [base for base in known if is_sibling(base, name)]
    return max(bases, key=len) if bases else None


def looks_rotated(name: str) -> bool:
    """Whether a name is one that rotation gives, whatever the log is called."""
    return _ANY.search(name) is not None
