"""Where a rule set is blind: fields that the telemetry, or the event itself, does not have.

A rule is blind where its condition can never come true for want of fields (``sigma.needs``). A correlation is blind
where it can never fire: all rules that it counts are blind, or their events lack what it groups by or counts; of a
temporal one, fewer rules see than it asks for; of an expression, no way of meeting it is left. A rule that must *not*
occur has to see as well: that something did not follow can only be known where it would have been seen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from threatmatrix.detect.engines.counting.occurrences import columns_of
from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.sigma.expressions import clauses
from threatmatrix.detect.sigma.needs import lacking, without_unknown
from threatmatrix.detect.sigma.rules import TEMPORAL, Correlation, EventRule
from threatmatrix.detect.visibility import Sighting
from threatmatrix.model.detection import NoVisibility
from threatmatrix.model.event import EVENT_COLUMNS

__all__ = ["blind_spots", "runnable", "sightings"]

Seen = Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True)
class _Sight:
    """What a rule needs and lacks; a category is "events of category …"."""

    needs: frozenset[str]
    missing: frozenset[str]
    category: str = ""  # of the events of a rule
    tells: tuple[str, ...] | None = None  # of a correlation: what it groups by


def runnable(ruleset: RuleSet) -> tuple[list[EventRule], list[Correlation]]:
    """The rules and correlations that events can fire: a comparison with a field that they never have is false."""
    known = _sights(ruleset, dict.fromkeys(ruleset.schema.categories, EVENT_COLUMNS))
    rules = [_of_events(rule) for rule in ruleset.rules if not known[rule.meta.key].missing]
    return rules, [one for one in ruleset.correlations if not known[one.meta.key].missing]


def blind_spots(ruleset: RuleSet, seen: Seen) -> list[NoVisibility]:
    """One entry for each rule and correlation that cannot see; ``seen`` and the choice as in :func:`sightings`."""
    return [
        NoVisibility(one.detector, one.title, one.technique, one.missing, _reason(one.missing))
        for one in sightings(ruleset, seen)
        if one.missing
    ]


def sightings(ruleset: RuleSet, seen: Seen) -> list[Sighting]:
    """One entry for each rule and correlation: what it needs, and what of it is missing.

    ``seen``: category → fields that were not empty in at least one of its events. A category without any event is
    itself what a rule lacks. A rule that only a correlation uses is reported with the correlation, not by itself.
    """
    known = _sights(ruleset, seen)
    told = [rule.meta for rule in ruleset.rules if not rule.silent]
    told += [correlation.meta for correlation in ruleset.correlations if not correlation.silent]
    return [
        Sighting(
            meta.detector, meta.title, meta.technique, _listed(known[meta.key].needs), _listed(known[meta.key].missing)
        )
        for meta in told
    ]


def _sights(ruleset: RuleSet, seen: Seen) -> dict[str, _Sight]:
    known = {rule.meta.key: _of_rule(rule, seen) for rule in ruleset.rules}
    for correlation in ruleset.correlations:  # an inner one stands before those that use it
        known[correlation.meta.key] = _of_correlation(correlation, known, seen)
    return known


def _of_events(rule: EventRule) -> EventRule:
    if rule.reads <= EVENT_COLUMNS.keys():
        return rule
    return replace(rule, condition=without_unknown(rule.condition, EVENT_COLUMNS))


def _of_rule(rule: EventRule, seen: Seen) -> _Sight:
    category = frozenset({_events_of(rule.category)})
    fields = seen.get(rule.category, EVENT_COLUMNS)  # of a category never seen only what no event has is told
    missing = lacking(rule.written or rule.condition, fields)
    if rule.category not in seen:
        missing |= category
    return _Sight(category | rule.needs, missing, rule.category)


def _of_correlation(rule: Correlation, known: Mapping[str, _Sight], seen: Seen) -> _Sight:
    counted = {key: _counted(rule, key, known[key], seen) for key in rule.rules}
    if rule.expression is not None:
        ways: list[list[str]] = [[*clause.steps, *clause.without] for clause in clauses(rule.expression)]
    elif rule.kind in TEMPORAL:
        nearest = sorted(rule.rules, key=lambda key: len(counted[key].missing))
        ways = [nearest[: _least(rule)]]
    else:
        ways = [[key] for key in rule.rules]
    sights = [_together([counted[key] for key in way]) for way in ways]
    best = min(sights, key=lambda sight: (len(sight.missing), len(sight.needs)))
    return replace(best, tells=rule.group_by)


def _counted(rule: Correlation, key: str, sight: _Sight, seen: Seen) -> _Sight:
    """A rule together with what the correlation asks of its events."""
    columns = frozenset(name for part in columns_of(rule, key) for name in part)
    if sight.tells is not None:  # a correlation: what it groups by it has asked for itself
        return replace(sight, missing=sight.missing | columns.difference(sight.tells))
    fields = seen.get(sight.category, EVENT_COLUMNS)
    return replace(sight, needs=sight.needs | columns, missing=sight.missing | columns.difference(fields))


def _least(rule: Correlation) -> int:
    """The fewest rules that can meet the bounds."""
    numbers = range(1, len(rule.rules) + 1)
    return next((n for n in numbers if all(bound.holds(n) for bound in rule.bounds)), len(rule.rules))


def _together(sights: Iterable[_Sight]) -> _Sight:
    needs, missing = frozenset[str](), frozenset[str]()
    for sight in sights:
        needs, missing = needs | sight.needs, missing | sight.missing
    return _Sight(needs, missing)


def _events_of(category: str) -> str:
    return f"events of category {category}"


def _listed(names: frozenset[str]) -> tuple[str, ...]:
    """Categories first."""
    return tuple(sorted(names, key=lambda name: (not name.startswith(_events_of("")), name)))


def _reason(lacks: Sequence[str]) -> str:
    return f"no visibility: needs {', '.join(lacks)}" + "".join(_suggestions(lacks))


def _suggestions(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name not in EVENT_COLUMNS and " " not in name:
            near = get_close_matches(name.lower(), EVENT_COLUMNS, n=1)
            yield f"; an event has no field {name!r}" + (f", did you mean {near[0]}?" if near else "")
