"""Where lines go that could not become events: counted, with the reason, never lost."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from types import TracebackType

from threatmatrix.model.errors import InputError
from threatmatrix.model.event import DeadLetter

__all__ = ["MAX_TEXT", "DeadLetterFile", "as_text"]

MAX_TEXT = 64 * 1024  # characters of a dead letter's text


def as_text(raw: bytes) -> str:
    r"""The line as read, undecodable bytes as ``\xNN``, cut at 64 Ki characters."""
    return raw[:MAX_TEXT].decode("utf-8", "backslashreplace")[:MAX_TEXT]


class DeadLetterFile:
    """JSON lines ``{"file", "line", "reason", "text"}``, appended; made with the first letter, mode 0600.

    The text is the line as it was, and may hold what its sender typed: keep the file as you keep the
    log itself. ``path`` None counts without keeping. ``count`` is the number of letters of this run,
    ``reasons`` counts them by reason (the first 100 different ones). Raises InputError if the file
    cannot be written.
    """

    MAX_REASONS = 100

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
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
        record = {"file": letter.file, "line": letter.line, "reason": letter.reason, "text": letter.text}
        data = (json.dumps(record, ensure_ascii=True) + "\n").encode("ascii")
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
