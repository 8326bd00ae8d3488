"""Opening a log file: plain, gzip or zstd, checked at the door, read in chunks, split into lines."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, cast

from threatmatrix.model.errors import InputError
from threatmatrix.telemetry.door import HEAD, PARQUET, check_file, check_head, open_log
from threatmatrix.telemetry.records import MAX_LINE

__all__ = ["GZIP", "ZSTD", "LogFile", "check_file", "check_head"]

CHUNK = 256 * 1024

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
_UTF8_BOM = b"\xef\xbb\xbf"


class _Stream(Protocol):
    def read1(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


def _zstd() -> Any:
    """The standard library's module (Python 3.14), or the same one for older Pythons."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


class LogFile:
    """An open log: ``head`` (the first bytes, at least one whole line), then ``lines()`` or ``chunks()``.

    gzip and zstd are told by their first bytes; several members or frames, as ``cat`` and log rotation leave them,
    are one text. Damage further on does not raise: what came before it is delivered, then ``broken`` holds the
    :class:`InputError` and ``torn`` the bytes of the line that the damage cut. Memory: one chunk of 256 KiB and one
    line of at most ``MAX_LINE`` bytes, and what the decompressor keeps (zstd: up to 128 MiB, by its own limit).
    """

    def __init__(self, file: Path | Literal["-"]) -> None:
        self.name = str(file)
        self.broken: InputError | None = None
        self.torn = b""
        self.size: int | None = None
        self.packing = ""  # "", "gzip" or "zstd"
        self._done = False
        self._raw = self._open(file)
        try:
            self._stream: _Stream = self._unpacked()
            self.head = self._read_head()
            self._check()
        except BaseException:
            self.close()
            raise

    def _open(self, file: Path | Literal["-"]) -> io.BufferedReader[Any]:
        if isinstance(file, str):
            # A second buffer on the same descriptor, so that closing this one leaves stdin open.
            return io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer), CHUNK)
        descriptor, self.size = open_log(file)
        return io.BufferedReader(io.FileIO(descriptor), CHUNK)

    def _unpacked(self) -> _Stream:
        self._stream = self._raw
        start = self._raw.peek(len(ZSTD))
        if start.startswith(GZIP):
            self.packing = "gzip"
            return gzip.GzipFile(fileobj=self._raw)
        if start.startswith(ZSTD):
            self.packing = "zstd"
            return cast(_Stream, _zstd().ZstdFile(self._raw))
        return self._raw

    def __enter__(self) -> LogFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._stream is not self._raw:
            self._stream.close()
        if self.name == "-":
            self._raw.detach()
        else:
            self._raw.close()

    def _check(self) -> None:
        if self.broken is not None and not self.head:
            raise self.broken
        check_head(self.name, self.head, parquet=True)

    @property
    def is_parquet(self) -> bool:
        """Whether it is a Parquet file, which has no lines."""
        return self.head.startswith(PARQUET)

    @property
    def position(self) -> int:
        """Bytes read of the file as it lies on disk (compressed, where it is)."""
        if self._done:
            return self.size or 0
        return self._raw.tell() if self._raw.seekable() else 0

    def finish(self) -> None:
        """Say that all of it has been read, by other means than this object."""
        self._done = True

    def _chunk(self) -> bytes:
        """The next bytes; b"" at the end and at damage, which ``broken`` then tells apart."""
        if self.broken is not None:
            return b""
        try:
            return self._stream.read1(CHUNK)
        except EOFError:
            problem, hint = f"is a truncated {self.packing} file", "Fetch it again; the lines before the cut were read"
        except (zlib.error, gzip.BadGzipFile):
            problem, hint = "is a damaged gzip file", "Fetch it again; the lines before the damage were read"
        except OSError as error:
            problem, hint = f"cannot be read further: {error.strerror or error}", "The lines before that were read"
        except Exception as error:
            if self.packing != "zstd" or not isinstance(error, _zstd().ZstdError):
                raise
            problem = "is a damaged zstd file, or one that needs more than 128 MiB to unpack"
            hint = "Fetch it again, or unpack it first; the lines before that were read"
        self.broken = InputError(self.name, problem, hint=hint)
        return b""

    def _read_head(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while size < HEAD or (size <= MAX_LINE and not any(b"\n" in part for part in parts)):
            chunk = self._chunk()
            if not chunk:
                break
            if not parts:
                chunk = chunk.removeprefix(_UTF8_BOM).lstrip(b"\x00")
                if not chunk:
                    continue
            parts.append(chunk)
            size += len(chunk)
        return b"".join(parts)

    def chunks(self) -> Iterator[bytes]:
        """All bytes from the start, in pieces; once."""
        chunk = self.head
        while chunk:
            yield chunk
            chunk = self._chunk()

    def lines(self) -> Iterator[bytes]:
        """All lines without their newline; of a line over MAX_LINE its start, MAX_LINE + 1 bytes or a chunk more.

        NUL bytes before a line are left out: a log that was truncated under its writer starts with as many of them
        as it had bytes, and they must not make the first record too long.
        """
        tail = b""
        for chunk in self.chunks():
            pieces = chunk.split(b"\n")
            if len(tail) <= MAX_LINE:
                pieces[0] = (tail + pieces[0])[: MAX_LINE + 1] if tail else pieces[0]
            else:
                pieces[0] = tail
            tail = pieces.pop()[: MAX_LINE + 1]
            if tail.startswith(b"\x00"):
                tail = tail.lstrip(b"\x00")
            yield from pieces
        if tail and self.broken is not None:
            self.torn = tail
        elif tail:
            yield tail
