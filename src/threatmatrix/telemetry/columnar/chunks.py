"""A log in chunks of whole lines, cut at the same places whenever the same bytes are read again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from threatmatrix.telemetry.records import MAX_LINE

__all__ = ["CHUNK", "Chunk", "cut", "for_reading"]

CHUNK = 8 * 1024 * 1024  # bytes: small enough for several at once, large enough for a part of the lake each
_BLOCK = 256 * 1024
_PADDING = re.compile(rb"(?m)^\x00+")
_CONTROL = bytes(1 if byte in b"\x00\x02\r" else byte for byte in range(256))
_SLICE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines of a log, without the NUL bytes that a line may begin with.

    ``start`` and ``end`` are bytes of the log's text (unpacked), ``first`` is the number of the first line, ``lines``
    how many there are. Of a line over MAX_LINE only the start is here. The last line of a log may have no newline.
    """

    data: bytes
    start: int
    end: int
    first: int
    lines: int


class _Cutter:
    """Gathers pieces and cuts them."""

    def __init__(self, start: int, line: int, cuts: Sequence[int], size: int) -> None:
        self._start = start
        self._line = line
        self._read = start
        self._cuts = sorted((cut for cut in cuts if cut > start), reverse=True)
        self._size = size
        self._kept = bytearray()
        self._skipping = False

    def add(self, piece: bytes) -> Iterator[Chunk]:
        while piece:
            room = self._size - len(self._kept)
            room = room if room > 0 else _BLOCK  # one line that is longer than a chunk
            if self._cuts:
                room = min(room, self._cuts[-1] - self._read)
            taken, piece = (piece[:room], piece[room:]) if room < len(piece) else (piece, b"")
            self._read += len(taken)
            self._keep(taken)
            if self._cuts and self._read == self._cuts[-1]:
                self._cuts.pop()
                yield from self.rest()
            elif len(self._kept) >= self._size:
                yield from self._whole_lines()

    def rest(self) -> Iterator[Chunk]:
        """All that is left, a line without its newline included."""
        if self._read > self._start:
            yield self._chunk(bytes(self._kept), self._read)
            self._kept.clear()
            self._skipping = False

    def _keep(self, piece: bytes) -> None:
        if self._skipping:
            end = piece.find(b"\n")
            if end < 0:
                return
            self._skipping, piece = False, piece[end:]
        self._kept += piece
        if self._kept.endswith(b"\x00"):  # padding, perhaps far more of it than a line may have bytes
            end = self._kept.rfind(b"\n") + 1
            if not self._kept[end:].strip(b"\x00"):
                del self._kept[end:]

    def _whole_lines(self) -> Iterator[Chunk]:
        end = self._kept.rfind(b"\n") + 1
        if len(self._kept) - end > MAX_LINE:  # too long anyway: its start is enough to say so
            del self._kept[end + MAX_LINE + 1 :]
            self._skipping = True
        elif end:
            data = bytes(memoryview(self._kept)[:end])
            del self._kept[:end]
            yield self._chunk(data, self._read - len(self._kept))

    def _chunk(self, data: bytes, end: int) -> Chunk:
        if b"\x00" in data:
            data = _PADDING.sub(b"", data)
        lines = data.count(b"\n") + (data != b"" and not data.endswith(b"\n"))
        chunk = Chunk(data, self._start, end, self._line, lines)
        self._start, self._line = end, self._line + lines
        return chunk


def cut(
    pieces: Iterable[bytes], *, start: int = 0, line: int = 1, cuts: Sequence[int] = (), size: int = CHUNK
) -> Iterator[Chunk]:
    """Chunks of about ``size`` bytes from the text that goes on at ``start`` with line number ``line``.

    ``cuts`` are places where a chunk must end, because an earlier reading ended one there. However the pieces come,
    the same bytes give the same chunks. Memory: twice ``size``, or MAX_LINE where that is more.
    """
    cutter = _Cutter(start, line, cuts, size)
    for block in _blocks(pieces):
        yield from cutter.add(block)
    yield from cutter.rest()


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of one size: a pipe gives what it has."""
    waiting = b""
    for piece in pieces:
        waiting = waiting + piece if waiting else piece
        if len(waiting) == _BLOCK:
            yield waiting
            waiting = b""
        full = len(waiting) - len(waiting) % _BLOCK
        if full:
            for at in range(0, full, _BLOCK):
                yield waiting[at : at + _BLOCK]
            waiting = waiting[full:]
    if waiting:
        yield waiting


def for_reading(data: bytes) -> bytes:
    """The chunk as DuckDB's line reader may see it: UTF-8, a line for each of ours, no byte that means something to it.

    A line that is changed here is no JSON any more, but for bytes that are not UTF-8, which become U+FFFD as they do
    in ``LineParser``, and the carriage return of a line's end.
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if b"\r" in data or b"\x00" in data or b"\x02" in data:
        data = data.translate(_CONTROL)
    if not data.isascii():
        data = b"".join(_as_utf8(piece) for piece in _slices(data))
    return data if not data.startswith(b"\xef\xbb\xbf") else b"\x01" + data


def _as_utf8(data: bytes) -> bytes:
    return data if data.isascii() else data.decode("utf-8", "replace").encode("utf-8")


def _slices(data: bytes) -> Iterator[bytes]:
    """Whole lines, 64 KiB at a time: few hold more than ASCII, and as text they take up to four times as much."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at + _SLICE) + 1 or len(data)
        yield data[at:end]
        at = end
