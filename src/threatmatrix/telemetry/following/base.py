"""What every follower shares: what it hands out, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Follower", "Piece", "Position"]

Position = Mapping[str, Any]
"""Where a follower stands, as JSON: everything that it handed out lies before it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole lines of one file, as they were read.

    ``first`` is the number of the first line (1-based; of Kafka: its offset); of a line over MAX_LINE only its start is
    here. ``size`` is what was read for them, in bytes.
    """

    file: str
    reader: str
    first: int
    lines: tuple[bytes, ...]
    size: int


class Follower(Protocol):
    """A source that is being written. ``moved`` may be kept and handed to ``resume`` in another process."""

    @property
    def name(self) -> str:
        """How messages and figures call it."""

    @property
    def ended(self) -> bool:
        """Whether nothing can come any more (standard input at its end)."""

    @property
    def behind(self) -> int | None:
        """Bytes (of Kafka: records) that are there and not yet handed out; None where nobody can know."""

    @property
    def refused(self) -> Mapping[str, str]:
        """Files that cannot be read, and why: what is written there is not seen."""

    def read(self, most: int) -> list[Piece]:
        """What has come since, about ``most`` bytes of it at most; [] where nothing has. Never waits."""

    def moved(self) -> Position:
        """What changed of the position since the last call, key by key; {} where nothing did."""

    def resume(self, position: Position) -> None:
        """Go on where another process stood: at all that its ``moved`` said, the latest of each key.

        Raises FormatError where that is not a position of this source.
        """

    def finish(self) -> None:
        """From now on a last line without newline counts as whole: nobody is expected to go on with it."""

    def notices(self) -> list[str]:
        """What a person should know of what was met since the last call, a sentence each."""

    def close(self) -> None: ...
