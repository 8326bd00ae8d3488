"""Something happened, and something else did not follow: expressions with a ``not``.

An occurrence of a rule that the expression asks for, at time t, waits until [t, t + timespan] has passed by the clock
of all events, and then fires if the expression holds of the rules that occurred in there. Cost of a judgement: a walk
over the rows of its window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from threatmatrix.detect.engines.counting.evidence import Row
from threatmatrix.detect.engines.counting.groups import Episode, Group, Step
from threatmatrix.detect.engines.counting.occurrences import Occurrence
from threatmatrix.detect.engines.judging.judges import Firing, true_of
from threatmatrix.detect.engines.judging.orders import Chains, Links, steps_to
from threatmatrix.detect.engines.judging.windows import first_of_each
from threatmatrix.detect.sigma.expressions import Clause, clauses
from threatmatrix.detect.sigma.rules import Correlation

__all__ = ["Absences"]


class Absences:
    """The temporal kinds whose expression ``waits``."""

    cap = 0  # what waits for a judgement is a row like any other

    def __init__(self, rule: Correlation) -> None:
        assert rule.expression is not None
        self._timespan = rule.timespan
        self._expression = rule.expression
        self._places = {key: slot for slot, key in enumerate(rule.rules)}
        found = clauses(rule.expression)
        self.asks_for = _bits(self._places, (step for clause in found for step in clause.steps))
        self._ordered = rule.kind == "temporal_ordered"
        self._clauses = [self._split(clause) for clause in found]

    def firings(self, group: Group, place: int) -> Iterable[Firing]:
        return ()

    def judged(self, group: Group, one: Occurrence) -> Firing | None:
        """The verdict on an occurrence whose window has passed."""
        rows = self._window(group, one.row.time)
        there = 0
        for row in rows:
            there |= row.slots
        figure = there.bit_count()
        if not self._ordered:
            return Firing(one.row.time, one, figure) if true_of(self._expression, there, self._places) else None
        for chains, unwanted in self._clauses:
            if there & unwanted:
                continue
            links = Links(chains)
            for row in rows:
                links.add(row)
            verdict = chains.verdict(links, one.row.time)
            if verdict is not None:
                return Firing(one.row.time, one, figure, verdict.chain)
        return None

    def steps(self, group: Group, firing: Firing) -> tuple[Step, ...]:
        if self._ordered:
            return steps_to(firing.chain)
        time = firing.at.row.time
        return first_of_each(group, time, time + self._timespan, self.asks_for)

    def alarm(self, group: Group, episode: Episode) -> Row | None:
        return episode.steps[-1].row

    def drop(self, group: Group, one: Occurrence) -> None:
        pass

    def needed(self, group: Group) -> set[int] | None:
        return None

    def _window(self, group: Group, time: int) -> Sequence[Occurrence]:
        return group.rows[group.first_at(time) : group.first_at(time + self._timespan + 1)]

    def _split(self, clause: Clause) -> tuple[Chains, int]:
        chain = [self._places[step] for step in clause.steps]
        return Chains([chain]), _bits(self._places, clause.without)


def _bits(places: dict[str, int], keys: Iterable[str]) -> int:
    mask = 0
    for key in keys:
        mask |= 1 << places[key]
    return mask
