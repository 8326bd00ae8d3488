"""``rules list`` and ``rules show``: what each rule of the library says, and what hangs on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.sigma.filters import Suppression
from threatmatrix.detect.sigma.rules import KINDS, Correlation, EventRule
from threatmatrix.detect.sigma.selftest import RuleTest, read_tests
from threatmatrix.knowledge import Library
from threatmatrix.model.detection import Severity
from threatmatrix.model.errors import RuleError, UnknownNameError
from threatmatrix.model.event import CATEGORIES
from threatmatrix.model.matrix import RuleSource
from threatmatrix.workflows.rule_documents import rule_documents
from threatmatrix.workflows.rulesets import compile_library

__all__ = ["Catalogue", "Entry", "Wanted", "catalogue"]

Rule = EventRule | Correlation


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One rule, with what a list of rules shows."""

    rule: Rule
    line: int
    kind: str  # event, or the type of the correlation
    categories: tuple[str, ...]
    tests: tuple[RuleTest, ...]
    suppressions: tuple[Suppression, ...]  # those that take events away from it, expired ones too
    counted_by: tuple[str, ...]  # titles of the correlations that name it

    @property
    def silent(self) -> bool:
        """Whether it makes no findings of its own: a correlation counts it."""
        return self.rule.silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rules are asked for; what is empty asks for nothing."""

    technique: str = ""  # slug, or an id of ATLAS or ATT&CK
    level: str = ""
    tag: str = ""
    category: str = ""
    kind: str = ""  # event, correlation, or a type of correlation
    search: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every rule of a library that can be run, and those that cannot."""

    entries: tuple[Entry, ...]
    ruleset: RuleSet
    library: Library
    now: int = field(default_factory=lambda: time.time_ns() // 1000)

    def select(self, wanted: Wanted) -> tuple[Entry, ...]:
        """The rules that are asked for. Raises UnknownNameError for a technique, level, category or kind of no rule."""
        tests = [*_tests(wanted, self.entries)]
        if wanted.technique:
            slugs = _techniques(self.library, wanted.technique)
            tests.append(lambda entry: entry.rule.meta.technique in slugs)
        return tuple(entry for entry in self.entries if all(test(entry) for test in tests))

    def entry(self, name: str) -> Entry:
        """A rule by its id, name or title. Raises UnknownNameError with the nearest ones."""
        folded = name.strip().lower()
        for entry in self.entries:
            meta = entry.rule.meta
            if folded in {meta.key.lower(), meta.name.lower(), meta.title.lower()} - {""}:
                return entry
        choices = [text for entry in self.entries for text in (entry.rule.meta.name, entry.rule.meta.title) if text]
        error = UnknownNameError("rule", name, choices)
        if error.hint.startswith("Valid"):  # nothing is near, and there are hundreds
            error.hint = "`threatmatrix rules list --search WORDS` finds one by its words"
        raise error

    def steps(self, entry: Entry) -> tuple[Entry, ...]:
        """The rules that a correlation is made of, in its order."""
        by_key = {each.rule.meta.key: each for each in self.entries}
        return tuple(by_key[key] for key in entry.rule.rules) if isinstance(entry.rule, Correlation) else ()

    def expired(self, suppression: Suppression) -> bool:
        """Whether it sets nothing aside any more."""
        return suppression.expires <= self.now


def catalogue(library: Library, *, suppressions: Sequence[RuleSource] = ()) -> Catalogue:
    """The library's rules, technique by technique in the order of the matrix."""
    ruleset = compile_library(library, suppressions=suppressions)
    compiled: dict[str, Rule] = {rule.meta.key: rule for rule in ruleset.rules}
    compiled |= {rule.meta.key: rule for rule in ruleset.correlations}
    event_rules = {rule.meta.key: rule for rule in ruleset.rules}
    entries = []
    for source in library.rules():
        for key, document in rule_documents(source):
            rule = compiled.get(key)
            if rule is None or rule.meta.file != source.file:
                continue
            below = [event_rules[each] for each in _below(rule, compiled)]
            categories = tuple(dict.fromkeys(each.category for each in below))
            try:
                tests = read_tests(document, categories[0] if isinstance(rule, EventRule) else "")
            except RuleError:  # rules lint and rules test say so
                tests = ()
            keys = {each.meta.key for each in below}
            entries.append(
                Entry(
                    rule=rule,
                    line=document.lines[()],
                    kind="event" if isinstance(rule, EventRule) else rule.kind,
                    categories=categories,
                    tests=tests,
                    suppressions=tuple(one for one in ruleset.suppressions if keys & set(one.rules)),
                    counted_by=tuple(one.meta.title for one in ruleset.correlations if key in one.rules),
                )
            )
    return Catalogue(tuple(entries), ruleset, library)


def _below(rule: Rule, compiled: dict[str, Rule]) -> list[str]:
    """Keys of the event rules that a rule is made of: itself, or what a correlation counts."""
    if isinstance(rule, EventRule):
        return [rule.meta.key]
    return list(dict.fromkeys(key for name in rule.rules for key in _below(compiled[name], compiled)))


def _tests(wanted: Wanted, entries: Sequence[Entry]) -> Iterable[Callable[[Entry], bool]]:
    if wanted.level:
        _check("level", wanted.level, [level.name for level in Severity])
        yield lambda entry: entry.rule.meta.level == wanted.level
    if wanted.category:
        _check("category", wanted.category, CATEGORIES)
        yield lambda entry: wanted.category in entry.categories
    if wanted.kind:
        _check("kind of rule", wanted.kind, ("event", "correlation", *KINDS))
        yield lambda entry: wanted.kind in {entry.kind, "event" if entry.kind == "event" else "correlation"}
    if wanted.tag:
        yield lambda entry: any(wanted.tag.lower() in tag.lower() for tag in entry.rule.meta.tags)
    if wanted.search:
        yield lambda entry: all(word in _text(entry) for word in wanted.search.lower().split())


def _check(what: str, name: str, choices: Sequence[str]) -> None:
    if name not in choices:
        raise UnknownNameError(what, name, choices)


def _text(entry: Entry) -> str:
    meta = entry.rule.meta
    return " ".join([meta.title, meta.name, meta.technique, meta.description, *meta.tags, *meta.falsepositives]).lower()


def _techniques(library: Library, name: str) -> set[str]:
    """Slugs that are meant: the technique with its sub-techniques, by slug or by an id. Raises UnknownNameError."""
    found = {slug for slug in library.techniques if slug == name}
    if not found:
        found = {
            slug
            for slug, technique in library.techniques.items()
            if any(item.id.lower() == name.lower() for item in (*technique.atlas, *technique.attack))
        }
    if not found:
        raise UnknownNameError("technique", name, tuple(library.techniques))
    return found | {child.slug for slug in found for child in library.children(slug)}
