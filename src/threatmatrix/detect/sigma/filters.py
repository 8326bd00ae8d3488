"""Suppressions: Sigma filters with an owner and an end. What they set aside is counted, never silently gone.

A filter's condition says which events the named rules may still see (Sigma filters 2.1 and SigmaHQ's documentation;
pySigma joins it to the rule's own by *and*): ``condition: not selection`` sets aside what ``selection`` matches. The
specification's own example writes ``selection`` and means the same; since other tools would read it as "only these",
a condition that keeps nothing but matches is refused, with the way to write it.

An event is set aside while its own time lies before ``expires``, whenever it is judged: hunting back in time gives
what watching gave. A rule's condition becomes ``condition and not (set aside and time < expires)``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from threatmatrix.detect.sigma.documents import Document
from threatmatrix.detect.sigma.guard import check_document
from threatmatrix.detect.sigma.ir import And, Leaf, Node, Not, Or
from threatmatrix.detect.sigma.needs import without_unknown
from threatmatrix.detect.sigma.rules import Correlation, EventRule, Meta
from threatmatrix.detect.sigma.schema import Schema
from threatmatrix.detect.sigma.selftest import key_of
from threatmatrix.detect.sigma.sense import holds_of_nothing
from threatmatrix.model.errors import RuleError

__all__ = ["ANY", "Applied", "Suppression", "apply_filters"]

ANY = "any"
TECHNIQUE = "threatmatrix."
_OWN = ("owner", "expires", "description")
_AS_IN_RULES = ("title", "id", "taxonomy", "logsource")
_HINTS = {
    "owner": "Who answers for it: a person or a team",
    "expires": "A day, such as 2027-03-31: from its beginning (UTC) on, nothing is set aside any more",
    "description": "Why these events are known to be harmless",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """A filter that was applied. ``hidden`` is a silent rule that matches what it sets aside."""

    key: str  # its id, else its title
    title: str
    description: str
    owner: str
    expires: int  # µs since 1970 UTC
    file: str
    line: int
    rules: tuple[str, ...]  # keys of the event rules that it was applied to, in their order
    broad: bool  # whether it is for any rule
    hidden: EventRule

    @property
    def day(self) -> str:
        """``expires`` as it is written: 2027-03-31."""
        return datetime.fromtimestamp(self.expires / 1e6, UTC).strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of the filters."""

    rules: dict[str, EventRule]
    suppressions: tuple[Suppression, ...]
    refused: tuple[RuleError, ...]


def apply_filters(
    documents: Iterable[Document],
    rules: Mapping[str, EventRule],
    correlations: Sequence[Correlation],
    *,
    names: Mapping[str, str],
    translate: Callable[[Document], EventRule],
    schema: Schema,
    refused_names: Collection[str] = (),
) -> Applied:
    """Apply the documents that have a ``filter`` to ``rules`` (key → rule, in their order).

    ``names`` maps the id and the name of every rule and correlation to its key; of a correlation, the rules that it
    counts are meant. ``translate`` makes a rule of a document with a ``detection`` (pipelines and all). A filter that
    cannot be applied just as it is written is refused, and then applied to nothing. ``refused_names`` are ids and
    names of rules that were refused.
    """
    chooser = _Chooser(rules, {one.meta.key: one for one in correlations}, names, refused_names)
    done: list[Suppression] = []
    asides: dict[str, list[Node]] = {}
    refused: list[RuleError] = []
    for document in documents:
        try:
            made = _suppression(document, chooser, translate, schema)
            if any(made.key == other.key for other in done):
                raise document.refuse(f"the suppression {made.key!r} stands twice", "id")
        except RuleError as error:
            refused.append(error)
            continue
        done.append(made)
        for key in made.rules:
            asides.setdefault(key, []).append(_aside_of(made))
    return Applied(
        {key: _without(rule, asides.get(key, ())) for key, rule in rules.items()}, tuple(done), tuple(refused)
    )


def _without(rule: EventRule, asides: Sequence[Node]) -> EventRule:
    if not asides:
        return rule
    return replace(rule, written=rule.condition, condition=And((rule.condition, *map(Not, asides))))


def _aside_of(made: Suppression) -> Node:
    """What the filter itself says; the hidden rule adds the rules that it was applied to."""
    assert isinstance(made.hidden.condition, And)
    return made.hidden.condition.items[0]


