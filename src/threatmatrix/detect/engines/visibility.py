"""Where a rule set is blind: fields that the telemetry, or the event itself, does not have."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches

from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.sigma.rules import Correlation, EventRule, Meta
from threatmatrix.detect.visibility import Sighting
from threatmatrix.model.detection import NoVisibility
from threatmatrix.model.event import EVENT_COLUMNS

__all__ = ["blind_spots", "runnable", "sightings"]


def runnable(ruleset: RuleSet) -> tuple[list[EventRule], list[Correlation]]:
    """The rules and correlations that name only fields that an event has."""
    rules = [rule for rule in ruleset.rules if rule.reads <= EVENT_COLUMNS.keys()]
    keys = {rule.meta.key for rule in rules}
    correlations = [
        correlation
        for correlation in ruleset.correlations
        if keys.issuperset(correlation.rules) and EVENT_COLUMNS.keys() >= set(correlation.group_by)
    ]
    return rules, correlations


def blind_spots(ruleset: RuleSet, seen: Mapping[str, Collection[str]]) -> list[NoVisibility]:
    """One entry for each rule and correlation that cannot see; ``seen`` and the choice as in :func:`sightings`."""
    return [
        NoVisibility(one.detector, one.title, one.technique, one.missing, _reason(one.missing))
        for one in sightings(ruleset, seen)
        if one.missing
    ]


def sightings(ruleset: RuleSet, seen: Mapping[str, Collection[str]]) -> list[Sighting]:
    """One entry for each rule and correlation: what it needs, and what of it is missing.

    ``seen``: category → fields that were not empty in at least one of its events. A category without any event is
    itself what a rule lacks. A rule that only a correlation uses is reported with the correlation, not by itself.
    """
    rules = {rule.meta.key: rule for rule in ruleset.rules}
    found = [_sighting(rule.meta, [rule], frozenset(), seen) for rule in ruleset.rules if not rule.silent]
    for correlation in ruleset.correlations:
        counted = [rules[key] for key in correlation.rules]
        found.append(_sighting(correlation.meta, counted, frozenset(correlation.group_by), seen))
    return found


def _sighting(
    meta: Meta, rules: Sequence[EventRule], group_by: frozenset[str], seen: Mapping[str, Collection[str]]
) -> Sighting:
    # Several rules feed one count: it is blind only where each of them is.
    rule = min(rules, key=lambda each: len(_lacking(each, group_by, seen)))
    needs = (f"events of category {rule.category}", *sorted(rule.reads | group_by))
    return Sighting(meta.detector, meta.title, meta.technique, needs, _lacking(rule, group_by, seen))


def _lacking(rule: EventRule, group_by: frozenset[str], seen: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    needs = rule.reads | group_by
    if rule.category not in seen:
        unknown = sorted(needs - EVENT_COLUMNS.keys())
        return (f"events of category {rule.category}", *unknown)
    return tuple(sorted(needs - set(seen[rule.category])))


def _reason(lacks: tuple[str, ...]) -> str:
    return f"no visibility: needs {', '.join(lacks)}" + "".join(_suggestions(lacks))


def _suggestions(names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        if name not in EVENT_COLUMNS and " " not in name:
            near = get_close_matches(name.lower(), EVENT_COLUMNS, n=1)
            yield f"; an event has no field {name!r}" + (f", did you mean {near[0]}?" if near else "")
