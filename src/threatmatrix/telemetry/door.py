"""What may come in: files are checked before they are opened, and their first bytes before they are read."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal

from threatmatrix.model.errors import InputError

__all__ = ["HEAD", "PARQUET", "check_file", "check_head", "open_log"]

HEAD = 64 * 1024  # bytes that are looked at before reading starts
PARQUET = b"PAR1"

_NUL_WITHIN = 1024
_ODD_SHARE = 0.1  # of control and undecodable characters: more is no text
_SPOKEN = 16  # bytes of a line that is taken for text without being JSON
_PACKED = {
    b"BZh": ("bzip2", "bzip2 -dc"),
    b"\xfd7zXZ\x00": ("xz", "xz -dc"),
    b"PK\x03\x04": ("zip", "unzip -p"),
}
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_HANDED = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")  # pipes that the shell has opened for us: <(…)
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def check_file(file: Path | Literal["-"]) -> None:
    """Raises :class:`InputError` where a file is missing, unreadable, empty, or no regular file.

    A named pipe could hang for ever and a device never end; a pipe that the shell hands over (``<(…)``) is fine.
    """
    if isinstance(file, str):
        return
    try:
        status = file.stat()
    except FileNotFoundError:
        raise InputError(file, "no such file", hint="Check the path, or give - to read standard input") from None
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "not a path"
        raise InputError(file, f"cannot be read: {problem}", hint="Check the path and its permissions") from None
    _check_kind(file, status)
    if not os.access(file, os.R_OK):
        raise InputError(file, "may not be read", hint="Ask for read permission on the file")
    if stat.S_ISREG(status.st_mode) and status.st_size == 0:
        raise _empty(file)


def _check_kind(file: Path, status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        raise InputError(file, "is a directory", hint=f"Name the files in it, such as {file}/*.jsonl")
    if kind != stat.S_IFREG and not str(file).startswith(_HANDED):
        hint = f"Send it through standard input: threatmatrix … - < {file}"
        raise InputError(file, f"is {_KINDS.get(kind, 'no regular file')}, not a file", hint=hint)


def open_log(file: Path) -> tuple[int, int | None]:
    """A descriptor for reading, and the file's size (None: a pipe). Raises :class:`InputError`."""
    check_file(file)
    try:
        # Without O_NONBLOCK a path that became a pipe since it was checked would hang here.
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InputError(file, f"cannot be read: {error.strerror}", hint="Check its permissions") from error
    try:
        status = os.fstat(descriptor)
        _check_kind(file, status)
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status.st_size if stat.S_ISREG(status.st_mode) else None


def _empty(file: object) -> InputError:
    return InputError(file, "is empty", hint="Check that the log is written there; nothing was examined")


def check_head(file: object, head: bytes, *, parquet: bool = False) -> None:
    """Raises :class:`InputError` where the first bytes are not those of a UTF-8 text (or, if asked, of Parquet)."""
    if parquet and head.startswith(PARQUET):
        return
    if not head.strip(b" \t\r\n\x00"):
        raise _empty(file)
    for magic, (name, tool) in _PACKED.items():
        if head.startswith(magic):
            raise InputError(file, f"is packed with {name}", hint=f"Unpack it first: {tool} {file} | threatmatrix … -")
    if head.startswith(_WIDE_BOMS):
        raise InputError(file, "is UTF-16, not UTF-8", hint=f"Convert it first: iconv -f UTF-16 -t UTF-8 {file}")
    if not _is_text(head):
        raise InputError(
            file, "is a binary file, not a UTF-8 text", hint="Give a log of text or JSON lines, plain, gzip or zstd"
        )


def _is_text(head: bytes) -> bool:
    """Most of it readable, or one line of it beyond doubt: clients write parts of a log and may write rubbish."""
    sample = head[:HEAD]
    if b"\x00" not in sample[:_NUL_WITHIN] and not _is_odd(sample):
        return True
    lines = [line.strip(b" \t\r\x00") for line in sample.split(b"\n")]
    return any(
        _is_object(line) or (len(line) >= _SPOKEN and b"\x00" not in line and not _is_odd(line)) for line in lines
    )


def _is_object(line: bytes) -> bool:
    return line.startswith(b"{") and line.endswith(b"}") and b"\x00" not in line


def _is_odd(sample: bytes) -> bool:
    text = sample.decode("utf-8", "replace")
    odd = sum(1 for letter in text if letter == "\ufffd" or (letter < " " and letter not in "\t\r\n"))
    return odd > _ODD_SHARE * len(text)
