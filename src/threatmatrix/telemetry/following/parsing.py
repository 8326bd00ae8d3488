"""Pieces of logs → events; what cannot become one → dead letters."""

from __future__ import annotations

from dataclasses import dataclass

from threatmatrix.model.errors import InputError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.following.base import Follower, Piece
from threatmatrix.telemetry.readers import AUTO, NOTHING_ASKED, SOURCES, Options, get_reader
from threatmatrix.telemetry.records import LineParser

__all__ = ["EventFollower", "Parsed", "PieceParser"]

_AT_ONCE = 16 * 1024 * 1024  # bytes
_KEPT = 512  # parsers at once; one more costs microseconds to make


@dataclass(slots=True)
class Parsed:
    """What came of some pieces."""

    events: list[Event]
    lines: int = 0
    dead: int = 0
    size: int = 0


class PieceParser:
    """Parses pieces of any number of files, each with the reader that its follower told."""

    def __init__(self, dead_letters: DeadLetterFile | None, options: Options = NOTHING_ASKED) -> None:
        self._letters = dead_letters
        self._options = options
        self._parsers: dict[tuple[str, str], LineParser] = {}

    def parse(self, piece: Piece, into: Parsed) -> None:
        """Append the events of a piece. Raises InputError where dead letters cannot be written."""
        parser = self._parser(piece)
        dead = parser.dead
        for number, line in enumerate(piece.lines, piece.first):
            parser.line(line, number, into.events)
        into.lines += len(piece.lines)
        into.dead += parser.dead - dead
        into.size += piece.size

    def _parser(self, piece: Piece) -> LineParser:
        key = (piece.file, piece.reader)
        parser = self._parsers.get(key)
        if parser is None:
            if len(self._parsers) >= _KEPT:
                self._parsers.clear()
            # a line over MAX_LINE at the start of a log comes before anything told its reader, and needs none
            name = next(iter(SOURCES)) if piece.reader == AUTO else piece.reader
            parser = self._parsers[key] = LineParser(get_reader(name, self._options), piece.file, self._letters)
        return parser


class EventFollower:
    """A follower whose lines are events: for one process, which keeps no position."""

    def __init__(self, follower: Follower, dead_letters: DeadLetterFile | None = None) -> None:
        self._follower = follower
        self._parser = PieceParser(dead_letters)

    def read_new(self) -> list[Event]:
        """The events of the lines that have been completed since the last call.

        Raises InputError where a file cannot be read or is not recognised, or dead letters cannot be written.
        """
        parsed = Parsed([])
        while pieces := self._follower.read(_AT_ONCE):
            for piece in pieces:
                self._parser.parse(piece, parsed)
        for problem in self._follower.refused.values():
            raise InputError(
                self._follower.name, problem, hint="Check the file and its permissions, or name its --source"
            )
        return parsed.events

    def close(self) -> None:
        self._follower.close()
