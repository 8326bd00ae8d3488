"""Correlations and events in few words, and a second opinion on where correlations fire.

The oracle looks at all events of a group at once, in a loop over windows: no state, no order of arrival, no SQL.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, pairwise
from typing import Any

from tests.detect.sigma.rule_makers import SECOND, compiled, event, selection

from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.sigma.rules import Bound, Correlation, Expression, Kind, Meta, RuleName
from threatmatrix.model.detection import Finding
from threatmatrix.model.event import Event

SPAN = 10  # seconds
NAMES = "abcd"


def rules() -> RuleSet:
    """Rules a, b, c, d, each true of the events with its letter in ``operation``."""
    documents = [{**selection(**{"operation|contains": name}), "name": name, "title": name} for name in NAMES]
    return compiled(*documents)


_RULES = rules()


def correlation(kind: Kind, over: Sequence[str] = "a", key: str = "it", **more: Any) -> Correlation:
    meta = Meta(key=key, title=f"Title of {key}", technique="online-evasion", file="rule.yml", name=key)
    said: dict[str, Any] = {"group_by": ("principal",), "timespan": SPAN * SECOND, "timespan_text": f"{SPAN}s"}
    return Correlation(meta=meta, kind=kind, rules=tuple(over), **{**said, **more})


def ruleset(*correlations: Correlation) -> RuleSet:
    """Rules that are silent, and these correlations over them."""
    silent = tuple(replace(rule, silent=True) for rule in _RULES.rules)
    return RuleSet(silent, correlations)


def bounds(**said: float) -> tuple[Bound, ...]:
    return tuple(Bound(op, number) for op, number in said.items())  # type: ignore[arg-type]


def parsed(text: str) -> Expression | RuleName:
    """An expression in Polish notation: ``and a not b``."""
    words = text.split()

    def read() -> Expression | RuleName:
        word = words.pop(0)
        if word not in {"and", "or", "not"}:
            return RuleName(word)
        return Expression(word, tuple(read() for _ in range(1 if word == "not" else 2)))  # type: ignore[arg-type]

    return read()


def act(number: int, at: float, operation: str | None = "a", principal: str | None = "mallory", **more: Any) -> Event:
    """An event that the rules named in ``operation`` match."""
    return event(number, at=at, operation=operation, principal=principal, **more)


def told(engine: RuleEngine, *batches: Iterable[Event], end: bool = False) -> dict[str, Finding]:
    """Findings by id, as a store would hold them."""
    held: dict[str, Finding] = {}
    for batch in batches:
        held.update((finding.finding_id, finding) for finding in engine.feed(list(batch)))
    if end:
        held.update((finding.finding_id, finding) for finding in engine.finish())
    return held


def run(rule: Correlation, *batches: Iterable[Event], lateness: int | None = None, end: bool = False) -> Any:
    """What one correlation finds; its engine is made once, and empty each time."""
    engine, blank = _engine(rule, lateness)
    engine.restore(blank)
    return told(engine, *batches, end=end)


@cache
def _engine(rule: Correlation, lateness: int | None) -> tuple[RuleEngine, Any]:
    engine = RuleEngine(ruleset(rule), lateness=lateness)
    return engine, engine.snapshot()


@dataclass(frozen=True, slots=True, order=True)
class Seen:
    """What one episode is, whoever found it. Times in µs."""

    who: str
    started: int
    last: int
    figure: float
    ids: tuple[str, ...]


def seen(held: dict[str, Finding]) -> list[Seen]:
    """The episodes behind findings."""
    found = []
    for one in held.values():
        assert one.event_count == len(one.event_ids)
        if "merged_into" not in one.details:
            who, figure = one.details["group"]["principal"], round(one.details["figure"], 6)
            found.append(Seen(who, one.first_time, one.last_time, figure, one.event_ids))
    return sorted(found)


def expected(rule: Correlation, events: Iterable[Event], *, until: int | None = None) -> list[Seen]:
    """The episodes of a correlation over these events, whatever their order."""
    of_rules = [one for one in events if any(name in (one.operation or "") for name in rule.rules)]
    groups: defaultdict[str, list[Event]] = defaultdict(list)
    for one in of_rules:
        if one.principal is not None:
            groups[one.principal].append(one)
    newest = max((one.time for one in events), default=0) if until is None else until
    found = []
    for who, members in groups.items():
        members.sort(key=lambda one: (one.time, one.event_id))
        fired = []
        for one in members:
            verdict = _verdict(rule, members, one, newest)
            if verdict is not None:
                fired.append((one.time, *verdict))
        for runs in _runs(fired, rule.timespan):
            started, last = runs[0][1], runs[-1][0]
            ids = tuple(one.event_id for one in members if started <= one.time <= last)
            found.append(Seen(who, started, last, round(runs[0][2], 6), ids))
    return sorted(found)


def _runs(fired: list[tuple[int, int, float]], span: int) -> list[list[tuple[int, int, float]]]:
    runs: list[list[tuple[int, int, float]]] = []
    for firing in fired:
        if runs and firing[0] - runs[-1][-1][0] <= span:
            runs[-1].append(firing)
        else:
            runs.append([firing])
    return runs


def _verdict(rule: Correlation, members: list[Event], one: Event, newest: int) -> tuple[int, float] | None:
    """(started, figure) where the correlation fires at this event."""
    if rule.waits:
        return _absence(rule, members, one, newest)
    window = [other for other in members if one.time - rule.timespan <= other.time <= one.time]
    if rule.kind == "temporal_ordered":
        return _ordered(rule, window)
    oldest = window[0].time
    if rule.expression is not None:
        there = {name for other in window for name in rule.rules if name in str(other.operation)}
        return (oldest, len(there)) if _true(rule.expression, there) else None
    figure = _figure(rule, window)
    if figure is None or not all(bound.holds(figure) for bound in rule.bounds):
        return None
    if rule.kind == "event_count" and rule.minimum is not None:
        return window[-rule.minimum].time, rule.minimum
    return oldest, figure


def _figure(rule: Correlation, window: list[Event]) -> float | None:
    if rule.kind == "event_count":
        return len(window)
    if rule.kind == "temporal":
        return len({name for other in window for name in rule.rules if name in str(other.operation)})
    values = [tuple(getattr(other, name) for name in rule.field) for other in window]
    if rule.kind == "value_count":
        return len({value for value in values if None not in value})
    numbers = sorted(value for (value,) in values if value is not None)
    return _measured(rule, numbers) if numbers else None


def _measured(rule: Correlation, numbers: list[float]) -> float:
    if rule.kind == "value_sum":
        return float(sum(numbers))
    if rule.kind == "value_avg":
        return float(sum(numbers) / len(numbers))
    place = (50.0 if rule.kind == "value_median" else rule.percentile) / 100 * (len(numbers) - 1)
    low = int(place)
    high = min(low + 1, len(numbers) - 1)
    return float(numbers[low] + (place - low) * (numbers[high] - numbers[low]))


def _chain_start(window: list[Event], steps: Sequence[str]) -> int | None:
    """The latest start of these steps at strictly increasing times: tried from the last step backwards."""
    ways = [
        chain
        for chain in combinations(window, len(steps))
        if all(step in str(one.operation) for step, one in zip(steps, chain, strict=True))
        and all(first.time < second.time for first, second in pairwise(chain))
    ]
    return max((chain[0].time for chain in ways), default=None)


def _ordered(rule: Correlation, window: list[Event]) -> tuple[int, float] | None:
    there = {name for other in window for name in rule.rules if name in str(other.operation)}
    if rule.expression is not None:
        order = list(dict.fromkeys(rule.expression.names())) if isinstance(rule.expression, Expression) else []
        picks = [set(pick) for size in range(len(order) + 1) for pick in combinations(order, size)]
        true = [[name for name in order if name in pick] for pick in picks if _true(rule.expression, pick)]
        starts = [start for steps in true if steps and (start := _chain_start(window, steps)) is not None]
        return (max(starts), len(there)) if starts else None
    for length in range(len(rule.rules), 0, -1):
        chains = [_chain_start(window, steps) for steps in combinations(rule.rules, length)]
        starts = [start for start in chains if start is not None]
        if starts:
            return (max(starts), length) if all(bound.holds(length) for bound in rule.bounds) else None
    return None


def _absence(rule: Correlation, members: list[Event], one: Event, newest: int) -> tuple[int, float] | None:
    assert isinstance(rule.expression, Expression)
    asked = _asked(rule.expression)
    if one.time + rule.timespan >= newest or not any(name in str(one.operation) for name in asked):
        return None
    window = [other for other in members if one.time <= other.time <= one.time + rule.timespan]
    there = {name for other in window for name in rule.rules if name in str(other.operation)}
    if rule.kind == "temporal":
        return (one.time, len(there)) if _true(rule.expression, there) else None
    order = [name for name in dict.fromkeys(rule.expression.names()) if name in asked]
    forbidden = there - set(asked)
    picks = [list(pick) for size in range(1, len(order) + 1) for pick in combinations(order, size)]
    for steps in picks:
        if _true(rule.expression, set(steps) | forbidden) and _chain_start(window, steps) is not None:
            return one.time, len(there)
    return None


def _asked(expression: Expression | RuleName, *, wanted: bool = True) -> list[str]:
    if isinstance(expression, RuleName):
        return [expression.key] if wanted else []
    turned = wanted if expression.op != "not" else not wanted
    return [name for item in expression.items for name in _asked(item, wanted=turned)]


def _true(expression: Expression | RuleName, there: set[str]) -> bool:
    if isinstance(expression, RuleName):
        return expression.key in there
    if expression.op == "not":
        return not _true(expression.items[0], there)
    held = [_true(item, there) for item in expression.items]
    return all(held) if expression.op == "and" else any(held)
