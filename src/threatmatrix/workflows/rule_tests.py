"""``rules test``: run the tests that rules carry, of the library or of anybody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from threatmatrix.detect.engines.rehearsal import TestResult, Tests, run_tests
from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.sigma.documents import Document
from threatmatrix.detect.sigma.selftest import read_tests
from threatmatrix.knowledge import Library
from threatmatrix.model.errors import InputError, RuleError
from threatmatrix.model.matrix import RuleSource
from threatmatrix.workflows.rule_documents import rule_documents
from threatmatrix.workflows.rule_files import RuleFiles, read_rule_files
from threatmatrix.workflows.rulesets import compile_sources

__all__ = ["Rehearsal", "RehearsedRule", "gather", "rehearse", "rehearse_files"]


@dataclass(frozen=True, slots=True)
class RehearsedRule:
    """One rule with the results of its tests; none where it carries none."""

    __test__ = False

    key: str
    title: str
    technique: str
    file: str
    line: int
    results: tuple[TestResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What came of a run."""

    __test__ = False

    rules: tuple[RehearsedRule, ...]
    refused: tuple[RuleError, ...]  # rules and tests that cannot be run as they are written
    unread: tuple[InputError, ...]
    passed: int = 0  # files of a folder that hold no rule
    with_library: bool = False

    @property
    def results(self) -> list[TestResult]:
        return [result for rule in self.rules for result in rule.results]

    @property
    def failed(self) -> int:
        return sum(not result.passed for result in self.results)

    @property
    def untested(self) -> tuple[RehearsedRule, ...]:
        return tuple(rule for rule in self.rules if not rule.results)


def rehearse(
    paths: Sequence[Path],
    library: Library,
    *,
    with_library: bool = False,
    on_stage: Callable[[str], None] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Rehearsal:
    """Run the tests of the rules in ``paths``, or of the library's where there are none.

    Rules of other folders run alone, or with ``with_library`` among the library's, whose rules a correlation may then
    name. Folders of the library itself are always tested among its rules. Raises InputError for a path that does not
    exist, or that holds no rule file at all.
    """
    files, others = gather(paths, library, with_library)
    return rehearse_files(files, others, library, on_stage=on_stage, on_progress=on_progress)


def rehearse_files(
    files: RuleFiles,
    others: Sequence[RuleSource],
    library: Library,
    *,
    on_stage: Callable[[str], None] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Rehearsal:
    """Run the tests of rules that were read, with ``others`` beside them."""
    stage = on_stage or (lambda _: None)
    stage(f"compiling {len(files.sources) + len(others):,} rule files")
    ruleset = compile_sources([*files.sources, *others], library, on_progress=on_progress)
    own = {source.file for source in files.sources}
    refused = [error for error in ruleset.refused if error.file in own]
    rules, suites, wrong = _suites(files.sources, ruleset)
    stage(f"running {sum(len(suite.tests) for suite in suites):,} tests")
    results = run_tests(ruleset, suites, on_progress=on_progress)
    by_key: dict[str, list[TestResult]] = {}
    for result in results:
        by_key.setdefault(result.rule, []).append(result)
    tested = [
        RehearsedRule(rule.key, rule.title, rule.technique, rule.file, rule.line, tuple(by_key.get(rule.key, ())))
        for rule in rules
    ]
    return Rehearsal(tuple(tested), (*refused, *wrong), files.unread, files.passed, bool(others))


def gather(paths: Sequence[Path], library: Library, with_library: bool) -> tuple[RuleFiles, list[RuleSource]]:
    """The rules that are meant, and those beside which they stand. Raises InputError."""
    if not paths:
        return RuleFiles(library.rules()), []
    files = read_rule_files(paths)
    if not (files.sources or files.filters or files.unread):
        raise InputError(", ".join(map(str, paths)), "no rule file here", hint="Rules are YAML files: .yml, .yaml")
    roots = [root.resolve() for root in (library.root, library.overlay) if root]
    inside = any(path.resolve().is_relative_to(root) for path in paths for root in roots)
    if not (with_library or inside):
        return files, []
    own = {Path(source.file).resolve() for source in files.sources}
    return files, [rule for rule in library.rules() if Path(rule.file).resolve() not in own]


def _suites(
    sources: Sequence[RuleSource], ruleset: RuleSet
) -> tuple[list[RehearsedRule], list[Tests], list[RuleError]]:
    """The rules, the tests of those that carry some, and what is wrong with tests."""
    categories = {rule.meta.key: rule.category for rule in ruleset.rules}
    homes = {rule.meta.key: rule.meta.file for rule in ruleset.rules}
    homes |= {rule.meta.key: rule.meta.file for rule in ruleset.correlations}
    rules: list[RehearsedRule] = []
    suites: list[Tests] = []
    wrong: list[RuleError] = []
    for source in sources:
        for found, document in rule_documents(source):
            taken = homes.get(found, source.file) != source.file  # by a rule of another file: this one was refused
            key = f"{found} in {source.file}" if taken else found
            title = str(document.raw.get("title") or key)
            rules.append(RehearsedRule(key, title, source.technique, source.file, document.lines[()]))
            try:
                tests = read_tests(document, categories.get(key) or _category(document))
            except RuleError as error:
                wrong.append(error)
            else:
                suites += [Tests(key, tests)] if tests else []
    return rules, suites, wrong


def _category(document: Document) -> str:
    """The category that a refused rule names, so that its tests are read all the same."""
    logsource = document.raw.get("logsource")
    category = logsource.get("category") if isinstance(logsource, dict) else ""
    return category if isinstance(category, str) else ""
