"""Rules for a SIEM: the library's or anybody's, converted or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from threatmatrix.detect.convert.backends import Converted, Converter, Refused
from threatmatrix.detect.convert.capabilities import Backend, backend_named
from threatmatrix.detect.convert.documents import counted_by, guarded, read_pipeline
from threatmatrix.knowledge import Library
from threatmatrix.model.errors import InputError, UsageError
from threatmatrix.workflows.rule_files import read_rule_files

if TYPE_CHECKING:
    from sigma.processing.pipeline import ProcessingPipeline

__all__ = ["Conversion", "convert_rules"]


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
    documents, invalid = guarded(sources)
    counted = counted_by(documents)
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
    return Conversion(converter.backend, tuple(converted), tuple(refused), (*(files.unread if files else ()), *invalid))


def _pipeline(path: Path | None) -> ProcessingPipeline | None:
    if path is None:
        return None
    files = read_rule_files([path])
    for unread in files.unread:
        raise unread
    if not files.sources:
        raise InputError(path, "no pipeline here", hint="A pipeline is a YAML file; name the file itself")
    return read_pipeline(files.sources)
