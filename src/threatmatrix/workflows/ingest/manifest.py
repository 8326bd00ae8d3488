"""How far the reading of a log has come: what is in the lake is not read again, what is not is not left out.

One file of JSON lines for each log and lake, appended and synced. A log is known by its device, its inode and its first
line; a copy, or what log rotation packs, has the same first line, is read again and cut at the same places, so that
the lake knows its parts. ``plan`` says where a chunk will end before its part is written, ``done`` that the part is
durable: a run that was killed in between writes the same part once more, which the lake knows, even where the log has
grown since.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from threatmatrix.model.errors import InputError

__all__ = ["Manifest"]

_MARKED = 1024  # bytes that tell whether a log still is what it was


class Manifest:
    """``position``: up to where (bytes of the text, or records) it is in the lake; ``line``: the number of the line
    there; ``ends``: where chunks end, or will; ``seen``: the text's end when its last line was left unfinished.

    ``path`` None keeps nothing. Raises InputError where it cannot be read or written.
    """

    def __init__(self, path: Path | None, log: Path | None = None) -> None:
        self.path = path
        self._log = log
        self.position = 0
        self.line = 1
        self.ends: list[int] = []
        self.seen = -1
        self._at = self._mark = 0
        self._fd = -1
        if path is not None:
            self._load(path)

    @classmethod
    def of(cls, folder: Path, log: Path, first_line: bytes, salt: str) -> Manifest:
        """The manifest of a log in a folder; a new one begins with the places where a twin of the log was cut.

        Where other bytes stand before the place up to which the log was read, it has been written anew: it is read
        from its start.
        """
        head = hashlib.blake2b(first_line.strip(), key=salt.encode()[:64], digest_size=16).hexdigest()
        status = log.stat()
        own = cls(folder / f"{head}-{status.st_dev:x}-{status.st_ino:x}.jsonl", log)
        if own._at and own._mark != _mark(log, own._at):
            own._start_over()
        if not own.ends:
            twins = [cls(path) for path in sorted(folder.glob(f"{head}-*.jsonl"))]
            own.ends = max((twin.ends for twin in twins), key=len, default=[])
        return own

    def plan(self, end: int) -> None:
        """A chunk that ends here is about to be written."""
        if end not in self.ends[-64:]:
            self.ends.append(end)
        self._append({"plan": end})

    def done(self, end: int, line: int, at: int = 0) -> None:
        """The chunk that ends here is durable; the next one begins with line number ``line``.

        ``at``: where in the file that is, unless the file is packed.
        """
        self.position, self.line = end, line
        mark = {"at": at, "mark": _mark(self._log, at)} if at and self._log is not None else {}
        self._append({"done": end, "line": line, **mark})

    def unfinished(self, end: int) -> None:
        """What is left up to here is a line that its writer may still finish."""
        self.seen = end
        self._append({"seen": end})

    def close(self) -> None:
        """Free the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _load(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise _failed(path, error, "read") from error
        ends: set[int] = set()
        for raw in data.split(b"\n"):
            record = _record(raw)
            ends.update(record[key] for key in ("plan", "done") if key in record)
            if record.get("done", -1) >= self.position and "line" in record:
                self.position, self.line = record["done"], record["line"]
                self._at, self._mark = record.get("at", 0), record.get("mark", 0)
            if "over" in record:
                self._reset()
                ends = set()
            self.seen = record.get("seen", self.seen)
        self.ends = sorted(ends)

    def _start_over(self) -> None:
        self._reset()
        self._append({"over": 1})

    def _reset(self) -> None:
        self.position, self.line, self.seen, self.ends = 0, 1, -1, []
        self._at = self._mark = 0

    def _append(self, record: Mapping[str, int]) -> None:
        if self.path is None:
            return
        data = json.dumps(record).encode() + b"\n"
        try:
            if self._fd < 0:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._fd = os.open(self.path, flags, 0o600)
                data = b"\n" + data  # else what a full disk cut off would be glued to it
            while data:
                data = data[os.write(self._fd, data) :]
            os.fsync(self._fd)
        except OSError as error:
            raise _failed(self.path, error, "written") from error


def _mark(log: Path, at: int) -> int:
    """A number for the last bytes before a place; 0 where the file is shorter, or cannot be read."""
    try:
        with log.open("rb", buffering=0) as file:
            file.seek(max(0, at - _MARKED))
            data = file.read(at - file.tell())
            whole = file.tell() == at
    except OSError:
        return 0
    return int.from_bytes(hashlib.blake2b(data, digest_size=7).digest(), "big") if whole else 0


def _record(raw: bytes) -> dict[str, int]:
    """One line, or nothing where it was cut off or is not ours."""
    value: Any = None
    with suppress(ValueError, RecursionError):
        value = json.loads(raw)
    if not isinstance(value, dict):
        return {}
    return {key: number for key, number in value.items() if type(number) is int and number >= 0}


def _failed(path: Path, error: OSError, what: str) -> InputError:
    hint = "Free some space or check its permissions, then run the same command again: it goes on where it stopped"
    return InputError(path, f"cannot be {what}: {error.strerror or error}", hint=hint)
