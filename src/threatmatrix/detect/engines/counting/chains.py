"""Correlations of correlations: what each has to know about those below it and above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from threatmatrix.detect.sigma.rules import Correlation, EventRule, Meta

__all__ = ["Plan", "plans"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One correlation among the others of its rule set. Times in µs."""

    rule: Correlation
    metas: tuple[Meta, ...]  # of ``rule.rules``
    beneath: tuple[EventRule | Correlation, ...]  # everything that it counts, however far below
    below: Mapping[int, tuple[str, ...]]  # slot → ``group_by`` of the correlation in it
    used: bool  # whether others are built on it
    lateness: int  # how late an event may come and be counted exactly
    allowance: int  # how long a window that has passed is left open for late events, where the rule waits
    delay: int  # how long the correlations below may wait before they fire

    @property
    def keep(self) -> int:
        """How long an occurrence is needed."""
        return max(self.lateness, self.allowance) + self.delay + self.rule.timespan

    @property
    def wait(self) -> int:
        """How long an occurrence waits for its judgement, beyond those below."""
        return self.rule.timespan + self.allowance + self.delay if self.rule.waits else 0


def plans(rules: Sequence[EventRule], correlations: Sequence[Correlation], lateness: int | None) -> list[Plan]:
    """A plan for each correlation, in their order: an inner one stands before those that use it.

    ``rules``: all that they name, also those that can never match.
    ``lateness`` None: the longest timespan of all; a ``not`` then allows for late events as long as its own timespan.
    """
    late = max((one.timespan for one in correlations), default=0) if lateness is None else lateness
    known: dict[str, EventRule | Correlation] = {rule.meta.key: rule for rule in rules}
    known |= {one.meta.key: one for one in correlations}
    used = {key for one in correlations for key in one.rules}
    made: dict[str, Plan] = {}
    for rule in correlations:
        inner = {slot: made[key] for slot, key in enumerate(rule.rules) if key in made}
        made[rule.meta.key] = Plan(
            rule=rule,
            metas=tuple(known[key].meta for key in rule.rules),
            beneath=tuple(_beneath(rule, known)),
            below={slot: plan.rule.group_by for slot, plan in inner.items()},
            used=rule.meta.key in used,
            lateness=late,
            allowance=rule.timespan if lateness is None else lateness,
            delay=max((plan.wait or plan.delay for plan in inner.values()), default=0),
        )
    return list(made.values())


def _beneath(rule: Correlation, known: Mapping[str, EventRule | Correlation]) -> list[EventRule | Correlation]:
    found: dict[str, EventRule | Correlation] = {}
    ahead = list(rule.rules)
    while ahead:
        key = ahead.pop()
        if key not in found:
            below = found[key] = known[key]
            ahead += below.rules if isinstance(below, Correlation) else ()
    return [found[key] for key in sorted(found)]
