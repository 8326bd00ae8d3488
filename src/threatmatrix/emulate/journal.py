"""The journal of an emulation: what it is about to change, written down before it changes it.

One JSON object a line, appended and fsynced: first the intent with all that undoing needs, then the act, then a line
that says so. Whatever moment a SIGKILL comes at, each change that may have happened stands in the journal::

    {"change": 3, "kind": "put", "phase": "detonate", "where": {"bucket": "datasets", "key": "train.csv", …}}
    {"change": 3, "now": "acted"}
    {"change": 3, "now": "undone"}

What lay at a place before is kept beside the journal, by its SHA-256 (:meth:`Journal.keep`). Both are for the owner's
eyes only (mode 0600): they hold what it takes to act as the emulation did, and other people's files.

A last line without its end is a kill between two changes: the act that it announces never began, and it is cut off
before the next line is written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from threatmatrix.emulate.durable import replace_file, sync_folder
from threatmatrix.model.errors import FormatError, InputError

__all__ = ["Change", "Journal"]

_NAME, _KEPT = "journal.jsonl", "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a target or of this machine.

    ``kind``: teach | put | account | key | file. ``where``: plain JSON, what undoing needs. ``acted``: it is known to
    have happened; without that it may have.
    """

    number: int
    kind: str
    phase: str
    where: Mapping[str, Any] = field(default_factory=dict)
    acted: bool = False
    undone: bool = False


class Journal:
    """The journal in a folder, which it makes. A context manager; not for two processes at once."""

    def __init__(self, folder: Path, *, phase: str = "detonate") -> None:
        self.folder = folder
        self.phase = phase
        self._path = folder / _NAME
        self._file: int | None = None
        self._changes: dict[int, Change] = {}
        self._whole = 0  # bytes up to the end of the last whole line
        self._load()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes, in their order."""
        return tuple(self._changes.values())

    def pending(self, phase: str | None = None, *, since: int = 0) -> tuple[Change, ...]:
        """What is not undone yet, of one phase or of all, the newest first: the order in which to undo.

        ``since``: only what came after that many changes.
        """
        return tuple(
            c for c in reversed(self.changes) if not c.undone and phase in (None, c.phase) and c.number > since
        )

    def intend(self, kind: str, **where: Any) -> int:
        """Write down a change that is about to be made, and return its number. Returns when it is on the disk."""
        number = len(self._changes) + 1
        change = Change(number=number, kind=kind, phase=self.phase, where=where)
        self._append({"change": number, "kind": kind, "phase": self.phase, "where": where})
        self._changes[number] = change
        return number

    def acted(self, number: int) -> None:
        """The change was made."""
        self._append({"change": number, "now": "acted"})
        self._changes[number] = replace(self._changes[number], acted=True)

    def undone(self, number: int) -> None:
        """The change is undone, or there was nothing to undo."""
        self._append({"change": number, "now": "undone"})
        self._changes[number] = replace(self._changes[number], undone=True)

    def keep(self, content: bytes) -> str:
        """Keep a copy of what is about to be replaced; its SHA-256 in hex. Returns when it is on the disk."""
        digest = hashlib.sha256(content).hexdigest()
        path = self.folder / _KEPT / digest
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, content)
            sync_folder(self.folder)
        return digest

    def kept(self, digest: str) -> bytes:
        """What :meth:`keep` kept. Raises InputError where the copy is gone or is not what it was."""
        path = self.folder / _KEPT / digest
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(path, f"the copy cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise InputError(path, "the copy is not what was kept: its digest differs")
        return content

    def clear(self) -> None:
        """Forget everything: for when nothing is left to undo."""
        self.close()
        self._path.unlink(missing_ok=True)
        kept = self.folder / _KEPT
        if kept.is_dir():
            for path in kept.iterdir():
                path.unlink()
            kept.rmdir()
        self._changes, self._whole = {}, 0

    def _append(self, line: Mapping[str, Any]) -> None:
        if self._file is None:
            new = not self._path.exists()
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            os.ftruncate(self._file, self._whole)
            if new:
                sync_folder(self.folder)
        content = json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        at = self._whole
        while at < self._whole + len(content):  # at its place: what a failed write left there is written over
            at += os.pwrite(self._file, content[at - self._whole :], at)
        os.fsync(self._file)
        self._whole = at

    def _load(self) -> None:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(self._path, f"cannot be read: {error.strerror}") from error
        self._whole = content.rfind(b"\n") + 1
        for number, line in enumerate(content[: self._whole].splitlines(), start=1):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                hint = "It was changed by somebody else: undo by hand what it names, then remove the folder"
                raise FormatError(self._path, "is no line of a journal", line=number, hint=hint) from error

    def _take(self, line: Mapping[str, Any]) -> None:
        number = line["change"]
        now = line.get("now")
        if now is None:
            if number != len(self._changes) + 1:
                raise ValueError("a change is missing")
            phase, kind, where = line["phase"], line["kind"], line["where"]
            self._changes[number] = Change(number=number, kind=kind, phase=phase, where=dict(where))
        elif now == "acted":
            self._changes[number] = replace(self._changes[number], acted=True)
        elif now == "undone":
            self._changes[number] = replace(self._changes[number], undone=True)
        else:
            raise ValueError("unknown")
