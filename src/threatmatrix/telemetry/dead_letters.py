"""Where lines go that could not become events: counted, with the reason, never lost."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from types import TracebackType

from threatmatrix.model.errors import InputError
from threatmatrix.model.event import DeadLetter

__all__ = ["MAX_MASKED", "MAX_TEXT", "DeadLetterFile", "as_text", "masked"]

MAX_TEXT = 64 * 1024  # characters of a dead letter's text
MAX_MASKED = 512  # of a masked one: the shape of the beginning tells what is wrong


def as_text(raw: bytes) -> str:
    r"""The line as read, undecodable bytes as ``\xNN``, cut at 64 Ki characters."""
    return raw[:MAX_TEXT].decode("utf-8", "backslashreplace")[:MAX_TEXT]


def masked(text: str) -> str:
    """The shape of a text without what it says: letters become x, digits 0, the rest of ASCII stands; cut at 512."""
    return "".join(map(_shape, text[:MAX_MASKED]))


def _shape(character: str) -> str:
    if character.isascii() and not character.isalnum():
        return character
    return "0" if character.isdecimal() else "x"  # other scripts and symbols may say something too


class DeadLetterFile:
    """JSON lines ``{"file", "line", "reason", "size", "text"}``, appended; made with the first letter, mode 0600.

    ``text`` is the shape of the line (:func:`masked`): enough to see that a bracket is missing, too little to tell
    what was in it; the line itself still stands in ``file`` at ``line``. With ``keep_raw`` it is the line as it was,
    with whatever its sender typed: keep such a file as you keep the log itself. ``size`` is of the text as read, in
    characters (at most 64 Ki). ``path`` None counts without keeping. ``count`` is the number of letters of this run,
    ``reasons`` counts them by reason (the first 100 different ones). Raises InputError if the file cannot be written.
    """

    MAX_REASONS = 100

    def __init__(self, path: Path | None = None, *, keep_raw: bool = False) -> None:
        self.path = path
        self.keep_raw = keep_raw
        self.count = 0
        self.reasons: Counter[str] = Counter()
        self._fd = -1

    def add(self, letter: DeadLetter) -> None:
        """Append one letter: a single write to a file opened with O_APPEND."""
        self.count += 1
        if letter.reason in self.reasons or len(self.reasons) < self.MAX_REASONS:
            self.reasons[letter.reason] += 1
        if self.path is None:
            return
        text = letter.text if self.keep_raw else masked(letter.text)
        record = {"file": letter.file, "line": letter.line, "reason": letter.reason, "size": len(letter.text)}
        data = (json.dumps({**record, "text": text}, ensure_ascii=True) + "\n").encode("ascii")
        try:
            if self._fd < 0:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise InputError(
                self.path,
                f"dead letters cannot be written: {error.strerror or error}",
                hint="Choose another place for dead letters, or free some space",
            ) from error

    def close(self) -> None:
        """Close the file; adding again opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> DeadLetterFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
