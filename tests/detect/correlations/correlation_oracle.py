"""What a correlation means, by brute force over raw occurrences: written from the definition, no SQL, no engine.

For every group and every time at which something occurred, the whole window is looked at again. Slow, and meant so.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, product
from typing import Any

from threatmatrix.detect.sigma.rules import Correlation, Expression, RuleName

Group = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One rule (by its place in the correlation) matched one event."""

    event: int
    slot: int
    time: int
    group: Group = ()
    values: Group = ()


@dataclass(frozen=True, slots=True, order=True)
class Firing:
    """A correlation fires for a group at a time."""

    group: Group
    time: int
    started: int
    figure: float


@dataclass(frozen=True, slots=True, order=True)
class Episode:
    """Firings at most a timespan apart."""

    group: Group
    started: int
    fired: int
    last: int
    firings: int
    figure: float


def firings(rule: Correlation, occurrences: Iterable[Occurrence], until: int | None = None) -> list[Firing]:
    """Where ``rule`` fires, by group and time; ``until`` is the newest time of the data."""
    groups: defaultdict[Group, list[Occurrence]] = defaultdict(list)
    for one in occurrences:
        groups[one.group].append(one)
    newest = until if until is not None else max((o.time for every in groups.values() for o in every), default=0)
    found = []
    for group, members in groups.items():
        for time in {one.time for one in members}:
            seen = _ahead(rule, members, time, newest) if rule.waits else _behind(rule, members, time)
            if seen is not None:
                found.append(Firing(group, time, *seen))
    return sorted(found)


def episodes(rule: Correlation, occurrences: Iterable[Occurrence], until: int | None = None) -> list[Episode]:
    runs: list[list[Firing]] = []
    for one in firings(rule, occurrences, until):
        if runs and runs[-1][-1].group == one.group and one.time - runs[-1][-1].time <= rule.timespan:
            runs[-1].append(one)
        else:
            runs.append([one])
    return [
        Episode(
            run[0].group, min(one.started for one in run), run[0].time, run[-1].time, len(run), run[0].figure
        )
        for run in runs
    ]  # fmt: skip


def _behind(rule: Correlation, members: list[Occurrence], time: int) -> tuple[int, float] | None:
    window = [one for one in members if time - rule.timespan <= one.time <= time]
    oldest = min(one.time for one in window)
    if rule.kind == "temporal_ordered":
        return _ordered(rule, window)
    figure: float | None
    if rule.kind == "temporal":
        figure = len({one.slot for one in window})
        if rule.expression is not None:
            return (oldest, figure) if _true(rule, rule.expression, {one.slot for one in window}) else None
    elif rule.kind == "event_count":
        figure = len({one.event for one in window})
        if rule.minimum is not None:
            return _first_window(rule.minimum, sorted({(one.time, one.event) for one in window}), time)
    elif rule.kind == "value_count":
        figure = len({one.values for one in window if None not in one.values})
    else:
        figure = _measure(rule, window)
    if figure is None or not all(bound.holds(figure) for bound in rule.bounds):
        return None
    return oldest, figure


def _first_window(minimum: int, events: list[tuple[int, int]], time: int) -> tuple[int, float] | None:
    """The oldest run of ``minimum`` events, one after the other, of which the last is of this time."""
    runs = [events[at : at + minimum] for at in range(len(events) - minimum + 1)]
    starts = [run[0][0] for run in runs if run[-1][0] == time]
    return (min(starts), minimum) if starts else None


def _measure(rule: Correlation, window: list[Occurrence]) -> float | None:
    numbers = sorted(values[0] for _, values in {(one.event, one.values) for one in window} if values[0] is not None)
    if not numbers:
        return None
    if rule.kind == "value_sum":
        return math.fsum(numbers)
    if rule.kind == "value_avg":
        return math.fsum(numbers) / len(numbers)
    place = (len(numbers) - 1) * ((50.0 if rule.kind == "value_median" else rule.percentile) / 100)
    below = math.floor(place)
    above = min(below + 1, len(numbers) - 1)
    return float(numbers[below] + (numbers[above] - numbers[below]) * (place - below))


def _ordered(rule: Correlation, window: list[Occurrence]) -> tuple[int, float] | None:
    if rule.expression is not None:
        start = _expressed_in_order(rule, rule.expression, window)
        return None if start is None else (start, len({one.slot for one in window}))
    for length in range(len(rule.rules), 0, -1):
        starts = [_latest_start(steps, window) for steps in combinations(range(len(rule.rules)), length)]
        known = [start for start in starts if start is not None]
        if known:
            return (max(known), length) if all(bound.holds(length) for bound in rule.bounds) else None
    return None


def _latest_start(steps: Sequence[int], window: list[Occurrence]) -> int | None:
    times = [sorted({one.time for one in window if one.slot == step}) for step in steps]
    chains = [one for one in product(*times) if all(one[at] < one[at + 1] for at in range(len(one) - 1))]
    return max((one[0] for one in chains), default=None)


def _expressed_in_order(rule: Correlation, tree: Expression | RuleName, window: list[Occurrence]) -> int | None:
    """The latest start of a chain of some rules that makes ``tree`` true; no rule under a ``not`` may occur at all."""
    present = {one.slot for one in window}
    steps = range(len(rule.rules))
    starts = []
    for some in chain.from_iterable(combinations(steps, length) for length in range(1, len(rule.rules) + 1)):
        start = _latest_start(some, window)
        if start is not None and _true(rule, tree, set(some), present):
            starts.append(start)
    return max(starts, default=None)


def _ahead(rule: Correlation, members: list[Occurrence], time: int, newest: int) -> tuple[int, float] | None:
    assert rule.expression is not None
    window = [one for one in members if time <= one.time <= time + rule.timespan]
    asked = {rule.rules.index(key) for key in _asked(rule.expression)}
    if time + rule.timespan >= newest or not any(one.time == time and one.slot in asked for one in window):
        return None
    present = {one.slot for one in window}
    if rule.kind == "temporal":
        holds = _true(rule, rule.expression, present)
    else:
        holds = _expressed_in_order(rule, rule.expression, window) is not None
    return (time, len(present)) if holds else None


def _true(rule: Correlation, tree: Expression | RuleName, chosen: set[int], present: set[int] | None = None) -> bool:
    """Whether ``tree`` holds of the ``chosen`` rules; a rule under a ``not`` is judged by those that are present."""

    def holds(node: Expression | RuleName, wanted: bool) -> bool:
        if isinstance(node, RuleName):
            among = chosen if wanted or present is None else present
            return (rule.rules.index(node.key) in among) == wanted
        if node.op == "not":
            return holds(node.items[0], not wanted)
        every = (node.op == "and") == wanted
        return (all if every else any)(holds(item, wanted) for item in node.items)

    return holds(tree, True)


def _asked(tree: Expression | RuleName, wanted: bool = True) -> Iterator[str]:
    if isinstance(tree, RuleName):
        if wanted:
            yield tree.key
    else:
        for item in tree.items:
            yield from _asked(item, wanted != (tree.op == "not"))
