"""Rules for a SIEM: the library's or anybody's, converted or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sigma.exceptions import SigmaError
from sigma.processing.pipeline import ProcessingPipeline

from threatmatrix.detect.convert.backends import Converted, Converter, Refused
from threatmatrix.detect.convert.capabilities import Backend, backend_named
from threatmatrix.detect.sigma.correlate import correlation_rule, generates
from threatmatrix.detect.sigma.documents import Document, read_documents
from threatmatrix.detect.sigma.guard import check_document
from threatmatrix.detect.sigma.pipelines import read_pipelines
from threatmatrix.detect.sigma.schema import Schema
from threatmatrix.detect.sigma.translate import event_rule
from threatmatrix.knowledge import Library
from threatmatrix.model.errors import InputError, RuleError, UsageError
from threatmatrix.model.matrix import RuleSource
from threatmatrix.workflows.rule_files import read_rule_files

__all__ = ["Conversion", "convert_rules"]

# Whatever the SIEM has: fields and logsources are its own business, and its pipeline's.
_ANYTHING = Schema(fields={}, categories=("anything",), keywords=("message",))


@dataclass(frozen=True, slots=True)
class Conversion:
    """What came of it: ``invalid`` is what no engine could read, file by file."""

    backend: Backend
    converted: tuple[Converted, ...]
    refused: tuple[Refused, ...]
    invalid: tuple[UsageError, ...]


def convert_rules(
    library: Library,
    to: str,
    *,
    paths: Sequence[Path] = (),
    pipeline: Path | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Conversion:
    """Convert the rules of files and folders, or the library's. ``pipeline``: a Sigma processing pipeline (YAML).

    Raises UnknownNameError (no such backend), MissingExtraError, InputError and RuleError (the pipeline).
    """
    converter = Converter(backend_named(to), _pipeline(pipeline))
    files = read_rule_files(paths) if paths else None
    if files and not (files.sources or files.filters or files.unread):
        raise InputError(", ".join(map(str, paths)), "no rule file here", hint="Rules are YAML files: .yml, .yaml")
    sources = files.sources if files else library.rules()
    invalid: list[UsageError] = list(files.unread if files else ())
    documents = _documents(sources, invalid)
    counted = _counted(documents)
    converted: list[Converted] = []
    refused: list[Refused] = []
    for done, document in enumerate(documents, 1):
        one = converter.convert(document, counted_by=counted.get(id(document), ()))
        if isinstance(one, Converted):
            converted.append(one)
        else:
            refused.append(one)
        if on_progress:
            on_progress(done)
    return Conversion(converter.backend, tuple(converted), tuple(refused), tuple(invalid))


def _documents(sources: Sequence[RuleSource], invalid: list[UsageError]) -> list[Document]:
    """Rules and correlations, read and guarded; what is neither, or was refused, goes to ``invalid``."""
    found: list[Document] = []
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
    return found


def _check(document: Document) -> None:
    """Refuse what our own engine would refuse of the language, whatever the logsource. Raises RuleError."""
    check_document(document)
    if "correlation" in document.raw:
        correlation_rule(document)
    else:
        event_rule(replace(document, raw={**document.raw, "logsource": {"category": "anything"}}), _ANYTHING)


def _counted(documents: Sequence[Document]) -> Mapping[int, tuple[str, ...]]:
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


def _pipeline(path: Path | None) -> ProcessingPipeline | None:
    """Read with our own guards first: pySigma's reader would also run templates and commands."""
    if path is None:
        return None
    files = read_rule_files([path])
    for unread in files.unread:
        raise unread
    if not files.sources:
        raise InputError(path, "no pipeline here", hint="A pipeline is a YAML file; name the file itself")
    read_pipelines(files.sources)
    made: list[dict[str, Any]] = []
    for source in files.sources:
        made += [document.raw for document in read_documents(source)[0]]
    try:
        return sum((ProcessingPipeline.from_dict(raw) for raw in made), ProcessingPipeline())
    except SigmaError as error:
        raise RuleError(path, f"not a pipeline that the backends take: {error}") from error
