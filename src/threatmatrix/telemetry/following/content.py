"""The bytes of one file by offset, plain or packed: of a packed one the offsets are those of what was packed."""

from __future__ import annotations

import gzip
import os
import stat
import sys
import zlib
from pathlib import Path
from typing import IO, Protocol

from threatmatrix.model.errors import InputError

if sys.version_info >= (3, 14):  # pragma: no cover - the standard library's own
    from compression import zstd
else:
    from backports import zstd

__all__ = ["Content", "open_content", "zstd"]

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_CHUNK = 256 * 1024


class Content(Protocol):
    """An open file. Reading never moves anything that another reader would notice."""

    @property
    def packed(self) -> bool: ...

    @property
    def broken(self) -> str:
        """Why a packed file ended before its time, or empty."""

    def status(self) -> os.stat_result:
        """Of the open file, wherever it lies by now."""

    def at(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``offset``; fewer only at the end. Raises OSError."""

    def close(self) -> None: ...


def open_content(path: Path) -> Content:
    """Open a regular file, plain or packed as its first bytes say. Raises OSError, InputError for what is no file."""
    # a named pipe at this path must not make us wait for somebody who writes to it
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise InputError(path, "is no regular file", hint="Name a log file, a directory of them, or - ")
        head = os.pread(fd, 4, 0)
        if head.startswith(_GZIP) or head == _ZSTD:
            return _Packed(fd, "gzip" if head.startswith(_GZIP) else "zstd")
        return _Plain(fd)
    except BaseException:
        os.close(fd)
        raise


class _Plain:
    packed = False
    broken = ""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def status(self) -> os.stat_result:
        return os.fstat(self._fd)

    def at(self, offset: int, size: int) -> bytes:
        data = os.pread(self._fd, size, offset)
        while data and len(data) < size:  # a short read is no end of file
            more = os.pread(self._fd, size - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def close(self) -> None:
        os.close(self._fd)


class _Packed:
    """Reads forwards; what was handed out from an offset may be asked for again, anything older starts anew."""

    packed = True

    def __init__(self, fd: int, kind: str) -> None:
        self._fd = fd
        self._kind = kind
        self.broken = ""
        self._raw: IO[bytes] | None = None
        self._stream: gzip.GzipFile | zstd.ZstdFile | None = None
        self._buffer = bytearray()
        self._start = 0  # offset of the buffer's first byte
        self._size = 0  # of the file when reading began

    def status(self) -> os.stat_result:
        return os.fstat(self._fd)

    def at(self, offset: int, size: int) -> bytes:
        grown = self.broken and os.fstat(self._fd).st_size != self._size  # it was still being packed
        if self._stream is None or offset < self._start or grown:
            self._open()
        while self._start + len(self._buffer) < offset + size:
            skipped = min(len(self._buffer), offset - self._start)
            del self._buffer[:skipped]
            self._start += skipped
            chunk = self._chunk()
            if not chunk:
                break
            self._buffer += chunk
        first = offset - self._start
        return bytes(self._buffer[first : first + size]) if first <= len(self._buffer) else b""

    def _open(self) -> None:
        self._shut()
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._size = os.fstat(self._fd).st_size
        raw = os.fdopen(os.dup(self._fd), "rb")
        self._raw = raw
        self._stream = gzip.GzipFile(fileobj=raw) if self._kind == "gzip" else zstd.ZstdFile(raw)
        self._buffer.clear()
        self._start, self.broken = 0, ""

    def _chunk(self) -> bytes:
        if self.broken or self._stream is None:
            return b""
        try:
            return self._stream.read(_CHUNK)
        except EOFError:
            self.broken = f"is a truncated {self._kind} file"
        except (zlib.error, gzip.BadGzipFile, zstd.ZstdError):
            self.broken = f"is a damaged {self._kind} file"
        return b""

    def _shut(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def close(self) -> None:
        self._shut()
        os.close(self._fd)
