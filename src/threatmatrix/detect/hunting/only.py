"""What a hunt is about: events of some systems, principals and models, and which rules that may narrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from threatmatrix.detect.sigma.rules import Correlation

__all__ = ["EVERYTHING", "Only", "looking_wide"]


@dataclass(frozen=True, slots=True)
class Only:
    """Values that an event must have; an empty set asks for nothing."""

    system: frozenset[str] = frozenset()
    principal: frozenset[str] = frozenset()
    model: frozenset[str] = frozenset()

    @property
    def asked(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """(field, values) of what is asked for."""
        fields = (("system", self.system), ("principal", self.principal), ("model", self.model))
        return tuple((name, tuple(sorted(values))) for name, values in fields if values)

    def condition(self, *names: str) -> str:
        """SQL, true of the events that are asked for; of these fields only where ``names`` are given."""
        parts: list[exp.Expression] = []
        for name, values in self.asked:
            if names and name not in names:
                continue
            literals: list[exp.Expression] = [exp.Literal.string(value) for value in values]
            parts.append(exp.In(this=exp.column(name, quoted=True), expressions=literals))
        return exp.and_(*parts).sql("duckdb") if parts else "true"


EVERYTHING = Only()


def looking_wide(correlations: Sequence[Correlation], only: Only) -> frozenset[str]:
    """The keys of the correlations whose meaning would change if they saw only the events that are asked for.

    They are those that do not group by each of the fields asked for, and whatever those count. They look at all
    events, and their findings are chosen afterwards. ``correlations``: an inner one before those that use it.
    """
    wide: set[str] = set()
    for one in correlations:
        if not wide.isdisjoint(one.rules) or not all(_groups_by(one, name) for name, _ in only.asked):
            wide.add(one.meta.key)
    for one in reversed(correlations):
        if one.meta.key in wide:
            wide.update(one.rules)
    return frozenset(wide.intersection(one.meta.key for one in correlations))


def _groups_by(one: Correlation, name: str) -> bool:
    return name in one.group_by and all(one.column(name, key) == name for key in one.rules)
