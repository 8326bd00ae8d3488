"""What is handed to a backend: documents that our own guards let pass, and a pipeline that they let pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sigma.exceptions import SigmaError
from sigma.processing.pipeline import ProcessingPipeline

from threatmatrix.detect.sigma.correlate import correlation_rule, generates
from threatmatrix.detect.sigma.documents import Document, read_documents
from threatmatrix.detect.sigma.guard import check_document
from threatmatrix.detect.sigma.pipelines import read_pipelines
from threatmatrix.detect.sigma.schema import Schema
from threatmatrix.detect.sigma.translate import event_rule
from threatmatrix.model.errors import RuleError
from threatmatrix.model.matrix import RuleSource

__all__ = ["counted_by", "guarded", "read_pipeline"]

# Whatever the SIEM has: fields and logsources are its own business, and its pipeline's.
_ANYTHING = Schema(fields={}, categories=("anything",), keywords=("message",))


def guarded(sources: Sequence[RuleSource]) -> tuple[list[Document], list[RuleError]]:
    """Rules and correlations that our own engine would read, and a refusal for each of the others."""
    found: list[Document] = []
    invalid: list[RuleError] = []
    for source in sources:
        try:
            documents, refused = read_documents(source)
        except RuleError as error:
            invalid.append(error)
            continue
        invalid += refused
        for document in documents:
            try:
                _check(document)
            except RuleError as error:
                invalid.append(error)
            else:
                found.append(document)
    return found, invalid


def _check(document: Document) -> None:
    """Refuse what our own engine would refuse of the language, whatever the logsource. Raises RuleError."""
    check_document(document)
    if "correlation" in document.raw:
        correlation_rule(document)
    else:
        event_rule(replace(document, raw={**document.raw, "logsource": {"category": "anything"}}), _ANYTHING)


def counted_by(documents: Sequence[Document]) -> Mapping[int, tuple[str, ...]]:
    """``id`` of a document that is there only for correlations → their titles."""
    titles: dict[str, list[str]] = {}
    for document in documents:
        if "correlation" in document.raw and not generates(document):
            for name in correlation_rule(document).rules:
                titles.setdefault(name, []).append(str(document.raw.get("title", "")))
    return {
        id(document): tuple(dict.fromkeys([*titles.get(name, ()), *titles.get(key, ())]))
        for document in documents
        for name, key in [(str(document.raw.get("name", "")), str(document.raw.get("id", "")))]
    }


def read_pipeline(sources: Sequence[RuleSource]) -> ProcessingPipeline:
    """A pipeline for pySigma, read with our own guards first: its reader would also run templates and commands.

    Raises RuleError.
    """
    read_pipelines(sources)
    made = [(source.file, document.raw) for source in sources for document in read_documents(source)[0]]
    whole = ProcessingPipeline()
    for file, raw in made:
        try:
            whole += ProcessingPipeline.from_dict(raw)
        except SigmaError as error:
            raise RuleError(file, f"not a pipeline that the backends take: {error}") from error
    return whole
