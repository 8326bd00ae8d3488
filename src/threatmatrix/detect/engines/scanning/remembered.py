"""What was answered before, in bounded memory: the answers that were asked for last are kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["LONGEST", "Remembered", "Room"]

LONGEST = 1_000  # characters of a text that is remembered; a longer one hardly comes twice
_ENTRY = 200  # bytes of an entry besides its text, about


class Room:
    """Bytes that several memories share. When half of them are used, each lets go what it was not asked for since."""

    def __init__(self, size: int) -> None:
        self._half = self._left = size // 2
        self._memories: list[Remembered] = []

    def memory(self) -> Remembered:
        """A memory in this room."""
        memory = Remembered(self)
        self._memories.append(memory)
        return memory

    def use(self, size: int) -> None:
        """Take that many bytes."""
        self._left -= size
        if self._left < 0:
            self._left = self._half
            for memory in self._memories:
                memory.age()


class Remembered:
    """Key → answer (a number, never None)."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._recent: dict[Any, int] = {}
        self._older: dict[Any, int] = {}

    def __len__(self) -> int:
        return len(self._recent) + len(self._older)

    def look(self, keys: Iterable[Any]) -> list[int | None]:
        """The answers; None where there is none."""
        found: list[int | None] = list(map(self._recent.get, keys))
        return found

    def again(self, key: Any) -> int | None:
        """The answer that was not asked for lately, if it is still there."""
        if key in self._recent:
            return self._recent[key]
        answer = self._older.get(key)
        if answer is not None:
            self.keep(key, answer)
        return answer

    def keep(self, key: Any, answer: int) -> None:
        length = _length(key)
        if length <= LONGEST:
            self._recent[key] = answer
            self._room.use(_ENTRY + 4 * length)

    def age(self) -> None:
        """Let go what was not asked for since this was last called."""
        self._older, self._recent = self._recent, {}


def _length(key: Any) -> int:
    if isinstance(key, str):
        return len(key)
    return sum(map(_length, key)) if isinstance(key, tuple) else 0
