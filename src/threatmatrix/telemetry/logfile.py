"""Opening a log file: plain or gzip, checked at the door, read in chunks, split into lines."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast

from threatmatrix.model.errors import InputError
from threatmatrix.telemetry.records import MAX_LINE

__all__ = ["LogFile", "check_file", "check_head"]

CHUNK = 256 * 1024
HEAD = 64 * 1024  # what is looked at before reading starts
_NUL_WITHIN = 1024
_ODD_SHARE = 0.1  # of control and undecodable characters in the head: more is no text

_GZIP = b"\x1f\x8b"
_UTF8_BOM = b"\xef\xbb\xbf"
_PACKED = {
    b"\x28\xb5\x2f\xfd": ("zstd", "zstd -dc"),
    b"BZh": ("bzip2", "bzip2 -dc"),
    b"\xfd7zXZ\x00": ("xz", "xz -dc"),
    b"PK\x03\x04": ("zip", "unzip -p"),
}
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")


def check_file(file: Path | Literal["-"]) -> None:
    """Raises :class:`InputError` where a file is missing, a directory, unreadable or empty."""
    if isinstance(file, str):
        return
    try:
        status = file.stat()
    except FileNotFoundError:
        raise InputError(file, "no such file", hint="Check the path, or give - to read standard input") from None
    except (OSError, ValueError) as error:
        raise InputError(file, f"cannot be read: {error}", hint="Check the path and its permissions") from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(file, "is a directory", hint=f"Name the files in it, such as {file}/*.jsonl")
    if not os.access(file, os.R_OK):
        raise InputError(file, "may not be read", hint="Ask for read permission on the file")
    if stat.S_ISREG(status.st_mode) and status.st_size == 0:
        raise _empty(file)


def _empty(file: object) -> InputError:
    return InputError(file, "is empty", hint="Check that the log is written there; nothing was examined")


def check_head(file: object, head: bytes) -> None:
    """Raises :class:`InputError` where the first bytes are not those of a UTF-8 text."""
    if not head.strip():
        raise _empty(file)
    for magic, (name, tool) in _PACKED.items():
        if head.startswith(magic):
            raise InputError(
                file, f"is packed with {name}", hint=f"Unpack it first: {tool} {file} | threatmatrix detect -"
            )
    if head.startswith(_WIDE_BOMS):
        raise InputError(file, "is UTF-16, not UTF-8", hint=f"Convert it first: iconv -f UTF-16 -t UTF-8 {file}")
    sample = head[:HEAD].decode("utf-8", "replace")
    odd = sum(1 for letter in sample if letter == "\ufffd" or (letter < " " and letter not in "\t\r\n"))
    if b"\x00" in head[:_NUL_WITHIN] or odd > _ODD_SHARE * len(sample):
        raise InputError(
            file, "is a binary file, not a UTF-8 text", hint="Give a log of JSON lines, plain or gzip-compressed"
        )


class LogFile:
    """An open log: ``head`` (the first bytes, at least one whole line), then ``lines()`` or ``rest()``.

    A gzip file is told by its first bytes. Damage further on does not raise: what came before it is
    delivered, then ``broken`` holds the :class:`InputError` and ``torn`` the bytes of the line that
    the damage cut.
    """

    def __init__(self, file: Path | Literal["-"]) -> None:
        self.name = str(file)
        self.broken: InputError | None = None
        self.torn = b""
        self.size: int | None = None
        self._raw = self._open(file)
        self._stream: io.BufferedReader[Any] | gzip.GzipFile = self._raw
        if self._raw.peek(2)[:2] == _GZIP:
            self._stream = gzip.GzipFile(fileobj=self._raw)
        try:
            self.head = self._read_head()
            self._check()
        except BaseException:
            self.close()
            raise

    def _open(self, file: Path | Literal["-"]) -> io.BufferedReader[Any]:
        if isinstance(file, str):
            # A second buffer on the same descriptor, so that closing this one leaves stdin open.
            return io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer), CHUNK)
        check_file(file)
        try:
            raw: io.BufferedReader[Any] = io.BufferedReader(io.FileIO(file), CHUNK)
        except OSError as error:
            raise InputError(file, f"cannot be read: {error.strerror}", hint="Check its permissions") from error
        self.size = file.stat().st_size
        return raw

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
        check_head(self.name, self.head)

    @property
    def position(self) -> int:
        """Bytes read of the file as it lies on disk (compressed, where it is)."""
        return self._raw.tell() if self._raw.seekable() else 0

    def _chunk(self) -> bytes:
        """The next bytes; b"" at the end and at damage, which ``broken`` then tells apart."""
        if self.broken is not None:
            return b""
        try:
            return self._stream.read1(CHUNK)
        except EOFError:
            problem, hint = "is a truncated gzip file", "Fetch it again; the lines before the cut were read"
        except (zlib.error, gzip.BadGzipFile):
            problem, hint = "is a damaged gzip file", "Fetch it again; the lines before the damage were read"
        except OSError as error:
            problem, hint = f"cannot be read further: {error.strerror or error}", "The lines before that were read"
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
                chunk = chunk.removeprefix(_UTF8_BOM)
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
        """All lines without their newline; of a line over MAX_LINE its start, MAX_LINE + 1 bytes or a chunk more."""
        tail = b""
        for chunk in self.chunks():
            pieces = chunk.split(b"\n")
            if len(tail) <= MAX_LINE:
                pieces[0] = (tail + pieces[0])[: MAX_LINE + 1] if tail else pieces[0]
            else:
                pieces[0] = tail
            tail = pieces.pop()[: MAX_LINE + 1]
            yield from pieces
        if tail and self.broken is not None:
            self.torn = tail
        elif tail:
            yield tail
