"""One generation of a log: an open file, how far it was read, and what tells it from every other file."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from threatmatrix.model.errors import FormatError
from threatmatrix.telemetry.following.base import Piece
from threatmatrix.telemetry.following.content import Content, open_content
from threatmatrix.telemetry.following.formats import reader_of
from threatmatrix.telemetry.logfile import check_head
from threatmatrix.telemetry.readers import AUTO, NOTHING_ASKED, Options
from threatmatrix.telemetry.records import MAX_LINE

__all__ = ["Generation", "Mark", "reopen"]

_HEAD = 1024  # bytes at the start of a file, and before the place where reading stands, that identify it
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Mark:
    """A generation as it is kept between two processes: hashes, never what the log says.

    A file is that generation if its first ``head_size`` bytes and the ``tail_size`` bytes before ``offset`` hash to the
    same; device and inode only say where to look first, since inodes are used again and copies have others.
    """

    path: str
    device: int
    inode: int
    head_size: int
    head: str
    offset: int
    line: int
    tail_size: int
    tail: str
    reader: str
    skipping: bool
    written: int  # mtime, ns

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, data: Any, where: str) -> Mark:
        """Raises FormatError where a key is missing, unknown or of the wrong type."""
        kinds = {"path": str, "head": str, "tail": str, "reader": str, "skipping": bool}
        if not isinstance(data, dict) or set(data) != set(cls.__dataclass_fields__):
            raise FormatError(where, "is no place in a file", key="position")
        for key, value in data.items():
            if type(value) is not kinds.get(key, int):
                raise FormatError(where, "is of the wrong type", key=f"position.{key}")
        return cls(**data)

    def is_of(self, content: Content, *, whole: bool = True) -> bool:
        """Whether this file is the generation; ``whole`` False: or the start of a copy of it. Raises OSError."""
        if self.head_size == 0:
            status = content.status()
            return (status.st_dev, status.st_ino) == (self.device, self.inode)
        if _hash(content.at(0, self.head_size)) != self.head:
            return False
        return not whole or _hash(content.at(self.offset - self.tail_size, self.tail_size)) == self.tail


class Generation:
    """An open generation. ``rotated``: when (monotonic seconds) it was seen to have left its path, None: it has not."""

    def __init__(self, path: Path, content: Content, *, reader: str, options: Options = NOTHING_ASKED) -> None:
        self.path = path
        self._real = os.path.realpath(path)
        self.content = content
        self.reader = reader  # its name, or ``auto`` until the first lines told
        self.rotated: float | None = None
        self.grew = 0.0  # when (monotonic seconds) it last was seen to grow
        self.size = -1  # what it was then
        self.done = False
        self.offset = self.line = 0
        self._options = options
        self._skipping = False
        self._started = False
        self._head = b""
        self._tail = b""

    @classmethod
    def at(cls, mark: Mark, path: Path, content: Content, options: Options) -> Generation:
        """The generation that ``mark`` speaks of, which ``content`` was found to be."""
        found = cls(path, content, reader=mark.reader, options=options)
        found.offset, found.line, found._skipping = mark.offset, mark.line, mark.skipping
        found._started = mark.offset > 0 and mark.reader != AUTO
        found._head = content.at(0, mark.head_size)
        found._tail = content.at(mark.offset - mark.tail_size, mark.tail_size)
        return found

    @property
    def mark(self) -> Mark:
        status = self.content.status()
        head, tail = self._head or self.content.at(0, _HEAD), self._tail
        return Mark(
            *(self._real, status.st_dev, status.st_ino, len(head), _hash(head), self.offset, self.line),
            *(len(tail), _hash(tail), self.reader, self._skipping, status.st_mtime_ns),
        )

    @property
    def key(self) -> tuple[int, int]:
        status = self.content.status()
        return status.st_dev, status.st_ino

    @property
    def intact(self) -> bool:
        """Whether what was read still stands there: a log that was emptied and written again may be as long."""
        if self.content.packed:
            return True
        size = len(self._tail)
        return self.content.at(self.offset - size, size) == self._tail and self._same_head()

    def _same_head(self) -> bool:
        return self.content.at(0, len(self._head)) == self._head

    @property
    def behind(self) -> int:
        """Bytes not yet read; of a packed file none that anybody could tell."""
        return 0 if self.content.packed else max(0, self.content.status().st_size - self.offset)

    def take(self, most: int, *, final: bool = False) -> Piece | None:
        """The next whole lines; with ``final`` also a last one that has no newline.

        Raises OSError, and InputError where the file is binary or no reader recognises it.
        """
        data = self.content.at(self.offset, most)
        if len(data) == most and b"\n" not in data:
            most = max(most, MAX_LINE + 1)
            data = self.content.at(self.offset, most)
        # emptied and written again since somebody looked: what was read may then be of another generation
        if not self.intact or (self.offset == 0 and self.content.at(0, _HEAD)[: len(data)] != data[:_HEAD]):
            return None
        if not self._started:
            data = self._without_hole(data)
        end = data.rfind(b"\n") + 1
        if not end and len(data) > MAX_LINE:
            return self._overlong(data)
        if final and len(data) < most:
            end = len(data)
        if not end:
            return None
        if not self._started:
            self._start(data[:end])
        return self._lines(data[:end])

    def _without_hole(self, data: bytes) -> bytes:
        """A writer that goes on at its old place after the log was emptied leaves a hole: NULs, which are no line."""
        nuls = len(data) - len(data.lstrip(b"\x00"))
        self._move(data[:nuls])
        return data[nuls:]

    def _start(self, data: bytes) -> None:
        """Told by the first lines: whether this is a text at all, and which reader it is for."""
        if not data.strip():
            return
        check_head(self.path, data)
        self.reader = reader_of(self.path, data.removeprefix(_BOM), self.reader, self._options)
        self._started = True

    def _lines(self, data: bytes) -> Piece | None:
        first = self.line + 1
        lines = data.removesuffix(b"\n").split(b"\n")
        if self.offset == 0:
            lines[0] = lines[0].removeprefix(_BOM)
        self._move(data)
        self.line += len(lines)
        if self._skipping:  # the rest of a line whose start is a dead letter already
            self._skipping = False
            first += 1
            lines = lines[1:]
        return Piece(str(self.path), self.reader, first, tuple(lines), len(data))

    def _overlong(self, data: bytes) -> Piece:
        """A line that is longer than any may be: its start is handed out once, the rest passed over."""
        known = self._skipping
        self._skipping = True
        self._move(data)
        return Piece(str(self.path), self.reader, self.line + 1, () if known else (data[: MAX_LINE + 1],), len(data))

    def _move(self, data: bytes) -> None:
        if len(self._head) < _HEAD and len(self._head) == self.offset:
            self._head = (self._head + data)[:_HEAD]
        self.offset += len(data)
        self._tail = (self._tail + data[-_HEAD:])[-_HEAD:]

    def close(self) -> None:
        self.content.close()


def reopen(path: Path) -> Content | None:
    """The file at ``path``, or None where there is none (any more) or it may not be read.

    Raises InputError for what is no file.
    """
    try:
        return open_content(path)
    except OSError:
        return None


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
