"""Rules that occur in order: of every chain that has begun, the one that began last.

A chain of steps at strictly increasing times is as good as its start is late: it stays within the timespan longest.
So of each beginning of a chain only the latest start is kept, and an occurrence carries it one step on. Cost of an
occurrence: the steps that its rules stand for (:class:`Chains`), or those times the number of rules (:class:`Longest`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple, Protocol

from threatmatrix.detect.engines.counting.groups import Group, Step
from threatmatrix.detect.engines.counting.occurrences import Occurrence
from threatmatrix.detect.engines.judging.judges import Firing, slots_of
from threatmatrix.detect.engines.judging.windows import Sliding, Verdict

__all__ = ["Chains", "Links", "Longest", "Ordered", "steps_to"]


class Link(NamedTuple):
    """The last step of a chain."""

    start: int
    slot: int
    one: Occurrence
    before: Link | None


class Links:
    """The latest-started link of each cell: what a ladder calls a beginning of a chain."""

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder
        self._earlier: dict[Hashable, Link] = {}  # of occurrences before ``_at``: these can be carried on
        self._now: dict[Hashable, Link] = {}
        self._at = 0
        self._seen: dict[int, Occurrence] = {}  # the last of each rule

    def add(self, one: Occurrence) -> None:
        """Occurrences come in the order of their times."""
        if one.row.time > self._at:
            for cell, link in self._now.items():
                _keep(self._earlier, cell, link)
            self._now = {}
            self._at = one.row.time
        for slot in slots_of(one.slots):
            if slot not in self._seen or self._seen[slot] < one:
                self._seen[slot] = one
            for cell, before in self._ladder.steps(slot, self._earlier):
                start = before.start if before else one.row.time
                _keep(self._now, cell, Link(start, slot, one, before))

    def remove(self, one: Occurrence) -> None:
        """What has fallen out of the window can start no chain that still counts."""

    def get(self, cell: Hashable, since: int) -> Link | None:
        """The latest-started chain of this cell that began at ``since`` or later."""
        found = [link for links in (self._earlier, self._now) if (link := links.get(cell)) and link.start >= since]
        return max(found, key=lambda link: link.start, default=None)

    def seen(self, since: int) -> int:
        """How many rules occurred at ``since`` or later."""
        return sum(1 for one in self._seen.values() if one.row.time >= since)

    def rests_on(self, one: Occurrence, since: int) -> bool:
        """Whether it may be part of a chain that still counts, or the last of its rule."""
        if any(self._seen.get(slot) == one for slot in slots_of(one.slots)):
            return True
        alive = [link.start for links in (self._earlier, self._now) for link in links.values() if link.start >= since]
        return any(start <= one.row.time for start in alive)

    def needed(self) -> set[int]:
        """Serials of the occurrences that chains rest on, and of the last of each rule."""
        serials = {one.serial for one in self._seen.values()}
        for link in (*self._earlier.values(), *self._now.values()):
            step: Link | None = link
            while step is not None:
                serials.add(step.one.serial)
                step = step.before
        return serials

    def figure(self) -> float | None:
        return None  # the ladder tells it


class Ladder(Protocol):
    """Which beginnings of chains there are, and how an occurrence carries them on."""

    def steps(self, slot: int, links: dict[Hashable, Link]) -> Iterator[tuple[Hashable, Link | None]]:
        """(cell, what it follows) of each step that an occurrence of the rule in ``slot`` is."""

    def verdict(self, links: Links, since: int) -> Verdict | None:
        """What chains that began at ``since`` or later say."""


class Chains:
    """Fires where one of ``chains`` (slots in their order) is complete; the figure is the number of rules seen."""

    def __init__(self, chains: Sequence[Sequence[int]]) -> None:
        self._ends = [(number, len(chain) - 1) for number, chain in enumerate(chains)]
        self._of: dict[int, list[tuple[int, int]]] = {}
        for number, chain in enumerate(chains):
            for place, slot in enumerate(chain):
                self._of.setdefault(slot, []).append((number, place))

    def steps(self, slot: int, links: dict[Hashable, Link]) -> Iterator[tuple[Hashable, Link | None]]:
        for number, place in self._of.get(slot, ()):
            if not place:
                yield (number, 0), None
            elif before := links.get((number, place - 1)):
                yield (number, place), before

    def verdict(self, links: Links, since: int) -> Verdict | None:
        found = [link for end in self._ends if (link := links.get(end, since))]
        if not found:
            return None
        best = max(found, key=lambda link: link.start)
        return Verdict(links.seen(since), best.start, best)


class Longest:
    """Fires where ``holds`` says so of the number of rules in the longest chain, some of them left out."""

    def __init__(self, rules: int, holds: Callable[[float], bool]) -> None:
        self._rules = rules
        self._holds = holds

    def steps(self, slot: int, links: dict[Hashable, Link]) -> Iterator[tuple[Hashable, Link | None]]:
        yield (slot, 1), None
        for length in range(1, slot + 1):
            found = [link for before in range(slot) if (link := links.get((before, length)))]
            if found:
                yield (slot, length + 1), max(found, key=lambda link: link.start)

    def verdict(self, links: Links, since: int) -> Verdict | None:
        for length in range(self._rules, 0, -1):
            found = [link for slot in range(self._rules) if (link := links.get((slot, length), since))]
            if found:
                best = max(found, key=lambda link: link.start)
                return Verdict(length, best.start, best) if self._holds(length) else None
        return None


class Ordered(Sliding[Links]):
    """temporal_ordered."""

    def __init__(self, timespan: int, cap: int, ladder: Ladder) -> None:
        super().__init__(timespan, cap, lambda: Links(ladder), ladder.verdict)

    def steps(self, group: Group, firing: Firing) -> tuple[Step, ...]:
        return steps_to(firing.chain)

    def drop(self, group: Group, one: Occurrence) -> None:
        if group.state is not None and group.state.aggregate.rests_on(one, group.state.at - self._timespan):
            group.state = None  # to be worked out without it

    def needed(self, group: Group) -> set[int] | None:
        links = self._aggregate()  # of all rows: what ``state`` holds depends on when it was worked out
        for one in group.rows:
            links.add(one)
        return links.needed()


def steps_to(chain: object) -> tuple[Step, ...]:
    """The steps of a chain, from its last link."""
    steps = []
    while isinstance(chain, Link):
        steps.append(Step(chain.slot, chain.one.row))
        chain = chain.before
    return tuple(reversed(steps))


def _keep(links: dict[Hashable, Link], cell: Hashable, link: Link) -> None:
    """Of two chains that began together the one that was there first, so that the choice is the same in any order."""
    known = links.get(cell)
    if known is None or link.start > known.start or (link.start == known.start and link.one < known.one):
        links[cell] = link
