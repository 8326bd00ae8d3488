"""Rules → queries of a SIEM, by the backends of pySigma; what one of them would change is refused, with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError
from sigma.processing.conditions import LogsourceCondition
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import AddConditionTransformation
from sigma.rule import SigmaRule

from threatmatrix.detect.convert.capabilities import FEATURES, Backend
from threatmatrix.detect.convert.features import RESERVED, features, names
from threatmatrix.detect.convert.readings import misread
from threatmatrix.detect.sigma.documents import Document
from threatmatrix.model.errors import MissingExtraError, RuleError
from threatmatrix.model.event import CATEGORIES

__all__ = ["Converted", "Converter", "Refused"]

_FAILURES = (SigmaError, NotImplementedError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Converted:
    """One rule as a query."""

    title: str
    file: str
    logsource: Mapping[str, str]  # the records that the query is meant for
    query: str


@dataclass(frozen=True, slots=True)
class Refused:
    """One rule that the backend would change, or cannot write, and why."""

    title: str
    file: str
    reasons: tuple[str, ...]


class Converter:
    """One backend. ``pipeline`` maps fields to the names that the SIEM has. Raises MissingExtraError."""

    def __init__(self, backend: Backend, pipeline: ProcessingPipeline | None = None) -> None:
        self.backend = backend
        try:
            made = getattr(import_module(backend.module), backend.cls)
        except (ImportError, AttributeError) as error:
            raise MissingExtraError(f"conversion to {backend.name}", "convert") from error
        self._engine: Any = made(_categories() + (pipeline or ProcessingPipeline()))

    def convert(self, document: Document, *, counted_by: Sequence[str] = ()) -> Converted | Refused:
        """One document, a rule or a correlation, that the guard has let pass.

        ``counted_by``: the titles of the correlations for which alone the rule is there; it has no meaning by itself.
        """
        title, file = str(document.raw.get("title", "")), document.source.file
        if "correlation" in document.raw:
            return Refused(title, file, (self._correlation(document.raw["correlation"]),))
        try:
            reasons = tuple(dict.fromkeys(self._reasons(document)))
        except RuleError as error:
            return Refused(title, file, (error.message,))
        if counted_by:
            reasons = (f"it raises no findings by itself: it is a part of {', '.join(counted_by)}", *reasons)
        if reasons:
            return Refused(title, file, reasons)
        try:
            queries = self._engine.convert(SigmaCollection.from_dicts([_plain(document)]))
        except _FAILURES as error:
            return Refused(title, file, (f"the backend refuses it: {_first_line(error)}",))
        logsource = {key: str(value) for key, value in document.raw["logsource"].items() if key != "definition"}
        return Converted(title, file, logsource, "\n".join(map(str, queries)))

    def _reasons(self, document: Document) -> Iterator[str]:
        """Why the query would mean something else: pySigma misreads the rule, or the backend changes what it is given.

        Features are looked for behind the pipelines: a pipeline may add what the rule itself does not have.
        """
        changed: Mapping[Any, str] = self.backend.features
        try:
            rule = SigmaRule.from_dict(_plain(document))
            yield from misread(document, rule)
            self._engine.init_processing_pipeline()
            self._engine.last_processing_pipeline.apply(rule)
            conditions = [one.parsed for one in rule.detection.parsed_condition]
        except (*_FAILURES, RecursionError) as error:
            raise document.refuse(_first_line(error)) from error
        for tree in conditions:
            for name in names(tree):
                if not self.backend.names.fullmatch(name) or name.upper() in RESERVED:
                    yield f"the field name {name!r}: the backend would not write it as a name"
            for feature, field in features(tree):
                if feature in changed:
                    where = f" (field {field})" if field else ""
                    yield f"{FEATURES[feature]}{where}: {changed[feature]}"

    def _correlation(self, correlation: Mapping[str, Any]) -> str:
        kind: Any = correlation.get("type")
        if isinstance(correlation.get("condition"), str):
            return f"{kind} with a condition over rules: {self.backend.expression}"
        return f"{kind}: {self.backend.correlations[kind]}"


def _categories() -> ProcessingPipeline:
    """A rule for events of ours asks for their category: in a SIEM they lie beside all others."""
    return ProcessingPipeline(
        [
            ProcessingItem(
                AddConditionTransformation({"category": category}),
                rule_conditions=[LogsourceCondition(category=category)],
            )
            for category in CATEGORIES
        ]
    )


def _plain(document: Document) -> dict[str, Any]:
    """The rule for pySigma. A list of conditions becomes one: a backend would write a query for each."""
    detection = dict(document.raw["detection"])
    if isinstance(detection["condition"], list):
        detection["condition"] = " or ".join(f"({one})" for one in detection["condition"])
    return {key: value for key, value in document.raw.items() if key != "tests"} | {"detection": detection}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
