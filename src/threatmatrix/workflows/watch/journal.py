"""The journal: what was read, on disk before anything is done with it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.following.base import Position
from threatmatrix.workflows.watch.durable import write_whole
from threatmatrix.workflows.watch.events import decode_events, encode_events

__all__ = ["Batch", "Journal"]

VERSION = 1
_NAME = re.compile(r"[0-9]{16}\.batch", re.ASCII)
_HINT = "Restore it from a backup; without it, this watch cannot say what it has judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What was read at once, and all that judging it may depend on.

    ``arrived``: the wall clock when it was read (µs); ``elapsed``: µs since the batch before, by a clock that never
    jumps. ``positions``: source → what changed of where it stands. ``letters``: size of the dead-letter file after it.
    ``flush``: the lake is written after it, whatever has gathered. ``release``: records that wait for a partner are let
    go.
    """

    number: int
    arrived: int
    elapsed: int
    events: Sequence[Event] = ()
    positions: Mapping[str, Position] = field(default_factory=dict)
    letters: int = 0
    flush: bool = False
    release: bool = False


class Journal:
    """One file for each batch, ``<number>.batch``: a line of JSON about it, then its events."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, batch: Batch) -> int:
        """Durable when it returns; gives its size in bytes. Raises OSError."""
        body = encode_events(batch.events) if batch.events else b""
        header = {
            "v": VERSION,
            **{name: getattr(batch, name) for name in _KEYS},
            "events": len(batch.events),
            "digest": hashlib.blake2b(body, digest_size=16).hexdigest(),
        }
        line = json.dumps(header, separators=(",", ":")).encode("ascii") + b"\n"
        write_whole(self._path(batch.number), (line, body))
        return len(line) + len(body)

    def numbers(self) -> list[int]:
        """Of the batches that are there, ascending."""
        names = (path.name for path in self.folder.glob("*.batch"))
        return sorted(int(name[:16]) for name in names if _NAME.fullmatch(name))

    def read(self, after: int) -> Iterator[Batch]:
        """The batches after that one, in order. Raises FormatError where one is damaged or missing between others."""
        expected = None
        for number in self.numbers():
            if number <= after:
                continue
            if expected is not None and number != expected:
                raise FormatError(self._path(expected), "is missing", hint=_HINT)
            expected = number + 1
            yield self._read(number)

    def trim(self, through: int) -> None:
        """Remove the batches up to that one. Raises OSError."""
        for number in self.numbers():
            if number <= through:
                self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:016}.batch"

    def _read(self, number: int) -> Batch:
        path = self._path(number)
        line, _, body = path.read_bytes().partition(b"\n")
        try:
            header: dict[str, Any] = json.loads(line)
            known = header["v"] == VERSION
            sound = known and header["digest"] == hashlib.blake2b(body, digest_size=16).hexdigest()
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(path, "is damaged", hint=_HINT) from error
        if not known:
            raise FormatError(path, "was written by another version", hint="Let the version that wrote it finish")
        if not sound or header["number"] != number:
            raise FormatError(path, "is damaged", hint=_HINT)
        events = decode_events(body, path) if header["events"] else []
        return Batch(events=events, **{name: header[name] for name in _KEYS})


_KEYS = ("number", "arrived", "elapsed", "positions", "letters", "flush", "release")
