"""Rule files → a rule set: what runs, and what was refused, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from threatmatrix.detect.sigma.correlate import correlation_rule, generates
from threatmatrix.detect.sigma.documents import Document, read_documents
from threatmatrix.detect.sigma.filters import Suppression, apply_filters
from threatmatrix.detect.sigma.guard import check_document
from threatmatrix.detect.sigma.pipelines import Pipelines, read_pipelines
from threatmatrix.detect.sigma.resolve import Known, resolved
from threatmatrix.detect.sigma.rules import Correlation, EventRule
from threatmatrix.detect.sigma.schema import EVENTS, Schema
from threatmatrix.detect.sigma.translate import event_rule, field_of
from threatmatrix.model.errors import RuleError
from threatmatrix.model.matrix import RuleSource

__all__ = ["RuleSet", "compile_rules"]

_RULES = ("correlation", "rules")
_SHOWN = 20  # names in a message


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Compiled rules; ``refused`` holds one RuleError for each document that cannot be run as it is written.

    ``correlations``: one that others are made of stands before them.
    """

    rules: tuple[EventRule, ...] = ()
    correlations: tuple[Correlation, ...] = ()
    refused: tuple[RuleError, ...] = ()
    schema: Schema = EVENTS
    suppressions: tuple[Suppression, ...] = ()


def compile_rules(
    sources: Sequence[RuleSource],
    *,
    schema: Schema = EVENTS,
    pipelines: Sequence[RuleSource] = (),
    filters: Sequence[RuleSource] = (),
    strict: bool = False,
) -> RuleSet:
    """Compile rule files. A correlation may refer to a rule or correlation of any of them, by name or id.

    ``pipelines`` map fields and log sources of every rule; ``filters`` set events aside. A refused rule never stops the
    others; what refers to it is refused as well. With ``strict`` the first refusal is raised instead. Raises RuleError
    for a pipeline that is refused: rules that it should have mapped would all be wrong.
    """
    collector = _Collector(strict, schema, read_pipelines(pipelines))
    for document in collector.documents(sources):
        collector.read(document)
    collector.correlate()
    return collector.finish(list(collector.documents(filters)))


