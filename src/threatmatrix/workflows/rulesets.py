"""The library's rules, or anybody's, compiled with the library's pipelines and suppressions: the one place for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from threatmatrix.detect.sigma.compile import RuleSet, compile_rules
from threatmatrix.knowledge import Library
from threatmatrix.model.matrix import RuleSource

__all__ = ["compile_library", "compile_sources"]


def compile_library(library: Library, *, suppressions: Sequence[RuleSource] = ()) -> RuleSet:
    """Every rule of the library, with its pipelines and suppressions and these ``suppressions`` besides."""
    return compile_sources(library.rules(), library, suppressions=(*library.suppressions, *suppressions))


def compile_sources(
    sources: Sequence[RuleSource],
    library: Library,
    *,
    suppressions: Sequence[RuleSource] = (),
    on_progress: Callable[[int], None] | None = None,
) -> RuleSet:
    """Rules with the library's pipelines; ``on_progress`` is told how many files are done."""
    counted = _Counted(sources, on_progress) if on_progress else sources
    return compile_rules(counted, pipelines=library.pipelines, filters=suppressions)


class _Counted(Sequence[RuleSource]):
    """Sources that say how far whoever walks through them has come."""

    def __init__(self, sources: Sequence[RuleSource], on_progress: Callable[[int], None]) -> None:
        self._sources = sources
        self._on_progress = on_progress

    def __len__(self) -> int:
        return len(self._sources)

    @overload
    def __getitem__(self, index: int) -> RuleSource: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[RuleSource]: ...

    def __getitem__(self, index: int | slice) -> RuleSource | Sequence[RuleSource]:
        return self._sources[index]

    def __iter__(self) -> Iterator[RuleSource]:
        for done, source in enumerate(self._sources, 1):
            yield source
            self._on_progress(done)
