"""Rule files → a rule set: what runs, and what was refused, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from threatmatrix.detect.sigma.correlate import correlation_rule
from threatmatrix.detect.sigma.documents import Document, read_documents
from threatmatrix.detect.sigma.guard import check_document
from threatmatrix.detect.sigma.rules import Correlation, EventRule
from threatmatrix.detect.sigma.schema import EVENTS, Schema
from threatmatrix.detect.sigma.translate import event_rule
from threatmatrix.model.errors import RuleError
from threatmatrix.model.matrix import RuleSource

__all__ = ["RuleSet", "compile_rules"]


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Compiled rules; ``refused`` holds one RuleError for each document that cannot be run as it is written."""

    rules: tuple[EventRule, ...] = ()
    correlations: tuple[Correlation, ...] = ()
    refused: tuple[RuleError, ...] = ()
    schema: Schema = EVENTS


def compile_rules(sources: Sequence[RuleSource], *, strict: bool = False) -> RuleSet:
    """Compile rule files. A correlation may refer to a rule of any of them, by name or id.

    A refused rule never stops the others; a correlation over a refused rule is refused as well. With ``strict`` the
    first refusal is raised instead (RuleError).
    """
    collector = _Collector(strict)
    for source in sources:
        collector.read(source)
    return collector.finish()


class _Collector:
    def __init__(self, strict: bool) -> None:
        self._strict = strict
        self._refused: list[RuleError] = []
        self._rules: dict[str, EventRule] = {}
        self._correlations: dict[str, tuple[Document, Correlation]] = {}
        self._names: dict[str, str] = {}  # a rule's key and name → its key
        self._refused_names: set[str] = set()

    def read(self, source: RuleSource) -> None:
        try:
            documents, refused = read_documents(source)
        except RuleError as error:
            self._refuse(error)
            return
        for refusal in refused:
            self._refuse(refusal)
        for document in documents:
            try:
                self._compile(document)
            except RuleError as error:
                self._refused_names.update(str(document.raw[key]) for key in ("id", "name") if key in document.raw)
                self._refuse(error)

    def _compile(self, document: Document) -> None:
        check_document(document)
        if "correlation" in document.raw:
            correlation = correlation_rule(document)
            self._register(document, correlation)
            self._correlations[correlation.meta.key] = (document, correlation)
        else:
            rule = event_rule(document)
            self._register(document, rule)
            self._rules[rule.meta.key] = rule

    def _register(self, document: Document, rule: EventRule | Correlation) -> None:
        names = {rule.meta.key, rule.meta.name} - {""}
        for name in names:
            if name in self._names:
                what = "id" if document.raw.get("id") else "name"
                raise document.refuse(f"{what} {name!r} is already taken by another rule", what)
        self._names.update(dict.fromkeys(names, rule.meta.key))

    def _refuse(self, error: RuleError) -> None:
        if self._strict:
            raise error
        self._refused.append(error)

    def finish(self) -> RuleSet:
        correlations: list[Correlation] = []
        silent: set[str] = set()
        for document, correlation in self._correlations.values():
            try:
                keys = tuple(dict.fromkeys(self._resolve(document, name) for name in correlation.rules))
            except RuleError as error:
                self._refuse(error)
                continue
            correlations.append(replace(correlation, rules=keys))
            if not _generates(document):
                silent.update(keys)
        rules = (replace(rule, silent=key in silent) for key, rule in self._rules.items())
        return RuleSet(tuple(rules), tuple(correlations), tuple(self._refused))

    def _resolve(self, document: Document, name: str) -> str:
        key = self._names.get(name) or self._names.get(name.lower())
        path = ("correlation", "rules")
        if key in self._rules:
            return str(key)
        if key in self._correlations:
            raise document.refuse(f"{name!r} is a correlation: correlations of correlations are not supported", *path)
        if name in self._refused_names:
            raise document.refuse(f"it refers to rule {name!r}, which was refused", *path)
        raise document.refuse(f"there is no rule {name!r}", *path, choices=_known(self._rules))


def _generates(document: Document) -> bool:
    # The specification names `generate` without saying where it stands; pySigma reads it within the correlation.
    return bool(document.raw["correlation"].get("generate", document.raw.get("generate", False)))


def _known(rules: Mapping[str, EventRule]) -> Iterable[str]:
    return sorted(rule.meta.name or key for key, rule in rules.items())[:20]
