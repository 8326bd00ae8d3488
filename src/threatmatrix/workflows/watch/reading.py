"""One batch's worth of lines from all sources, as events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from threatmatrix.model.event import Event
from threatmatrix.telemetry.following.base import Follower, Position
from threatmatrix.telemetry.following.parsing import Parsed, PieceParser
from threatmatrix.telemetry.systems import Resolver
from threatmatrix.workflows.watch.metrics import Figures

__all__ = ["Intake", "Taken"]

_AT_ONCE = 256 * 1024  # bytes from one source, before the next has its turn
_BLIND_AFTER = 100  # lines of a source, none of which is an event


@dataclass(slots=True)
class Taken:
    """``full``: a bound was reached, so there is more."""

    events: list[Event] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)
    full: bool = False


class Intake:
    """Reads the sources by turns, up to so many bytes and events, and says what systems.yaml says of each event.

    ``parsers``: each source with what makes events of its lines.
    """

    def __init__(
        self,
        parsers: Mapping[Follower, PieceParser],
        resolver: Resolver,
        figures: Figures,
        *,
        most_bytes: int,
        most_events: int,
    ) -> None:
        self.followers = tuple(parsers)
        self._parsers, self._resolver, self._figures = parsers, resolver, figures
        self._most_bytes, self._most_events = most_bytes, most_events
        self._fruitless: dict[str, int] = {}

    def take(self) -> Taken:
        """Everything that is there, up to the bounds. Nothing in it waits."""
        taken, size = Taken(), 0
        hungry = list(self.followers)
        while hungry and not taken.full:
            for follower in list(hungry):
                parsed = self._read(follower, min(_AT_ONCE, self._most_bytes))
                if parsed is None:
                    hungry.remove(follower)
                    continue
                taken.events += map(self._resolver.resolve, parsed.events)
                size += parsed.size
            taken.full = size >= self._most_bytes or len(taken.events) >= self._most_events
        for follower in self.followers:
            moved = follower.moved()
            if moved:
                taken.positions[follower.name] = moved
        return taken

    def _read(self, follower: Follower, most: int) -> Parsed | None:
        pieces = follower.read(most)
        if not pieces:
            return None
        parsed = Parsed([])
        for piece in pieces:
            self._parsers[follower].parse(piece, parsed)
        self._figures.read(follower.name, len(parsed.events), parsed.size)
        if parsed.events:
            self._fruitless[follower.name] = 0
        else:
            self._fruitless[follower.name] = self._fruitless.get(follower.name, 0) + parsed.dead
        return parsed

    @property
    def ended(self) -> bool:
        return all(follower.ended for follower in self.followers)

    @property
    def behind(self) -> dict[str, int]:
        return {follower.name: follower.behind for follower in self.followers if follower.behind is not None}

    @property
    def refused(self) -> dict[str, str]:
        return {file: why for follower in self.followers for file, why in follower.refused.items()}

    @property
    def blind(self) -> Mapping[str, str]:
        """Source or file → why nothing is seen there."""
        fruitless = {
            name: f"{name}: not one of the last {dead:,} lines could be read as an event"
            for name, dead in self._fruitless.items()
            if dead >= _BLIND_AFTER
        }
        return {**self.refused, **fruitless}

    def notices(self) -> list[str]:
        return [notice for follower in self.followers for notice in follower.notices()]

    def finish(self) -> None:
        for follower in self.followers:
            follower.finish()

    def close(self) -> None:
        for follower in self.followers:
            follower.close()