def _suppression(
    document: Document, chooser: _Chooser, translate: Callable[[Document], EventRule], schema: Schema
) -> Suppression:
    check_document(document)
    if "filter" not in document.raw:
        raise document.refuse("no Sigma filter", hint="A suppression has a filter: rules, selections, a condition")
    owner, expires, description = _own_keys(document)
    title = document.raw.get("title")
    if not isinstance(title, str) or not title.strip():
        raise document.refuse("a filter has a title", "title")
    content = document.raw["filter"]
    if not isinstance(content, dict):
        raise document.refuse("is a mapping of rules, selections and a condition", "filter")
    said = translate(_as_rule(document, content))
    unknown = sorted(said.reads - schema.fields.keys())
    if unknown:
        raise document.refuse(f"an event has no field {unknown[0]!r}", "filter", choices=sorted(schema.fields))
    if not holds_of_nothing(said.condition):
        hint = "A filter's condition says what the rules may still see: write it with not, such as: not selection"
        raise document.refuse("would keep only what it matches", "filter", "condition", hint=hint)
    keys = chooser.choose(document, content.get("rules"), said.category)
    aside = said.condition.item if isinstance(said.condition, Not) else Not(said.condition)
    aside = And((aside, Leaf(schema.time, "lt", expires)))
    key = key_of(document)
    conditions = tuple(without_unknown(chooser.rules[name].condition, schema.fields) for name in keys)
    condition = And((aside, conditions[0] if len(conditions) == 1 else Or(conditions)))
    meta = Meta(key=f"suppression:{key}", title=title, technique="", file=document.source.file)
    return Suppression(
        key=key,
        title=title,
        description=description,
        owner=owner,
        expires=expires,
        file=document.source.file,
        line=document.lines.get((), 1),
        rules=keys,
        broad=_is_broad(content.get("rules")),
        hidden=EventRule(meta=meta, category=said.category, condition=condition, silent=True),
    )


def _own_keys(document: Document) -> tuple[str, int, str]:
    raw = document.raw
    for key in _OWN:
        if raw.get(key) in (None, ""):
            raise document.refuse("a suppression needs this key", key, hint=_HINTS[key])
    for key in ("owner", "description"):
        if not isinstance(raw[key], str) or not raw[key].strip():
            raise document.refuse("must be text", key, hint=_HINTS[key])
    return raw["owner"].strip(), _midnight(document, raw["expires"]), " ".join(raw["description"].split())


def _midnight(document: Document, value: Any) -> int:
    """µs of the beginning of a day, quoted or not."""
    day = value if type(value) is date else None
    if isinstance(value, str) and len(value) == len("2027-03-31"):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            day = None
    if day is None:
        raise document.refuse(f"{str(value)[:40]!r} is no day", "expires", hint=_HINTS["expires"])
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def _is_broad(named: Any) -> bool:
    return ANY in (str(name).lower() for name in (named if isinstance(named, list) else [named]))


class _FilterDocument(Document):
    """A filter read as a rule: what is refused of its ``detection`` stands under ``filter`` in the file."""

    def refuse(self, problem: str, *path: str | int, choices: Iterable[str] = (), hint: str = "") -> RuleError:
        where = ("filter", *path[1:]) if path[:1] == ("detection",) else path
        return super().refuse(problem, *where, choices=choices, hint=hint)


def _as_rule(document: Document, content: Mapping[str, Any]) -> Document:
    detection = {key: value for key, value in content.items() if key != "rules"}
    kept: dict[str, Any] = {key: document.raw[key] for key in _AS_IN_RULES if key in document.raw}
    return _FilterDocument(document.source, {**kept, "detection": detection}, document.lines)


@dataclass(frozen=True, slots=True)
class _Chooser:
    """Which event rules a filter means."""

    rules: Mapping[str, EventRule]
    correlations: Mapping[str, Correlation]
    names: Mapping[str, str]
    refused: Collection[str]

    def choose(self, document: Document, named: Any, category: str) -> tuple[str, ...]:
        """The keys, in the order of the rules. Raises RuleError for a name that stands for nothing."""
        path = ("filter", "rules")
        if isinstance(named, str):
            named = [named]
        if not isinstance(named, list) or not named or not all(isinstance(name, str) for name in named):
            hint = f"Ids or names of rules, {TECHNIQUE}<technique>, or {ANY}"
            raise document.refuse("names the rules that it is for", *path, hint=hint)
        chosen: set[str] = set()
        for index, name in enumerate(named):
            keys = self._named(document, name, (*path, index))
            fitting = {key for key in keys if self.rules[key].category == category}
            if not fitting:
                problem = f"{name!r} reads no events of category {category!r}"
                raise document.refuse(problem, *path, index, choices=sorted({self.rules[key].category for key in keys}))
            chosen |= fitting
        return tuple(key for key in self.rules if key in chosen)

    def _named(self, document: Document, name: str, path: tuple[str | int, ...]) -> Collection[str]:
        if name.lower() == ANY:
            return self.rules.keys()
        if name.startswith(TECHNIQUE):
            slug = name.removeprefix(TECHNIQUE)
            keys = {key for key, rule in self.rules.items() if rule.meta.technique == slug}
            keys |= {
                key for one in self.correlations.values() if one.meta.technique == slug for key in self._below(one)
            }
            if keys:
                return keys
            raise document.refuse(f"no rule is of technique {slug!r}", *path, choices=self._slugs())
        key = self.names.get(name) or self.names.get(name.lower()) or ""
        if key in self.rules:
            return {key}
        if key in self.correlations:
            return self._below(self.correlations[key])
        if name in self.refused:
            raise document.refuse(f"it is for rule {name!r}, which was refused", *path)
        raise document.refuse(f"there is no rule {name!r}", *path, hint="threatmatrix rules list shows every rule")

    def _below(self, correlation: Correlation) -> set[str]:
        """The event rules that a correlation counts, through others that it is made of."""
        found: set[str] = set()
        for key in correlation.rules:
            found |= {key} if key in self.rules else self._below(self.correlations[key])
        return found

    def _slugs(self) -> list[str]:
        return sorted({rule.meta.technique for rule in self.rules.values() if rule.meta.technique})
