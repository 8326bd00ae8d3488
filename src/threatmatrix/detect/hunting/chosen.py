"""Some rules of a rule set, with what their correlations need."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.sigma.rules import Correlation, EventRule
from threatmatrix.model.errors import UnknownNameError

__all__ = ["chosen"]


def chosen(ruleset: RuleSet, *, techniques: Collection[str] = (), names: Sequence[str] = ()) -> RuleSet:
    """The rules of these techniques (slugs) and those that are named; all where neither is given.

    A rule is named by its id, name or title, whatever the case. One that is named is heard even where only a
    correlation uses it. Rules that a chosen correlation counts come along, silent where they were not chosen
    themselves. Raises UnknownNameError for a name.
    """
    if not techniques and not names:
        return ruleset
    named = {key for name in names for key in _named(ruleset, name)}
    every: list[EventRule | Correlation] = [*ruleset.rules, *ruleset.correlations]
    wanted = named | {rule.meta.key for rule in every if _is_of(rule, techniques)}
    needed = set(wanted)
    for one in reversed(ruleset.correlations):  # an inner one stands before those that use it
        if one.meta.key in needed:
            needed.update(one.rules)

    def silent(rule: EventRule | Correlation) -> bool:
        key = rule.meta.key
        return key not in named and (rule.silent or key not in wanted)

    return replace(
        ruleset,
        rules=tuple(replace(rule, silent=silent(rule)) for rule in ruleset.rules if rule.meta.key in needed),
        correlations=tuple(replace(one, silent=silent(one)) for one in ruleset.correlations if one.meta.key in needed),
        suppressions=tuple(one for one in ruleset.suppressions if not needed.isdisjoint(one.rules)),
    )


def _is_of(rule: EventRule | Correlation, techniques: Collection[str]) -> bool:
    tagged = {tag.removeprefix("threatmatrix.") for tag in rule.meta.tags if tag.startswith("threatmatrix.")}
    return rule.meta.technique in techniques or not tagged.isdisjoint(techniques)


def _named(ruleset: RuleSet, name: str) -> Iterator[str]:
    every: list[EventRule | Correlation] = [*ruleset.rules, *ruleset.correlations]
    found = False
    for rule in every:
        if name.casefold() in {text.casefold() for text in (rule.meta.key, rule.meta.name, rule.meta.title) if text}:
            found = True
            yield rule.meta.key
    if not found:
        raise UnknownNameError(
            "rule", name, [text for rule in every for text in (rule.meta.title, rule.meta.name) if text]
        )
