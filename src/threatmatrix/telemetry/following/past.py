"""The generations of a log that are finished, and what lies beside the log: which of it is new."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from threatmatrix.model.errors import FormatError, InputError
from threatmatrix.telemetry.following.content import Content
from threatmatrix.telemetry.following.generation import Generation, Mark, reopen
from threatmatrix.telemetry.following.siblings import siblings

__all__ = ["Past"]

_KEPT = 16  # finished generations that are told by content; older ones are older than what is looked at
_TRIES, _PAUSE = 20, 0.01  # seconds: how long a chain of renames may take
_TICK = 50_000_000  # ns
_IN_THE_MAKING = 60_000_000_000  # ns since it was written to, within which half a packed file may become whole
_PACKED = frozenset({".gz", ".zst", ".zstd"})
_Key = tuple[int, int]  # device, inode
_Found = tuple[Path, Content]
_News = tuple[Mark | None, Path, Content]


class Past:
    """``history``: what lay there before the first look is new as well."""

    def __init__(self, path: Path, *, history: bool) -> None:
        self._path = path
        self._done: list[Mark] = []
        self._began = 0 if history else time.time_ns()
        self._changed = -1
        self._since: int | None = None  # ns: since when generations may have come that were not looked at yet

    def as_json(self) -> dict[str, Any]:
        return {"began": self._began, "since": self._since, "marks": [mark.as_json() for mark in self._done]}

    def restore(self, data: Any, where: str) -> None:
        """Raises FormatError."""
        if not isinstance(data, dict) or type(data.get("began")) is not int or not isinstance(data.get("marks"), list):
            raise FormatError(where, "says nothing of finished files", key="position.done")
        self._began, self._since = data["began"], data.get("since")
        self._done = [Mark.of_json(item, where) for item in data["marks"]]

    @property
    def reader(self) -> str:
        """Of the latest generation; "" where none was told."""
        return next((mark.reader for mark in reversed(self._done) if mark.reader != "auto"), "")

    def add(self, mark: Mark) -> None:
        self._done = [*(one for one in self._done if _key(one) != _key(mark) or one.head != mark.head), mark][-_KEPT:]

    def owns(self, device: int, inode: int) -> bool:
        return any(_key(mark) == (device, inode) for mark in self._done)

    def find(self, mark: Mark, without: set[tuple[int, int]]) -> _Found | None:
        """Where a generation lies now: under its old name, renamed, copied or packed. The caller closes it."""
        for _ in range(_TRIES):
            best = self._find(mark, without)
            if best is not None:
                return best
            time.sleep(_PAUSE)  # somebody may be renaming them one after the other just now
        return None

    def _find(self, mark: Mark, without: set[tuple[int, int]]) -> _Found | None:
        real = Path(mark.path)
        places = [real, *_beside(self._path)]
        if (real.parent, real.name) != (self._path.parent, self._path.name):
            places += [path for path in _beside(real) if path not in places]
        # an unpacked file before a packed one, which may just be in the making
        packed: _Found | None = None
        for path in places:
            content = _open(path)
            if content is None:
                continue
            status = content.status()
            if (status.st_dev, status.st_ino) in without or not _is_of(mark, content):
                content.close()
            elif not content.packed:
                if packed:
                    packed[1].close()
                return path, content
            elif packed:
                content.close()
            else:
                packed = path, content
        return packed

    def expect(self, logs: Sequence[Generation]) -> None:
        """From now on, until all is settled, generations younger than all of these are new."""
        seen = [mark.written for mark in self._done] + [log.mark.written for log in logs]
        since = max(seen, default=self._began)
        self._since = since if self._since is None else min(since, self._since)

    def news(self, logs: Sequence[Generation]) -> list[_News] | None:
        """Finished generations that grew (with their mark) and, while some are expected, generations never seen
        (without), oldest first. The caller closes what it gets. None where it cannot be told just now.

        Names are looked at until nobody renames them meanwhile: what is said of half a chain of renames is wrong. As
        long as nothing was read of a log, nobody can tell it from one that was copied and emptied since it was opened:
        so others are expected until something was read.
        """
        begun = all(log.offset for log in logs)
        since = None if self._unchanged(begun) else self._since
        for _ in range(_TRIES):
            before = _listing(self._path)
            found = self._news(logs, before, since)
            if found is not None and _listing(self._path) == before:
                self._since = None if begun else self._since
                for mark, _, _ in found:
                    if mark is not None:
                        self._done.remove(mark)
                return found
            _close(found or ())
            time.sleep(_PAUSE)
        self._changed = -1
        return None

    def _unchanged(self, begun: bool) -> bool:
        """Whether no name in the folder came or went since the last look; of the logs that are not begun only."""
        try:
            changed = self._path.parent.stat().st_mtime_ns
        except OSError:
            return False
        same = not begun and changed == self._changed
        # a change within the same tick of the kernel's clock does not show
        self._changed = changed if time.time_ns() - changed > _TICK else -1
        return same

    def _news(
        self, logs: Sequence[Generation], listing: Iterable[tuple[Path, _Key]], since: int | None
    ) -> list[_News] | None:
        """None where something is not what it was when it was listed, or is just being packed."""
        open_keys = {log.key for log in logs}
        unseen: list[tuple[int, bool, Path]] = []
        found: list[_News] = []
        for path, key in listing:
            try:
                status = os.stat(path)  # noqa: PTH116 - many, and often
            except OSError:
                _close(found)
                return None
            if key in open_keys:
                continue
            grown = self._grown(key, path, status.st_size)
            if grown is not None:
                found.append(grown)
            elif since is not None and status.st_mtime_ns >= since and status.st_size:
                unseen.append((status.st_mtime_ns, path.suffix in _PACKED, path))
        known = [*self._done, *(log.mark for log in logs)]
        return self._unseen([path for _, _, path in sorted(unseen)], known, found)

    def _grown(self, key: tuple[int, int], path: Path, size: int) -> tuple[Mark, Path, Content] | None:
        shorter = [mark for mark in self._done if _key(mark) == key and mark.offset < size]
        content = _open(path) if shorter else None
        if content is None:
            return None
        for mark in shorter:
            if not content.packed and _is_of(mark, content):
                return mark, path, content
        content.close()
        return None

    def _unseen(self, paths: Iterable[Path], known: list[Mark], found: list[_News]) -> list[_News] | None:
        """With those of the files that are no copy and no packed form of one that is known, or of each other."""
        for path in paths:
            content = _open(path)
            if content is None:
                _close(found)
                return None
            mark = Generation(path, content, reader="auto").mark
            if content.broken and time.time_ns() - mark.written < _IN_THE_MAKING:
                content.close()
                _close(found)
                return None
            if any(_is_of(one, content, whole=False) for one in known if one.head_size):
                content.close()
                continue
            known = [*known, mark]
            found.append((None, path, content))
        return found


def _close(found: Iterable[_News]) -> None:
    for _, _, content in found:
        content.close()


def _listing(path: Path) -> list[tuple[Path, _Key]]:
    """Every generation beside the log by name, with what it is."""
    listed = []
    for entry in siblings(path):
        try:
            status = entry.stat()
        except OSError:
            continue  # gone: the second listing will differ from the first, or it never was
        listed.append((Path(entry.path), (status.st_dev, status.st_ino)))
    return listed


def _key(mark: Mark) -> _Key:
    return mark.device, mark.inode


def _beside(path: Path) -> list[Path]:
    return [Path(entry.path) for entry in siblings(path)]


def _open(path: Path) -> Content | None:
    try:
        return reopen(path)
    except InputError:
        return None


def _is_of(mark: Mark, content: Content, *, whole: bool = True) -> bool:
    try:
        return mark.is_of(content, whole=whole)
    except OSError:
        return False
