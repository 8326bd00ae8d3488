"""Following one log through everything that rotation does to it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from threatmatrix.model.errors import FormatError, InputError
from threatmatrix.telemetry.following.base import Piece, Position
from threatmatrix.telemetry.following.generation import Generation, Mark, reopen
from threatmatrix.telemetry.following.past import Past
from threatmatrix.telemetry.readers import AUTO, NOTHING_ASKED, Options, check_source

__all__ = ["FileFollower"]

GRACE = 5.0  # seconds for which a writer may go on with a log that was rotated away; then its last line counts as whole
_PATIENCE = 20  # looks in a row that could not tell what lies beside the log, before reading goes on without
LOOK_EVERY = 1.0  # seconds between looks at what lies beside the log


class FileFollower:
    """Hands out every line of a log once, whatever becomes of the file.

    * renamed and made anew: the old file is read to its end, and for as long as somebody still writes to it;
    * copied and emptied (copytruncate): the end that was not read yet is taken from the copy;
    * packed after rotation (gzip, zstd): where we were not there to see it, the end is taken from the packed file;
    * rotated more than once while nobody looked: the generations between are read, oldest first;
    * emptied, replaced, a link that points elsewhere, an inode used again, not there yet.

    A generation is told by its content (see ``Mark``). Generations that lay there before the first look are not read,
    except with ``history``; ``still``: this file only, never another one that comes to its path. What stood in a log
    that was emptied without a copy is lost to everybody: a notice says so.
    """

    ended = False

    def __init__(
        self,
        path: Path,
        source: str = AUTO,
        *,
        options: Options = NOTHING_ASKED,
        history: bool = False,
        still: bool = False,
        grace: float = GRACE,
        look_every: float = LOOK_EVERY,
    ) -> None:
        """Raises UnknownNameError where no reader has the name ``source``."""
        check_source(source)
        self.path = path
        self.name = str(path)
        self.refused: Mapping[str, str] = {}
        self._source = source
        self._options = options
        self._grace, self._look_every, self._still = grace, look_every, still
        self._finishing = False
        self._untold = 0
        self._logs: list[Generation] = []  # oldest first; the last one is at the path, unless it has left it
        self._past = Past(path, history=history)
        self._looked = float("-inf")
        self._refused: dict[tuple[int, int], tuple[int, str]] = {}  # file → its size when it was refused, and why
        self._notices: list[str] = []
        self._told: Position = {}

    @property
    def position(self) -> Position:
        return {"logs": [log.mark.as_json() for log in self._logs], "done": self._past.as_json()}

    def moved(self) -> Position:
        position = self.position
        if position == self._told:
            return {}
        self._told = position
        return position

    @property
    def behind(self) -> int:
        return sum(log.behind for log in self._logs)

    @property
    def quiet(self) -> bool:
        """Whether nothing of an older generation is still awaited."""
        return all(log.rotated is None for log in self._logs)

    def finish(self) -> None:
        self._finishing = True

    def notices(self) -> list[str]:
        said, self._notices = self._notices, []
        return said

    def close(self) -> None:
        for log in self._logs:
            log.close()
        self._logs = []

    def owns(self, device: int, inode: int) -> bool:
        """Whether a file is one of this log's generations, read or being read."""
        return any(log.key == (device, inode) for log in self._logs) or self._past.owns(device, inode)

    def resume(self, position: Position) -> None:
        if not isinstance(position, Mapping) or not isinstance(position.get("logs"), list):
            raise FormatError(self.name, "is not where a file stands", key="position", hint="Remove the watch's folder")
        marks = [Mark.of_json(item, self.name) for item in position["logs"]]
        self._past.restore(position.get("done"), self.name)
        self.close()
        for mark in marks:
            self._find(mark)
        self._looked = float("-inf")

    def read(self, most: int) -> list[Piece]:
        """Raises nothing for a file that fails: it is named in ``refused``, and read as soon as it can be."""
        now = time.monotonic()
        try:
            self._look(now)
        except OSError as error:  # a disk that fails, a mount that is gone: what is open may still be read
            self._unreachable(error)
        pieces: list[Piece] = []
        for log in self._logs:
            while most > 0 and (piece := self._take(log, most, now)) is not None:
                pieces.append(piece)
                most -= piece.size
        self._retire(now)
        return pieces

    def _take(self, log: Generation, most: int, now: float) -> Piece | None:
        size = log.content.status().st_size
        if size != log.size:
            log.size, log.grew = size, now
        left = log.rotated is not None and now - max(log.rotated, log.grew) >= self._grace
        final = left or self._finishing
        try:
            if log.key in self._refused and self._refused[log.key][0] == size and not final:
                return None
            piece = log.take(most, final=final)
        except (OSError, InputError) as error:
            self._refuse(log, error)
            log.done = left
            return None
        if self._refused.pop(log.key, None):
            self._show_refused()
        if piece is None and left and log.behind == 0:
            log.done = True
        return piece

    def _refuse(self, log: Generation, error: OSError | InputError) -> None:
        why = error.message if isinstance(error, InputError) else f"{log.path}: cannot be read: {error.strerror}"
        size = log.content.status().st_size
        if self._refused.get(log.key, (0, ""))[1] != why:
            self._notices.append(why)
        self._refused[log.key] = (size, why)
        self._show_refused()

    def _show_refused(self) -> None:
        self.refused = {str(log.path): self._refused[log.key][1] for log in self._logs if log.key in self._refused}

    def _retire(self, now: float) -> None:
        """Let go of the generations that are finished."""
        for log in [log for log in self._logs if log.done]:
            if log.content.broken:
                self._notices.append(f"{log.path}: {log.content.broken}; what stands before the damage was read")
            self._past.add(log.mark)
            self._refused.pop(log.key, None)
            log.close()
            self._logs.remove(log)
            self._looked = min(self._looked, now - self._look_every)
        self._show_refused()

    def _look(self, now: float) -> None:
        """Notice what became of the file at the path, and what lies beside it."""
        current = self._logs[-1] if self._logs and self._logs[-1].rotated is None else None
        try:
            status = os.stat(self.path)  # noqa: PTH116 - 2 µs instead of 6, many times a second
            there = (status.st_dev, status.st_ino)
        except OSError as error:
            there = None
            self._unreachable(error)
        if current is not None:
            intact = current.intact
            if there == current.key and intact:
                self._look_beside(now)
                return
            current.rotated = now
            if not intact:
                self._emptied(current)
        self._past.expect(self._logs)
        if current is None and there is None:
            self._look_beside(now)
            return
        told = self._look_beside(now, at_once=True)
        self._untold = 0 if told else self._untold + 1
        if self._untold % _PATIENCE:
            return  # older generations come first: the order of a log is worth a moment
        if there is not None and not (self._still and self._begun):
            self._open_path()

    @property
    def _begun(self) -> bool:
        return bool(self._logs or self._past.reader)

    def _unreachable(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            why = f"{self.path}: cannot be read: {error.strerror}"
            if self.refused.get(self.name) != why:
                self._notices.append(why)
            self.refused = {**self.refused, self.name: why}

    def _open_path(self) -> None:
        try:
            content = reopen(self.path)
        except InputError as error:
            if self.refused.get(self.name) != error.message:
                self._notices.append(error.message)
            self.refused = {**self.refused, self.name: error.message}
            return
        if content is not None:
            self._past.expect(self._logs)
            self._logs.append(Generation(self.path, content, reader=self._reader, options=self._options))

    @property
    def _reader(self) -> str:
        """A new generation is of the format of the one before."""
        return (
            next((log.reader for log in reversed(self._logs) if log.reader != AUTO), self._past.reader) or self._source
        )

    def _emptied(self, log: Generation) -> None:
        """The file was emptied in place: the rest of what stood there is in a copy, or nowhere."""
        mark = log.mark
        copy = self._past.find(mark, {log.key})
        index = self._logs.index(log)
        if copy is None:
            self._notices.append(f"{self.path}: was emptied; what was not read before is lost, unless copied elsewhere")
            self._past.add(mark)
            log.close()
            del self._logs[index]
            return
        log.close()
        self._logs[index] = Generation.at(mark, *copy, self._options)
        self._logs[index].rotated = log.rotated

    def _find(self, mark: Mark) -> None:
        """After a restart: where the generation is now."""
        at_path = reopen(self.path)
        if at_path is not None:
            if mark.is_of(at_path):
                self._logs.append(Generation.at(mark, self.path, at_path, self._options))
                return
            at_path.close()
        found = self._past.find(mark, set())
        if found is None:
            self._past.add(mark)
            self._notices.append(
                f"{self.path}: the file that was read up to byte {mark.offset:,} is gone; "
                "what was written to it since is lost"
            )
            return
        log = Generation.at(mark, *found, self._options)
        log.rotated = time.monotonic()
        self._logs.append(log)

    def _look_beside(self, now: float, *, at_once: bool = False) -> bool:
        """Generations that came and went between two looks, and finished ones that grew after all; False where that
        cannot be told just now.
        """
        if not at_once and now - self._looked < self._look_every:
            return True
        self._looked = now
        news = self._past.news(self._logs)
        for mark, path, content in news or ():
            if mark is None:
                log = Generation(path, content, reader=self._reader, options=self._options)
            else:
                log = Generation.at(mark, path, content, self._options)
            log.rotated = now
            older = [number for number, one in enumerate(self._logs) if one.rotated is None]
            self._logs.insert(older[0] if older else len(self._logs), log)
        return news is not None