class _Collector:
    def __init__(self, strict: bool, schema: Schema, pipelines: Pipelines) -> None:
        self._strict = strict
        self._schema = schema
        self._pipelines = pipelines
        self._refused: list[RuleError] = []
        self._rules: dict[str, EventRule] = {}
        self._drafts: dict[str, Correlation] = {}  # with the names of rules as they are written
        self._correlations: dict[str, Correlation] = {}
        self._documents: dict[str, Document] = {}
        self._names: dict[str, str] = {}  # a rule's key and name → its key
        self._refused_names: set[str] = set()

    def documents(self, sources: Sequence[RuleSource]) -> Iterator[Document]:
        for source in sources:
            try:
                documents, refused = read_documents(source)
            except RuleError as error:
                self._refuse(error)
                continue
            for refusal in refused:
                self._refuse(refusal)
            yield from documents

    def read(self, document: Document) -> None:
        try:
            check_document(document)
            if "correlation" in document.raw:
                generates(document)
                draft = correlation_rule(document)
                self._register(document, draft)
                self._drafts[draft.meta.key] = draft
            else:
                rule = event_rule(document, self._schema, self._pipelines)
                self._register(document, rule)
                self._rules[rule.meta.key] = rule
        except RuleError as error:
            self._refused_names.update(str(document.raw[key]) for key in ("id", "name") if key in document.raw)
            self._refuse(error)

    def _register(self, document: Document, rule: EventRule | Correlation) -> None:
        names = {rule.meta.key, rule.meta.name} - {""}
        for name in names:
            if name in self._names:
                what = "id" if document.raw.get("id") else "name"
                raise document.refuse(f"{what} {name!r} is already taken by another rule", what)
        self._names.update(dict.fromkeys(names, rule.meta.key))
        self._documents[rule.meta.key] = document

    def _refuse(self, error: RuleError) -> None:
        if self._strict:
            raise error
        self._refused.append(error)

    def correlate(self) -> None:
        """Settle the correlations, those first that others are made of."""
        waiting = {}
        for key, draft in self._drafts.items():
            try:
                waiting[key] = self._keys_of(self._documents[key], draft)
            except RuleError as error:
                self._drop(key, error)
        while ready := [key for key, names in waiting.items() if not waiting.keys() & set(names.values())]:
            for key in ready:
                self._settle(key, waiting.pop(key))
        for key in waiting:
            self._drop(key, self._unsettled(key, waiting))

    def _settle(self, key: str, names: Mapping[str, str]) -> None:
        document, known = self._documents[key], Known(self._rules, self._correlations, self._schema, self._field_of)
        try:
            for name, inner in names.items():
                if inner not in self._rules and inner not in self._correlations:
                    raise document.refuse(f"it refers to rule {name!r}, which was refused", *_RULES)
            self._correlations[key] = resolved(document, self._drafts[key], names, known)
        except RuleError as error:
            self._drop(key, error)

    def _field_of(self, key: str, name: str) -> str:
        return field_of(self._documents[key], name, self._schema, self._pipelines)

    def _drop(self, key: str, error: RuleError) -> None:
        self._refused_names |= {name for name, other in self._names.items() if other == key}
        self._refuse(error)

    def _keys_of(self, document: Document, draft: Correlation) -> dict[str, str]:
        """Key of each rule that is correlated, by every name that the correlation has for it."""
        names = {name: self._key_of(document, name) for name in draft.rules}
        for _, fields in draft.aliases:
            for name, _ in fields:
                key = self._names.get(name) or self._names.get(name.lower())
                if key in names.values():
                    names[name] = str(key)
        return names

    def _key_of(self, document: Document, name: str) -> str:
        key = self._names.get(name) or self._names.get(name.lower())
        if key is not None:
            return key
        if name in self._refused_names:
            raise document.refuse(f"it refers to rule {name!r}, which was refused", *_RULES)
        metas = [rule.meta for rule in self._rules.values()] + [draft.meta for draft in self._drafts.values()]
        known = sorted(meta.name or meta.key for meta in metas)
        raise document.refuse(f"there is no rule {name!r}", *_RULES, choices=known[:_SHOWN])

    def _unsettled(self, key: str, waiting: Mapping[str, Mapping[str, str]]) -> RuleError:
        """Why a correlation is none of those that could be settled: it is part of a circle, or depends on one."""
        document = self._documents[key]
        paths = [[key]]
        seen: set[str] = set()
        for path in paths:
            for inner in waiting[path[-1]].values():
                if inner == key:
                    circle = " → ".join(self._called(one) for one in (*path, key))
                    return document.refuse(f"it is made of itself: {circle}", *_RULES)
                if inner in waiting and inner not in seen:
                    seen.add(inner)
                    paths.append([*path, inner])
        name = next(name for name, inner in waiting[key].items() if inner in waiting)
        return document.refuse(f"it refers to rule {name!r}, which was refused", *_RULES)

    def _called(self, key: str) -> str:
        return self._drafts[key].meta.name or key

    def finish(self, filters: Sequence[Document]) -> RuleSet:
        silent: set[str] = set()
        for key, correlation in self._correlations.items():
            if not generates(self._documents[key]):
                silent.update(correlation.rules)
        correlations = tuple(replace(one, silent=key in silent) for key, one in self._correlations.items())
        rules = {key: replace(rule, silent=key in silent) for key, rule in self._rules.items()}
        applied = apply_filters(
            filters,
            rules,
            correlations,
            names=self._names,
            translate=lambda document: event_rule(document, self._schema, self._pipelines),
            schema=self._schema,
            refused_names=self._refused_names,
        )
        for error in applied.refused:
            self._refuse(error)
        return RuleSet(
            tuple(applied.rules.values()), correlations, tuple(self._refused), self._schema, applied.suppressions
        )
