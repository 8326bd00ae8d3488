"""``rules lint``: what is wrong with rules, beyond what keeps them from running. docs/lint.md lists every check."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from threatmatrix.detect.sigma.compile import RuleSet
from threatmatrix.detect.sigma.documents import Document
from threatmatrix.detect.sigma.filters import Suppression
from threatmatrix.detect.sigma.ir import Leaf, leaves
from threatmatrix.detect.sigma.rules import Correlation, EventRule
from threatmatrix.detect.sigma.selftest import read_tests
from threatmatrix.detect.sigma.sense import constant, holds_of_nothing
from threatmatrix.knowledge import Library
from threatmatrix.knowledge.index import load_index
from threatmatrix.knowledge.lint.findings import LintFinding, Report, finding, in_order
from threatmatrix.knowledge.lint.mapping_judge import Judge
from threatmatrix.knowledge.lint.mapping_sigma import documents_of, lint_rules
from threatmatrix.model.errors import FormatError, RuleError, UsageError
from threatmatrix.model.matrix import RuleSource
from threatmatrix.workflows.rule_documents import rule_documents
from threatmatrix.workflows.rule_tests import gather
from threatmatrix.workflows.rulesets import compile_sources

__all__ = ["lint_rule_files"]

_KEYS = {
    "id": "Without an id a rule is named by its title, and a new title starts it anew",
    "description": "Its first sentence explains a finding to an analyst",
    "level": "Without a level its findings are medium",
    "tags": "Say which techniques it finds: attack.t1078, atlas.aml-t0024, threatmatrix.<technique>",
    "falsepositives": "Say who does the same honestly",
}
_SHORT = 3
_SOON = 14 * 86_400_000_000  # µs
_PLAIN = set("\\.^$*+?()[]{}|")


def lint_rule_files(
    paths: Sequence[Path],
    library: Library,
    *,
    suppressions: Sequence[RuleSource] = (),
    on_stage: Callable[[str], None] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Report:
    """Findings in the rules of ``paths``, or of the library where there are none. Needs no network.

    Raises InputError for a path that does not exist or holds no rule file. ``checked`` counts files, rules and ids.
    """
    stage = on_stage or (lambda _: None)
    files, others = gather(paths, library, with_library=False)
    filters = (*files.filters, *suppressions) if paths else (*library.suppressions, *suppressions)
    if filters and paths:  # they may be for the library's rules
        known = {Path(source.file).resolve() for source in files.sources}
        others = [rule for rule in library.rules() if Path(rule.file).resolve() not in known]
    stage(f"compiling {len(files.sources) + len(others):,} rule files")
    ruleset = compile_sources([*files.sources, *others], library, suppressions=filters, on_progress=on_progress)
    stage(f"checking {len(files.sources):,} rule files")
    run = _Run(ruleset, library)
    for number, source in enumerate(files.sources, 1):
        run.check(source)
        if on_progress:
            on_progress(number)
    own = {source.file for source in (*files.sources, *filters)}
    found = [_of_error(error, "TM-F001-unreadable") for error in files.unread]
    found += [_of_error(error, "TM-R001-refused") for error in ruleset.refused if error.file in own]
    for suppression in ruleset.suppressions:
        found += _suppression(suppression, time.time_ns() // 1000)
    checked = {"files": len(files.sources) + len(filters), "rules": run.rules, "suppressions": len(filters)}
    return Report(in_order([*found, *run.findings]), {**checked, "ids": run.ids})


class _Run:
    """Goes through rule files one by one."""

    def __init__(self, ruleset: RuleSet, library: Library) -> None:
        self.findings: list[LintFinding] = []
        self.rules = self.ids = 0
        self._ruleset = ruleset
        self._compiled: dict[str, EventRule | Correlation] = {rule.meta.key: rule for rule in ruleset.rules}
        self._compiled |= {rule.meta.key: rule for rule in ruleset.correlations}
        self._judge = Judge(load_index(), None, library.releases)
        self._slugs = tuple(library.techniques)
        self._titles: set[str] = set()

    def check(self, source: RuleSource) -> None:
        """Every rule of one file, and its tags."""
        for key, document in rule_documents(source):
            self.rules += 1
            title = str(document.raw.get("title", key))
            if title in self._titles:
                message = f"two rules are called {title[:80]!r}"
                self.findings.append(_at(document, "TM-R007-repeated-title", message, "title"))
            self._titles.add(title)
            rule = self._compiled.get(key)
            self.findings += _document(
                document, rule if rule and rule.meta.file == source.file else None, self._ruleset
            )
        try:
            tags = lint_rules(documents_of(source.text, source.file), self._judge, self._slugs)
        except FormatError:  # refused by the compiler as well, which says so
            return
        self.findings += tags.findings
        self.ids += tags.checked["ids"]


def _of_error(error: UsageError, check: str) -> LintFinding:
    file, line, key = str(getattr(error, "file", "")), getattr(error, "line", None), getattr(error, "key", "")
    message = error.message.removeprefix(f"{file}:{line}: ").removeprefix(f"{file}: ")
    return finding(
        check, file, message.removeprefix(f"{key}: ") if key else message, line=line, key=key, hint=error.hint
    )


def _at(document: Document, check: str, message: str, *path: str | int, hint: str = "") -> LintFinding:
    line = next((document.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in document.lines), None)
    key = ".".join(map(str, path))
    return finding(check, document.source.file, message, line=line, key=key, hint=hint)


def _document(document: Document, rule: EventRule | Correlation | None, ruleset: RuleSet) -> Iterator[LintFinding]:
    raw = document.raw
    for key, why in _KEYS.items():
        if not raw.get(key):
            yield _at(document, "TM-R002-missing-key", f"the rule has no {key}", key, hint=why)
    category = rule.category if isinstance(rule, EventRule) else ""
    try:
        tests = read_tests(document, category or _category(raw))
    except RuleError as error:
        yield _of_error(error, "TM-R004-bad-test")
    else:
        fires = {test.fires for test in tests}
        if not fires:
            hint = "docs/testing-rules.md shows how one is written"
            yield _at(document, "TM-R005-no-tests", "the rule carries no tests", "title", hint=hint)
        elif len(fires) == 1:
            said = "must fire" if True in fires else "must not fire"
            hint = "Add the honest twin that must not fire" if True in fires else "Add one that fires"
            yield _at(document, "TM-R006-one-sided-tests", f"every test {said}", "tests", hint=hint)
    yield from _unknown_fields(document, rule, ruleset)
    if isinstance(rule, EventRule):
        yield from _condition(document, rule)


def _category(raw: dict[str, object]) -> str:
    logsource = raw.get("logsource")
    category = logsource.get("category") if isinstance(logsource, dict) else ""
    return category if isinstance(category, str) else ""


def _unknown_fields(
    document: Document, rule: EventRule | Correlation | None, ruleset: RuleSet
) -> Iterator[LintFinding]:
    known = ruleset.schema.fields
    named = document.raw.get("fields")
    used: dict[str, str] = {}
    if isinstance(rule, EventRule):
        used |= dict.fromkeys(sorted(rule.needs), "detection")
    elif rule is not None:
        aliases = {alias for alias, _ in rule.aliases}
        used |= dict.fromkeys((name for name in (*rule.group_by, *rule.field) if name not in aliases), "correlation")
    for name in named if isinstance(named, list) else ():
        used.setdefault(str(name), "fields")
    for name, where in used.items():
        if name not in known:
            near = get_close_matches(name.lower(), known, n=3)
            hint = f"Near it: {', '.join(near)}" if near else "docs/telemetry.md lists every field"
            yield _at(document, "TM-R003-unknown-field", f"an event has no field {name!r}", where, hint=hint)


def _condition(document: Document, rule: EventRule) -> Iterator[LintFinding]:
    condition = rule.written or rule.condition
    path = ("detection", "condition")
    always = constant(condition)
    if always is not None:
        check, which = ("TM-R009-always-true", "every") if always else ("TM-R008-never-true", "no")
        yield _at(document, check, f"{which} event meets the condition", *path)
    elif holds_of_nothing(condition):
        hint = "Most events will meet it: begin with what must be there"
        yield _at(document, "TM-R010-true-of-nothing", "an event meets it that matches nothing of it", *path, hint=hint)
    for leaf in dict.fromkeys(leaves(condition)):
        yield from _leaf(document, leaf)


def _leaf(document: Document, leaf: Leaf) -> Iterator[LintFinding]:
    if not isinstance(leaf.value, str) or not leaf.value:
        return
    if leaf.op == "contains" and len(leaf.value) < _SHORT:
        said = f"{leaf.field} is searched for {leaf.value!r}"
        yield _at(document, "TM-R011-short-literal", said, "detection", hint="Use a longer text, or another comparison")
    elif leaf.op == "regex":
        text = leaf.value.removeprefix("(?i)")
        body = text.removeprefix("^").removesuffix("$")
        if body and not _PLAIN & set(body):
            cheaper = {(True, True): "equals", (True, False): "startswith", (False, True): "endswith"}
            ends = (text.startswith("^"), text.endswith("$"))
            hint = f"Write it with {cheaper.get(ends, 'contains')}" + ("" if "(?i)" in leaf.value else " and cased")
            yield _at(document, "TM-R012-plain-regex", f"{leaf.value!r} holds no wildcard", "detection", hint=hint)


def _suppression(suppression: Suppression, now: int) -> Iterator[LintFinding]:
    title, file, line = suppression.title, suppression.file, suppression.line
    if suppression.expires <= now:
        said = f"{title!r} ended on {suppression.day}: it sets nothing aside any more"
        hint = f"Ask {suppression.owner} whether it is still needed; remove the file, or give it a later day"
        yield finding("TM-R013-expired", file, said, line=line, key="expires", hint=hint)
    elif suppression.expires <= now + _SOON:
        said = f"{title!r} ends on {suppression.day}"
        yield finding("TM-R014-ends-soon", file, said, line=line, key="expires", hint=f"Ask {suppression.owner}")
    if suppression.broad:
        said = f"{title!r} is for any rule that reads its events"
        yield finding("TM-R015-too-broad", file, said, line=line, key="filter.rules", hint="Name the rules")
