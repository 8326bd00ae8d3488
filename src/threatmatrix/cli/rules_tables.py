"""How a list of rules, and what came of their tests, is printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from threatmatrix.cli.printing import counted, out, plain_json, safe, severity, table, warn
from threatmatrix.detect.sigma.levels import severity_of
from threatmatrix.workflows.rule_files import reason

if TYPE_CHECKING:
    from threatmatrix.detect.sigma.filters import Suppression
    from threatmatrix.model.errors import UsageError
    from threatmatrix.workflows.rule_tests import Rehearsal, RehearsedRule
    from threatmatrix.workflows.rules import Catalogue, Entry

__all__ = ["as_plain", "show_list", "show_refused", "show_tests", "tests_of"]

_NAMED = 20


def show_list(known: Catalogue, chosen: Sequence[Entry], *, as_json: bool) -> None:
    """The chosen rules, then the suppressions and what was refused."""
    ruleset = known.ruleset
    if as_json:
        plain_json(
            {
                "rules": [as_plain(known, entry) for entry in chosen],
                "suppressions": [_suppression(known, one) for one in ruleset.suppressions],
                "refused": list(map(str, ruleset.refused)),
            }
        )
        return
    made = table("", "!level", "!kind", "!tests", "rule", "reads")
    technique = None
    for entry in chosen:
        meta = entry.rule.meta
        if meta.technique != technique:
            technique = meta.technique
            made.add_row("", "", "", f"[bold]{safe(technique)}[/]", "")
        notes = [f"counted by {safe(entry.counted_by[0])}"] if entry.silent and entry.counted_by else []
        notes += [f"suppressed by {safe(one.title)}" for one in entry.suppressions if not known.expired(one)]
        said = safe(meta.title) + "".join(f"\n  [dim]{note}[/]" for note in notes)
        reads = ", ".join(entry.categories)
        made.add_row(severity(severity_of(meta.level)), entry.kind, tests_of(entry), said, reads)
    if chosen:
        out().print(made)
    silent = sum(entry.silent for entry in chosen)
    chains = sum(entry.kind != "event" for entry in chosen)
    more = f" ({counted(chains, 'correlation')}; {silent:,} only counted by others)" if chosen else ""
    out().print(f"\n{counted(len(chosen), 'rule')} of {len(known.entries):,}{more}", soft_wrap=True)
    for one in ruleset.suppressions:
        ended = "ended on" if known.expired(one) else "until"
        out().print(
            f"suppression: {safe(one.title)}, {safe(one.owner)}, {ended} {one.day}, "
            f"of {counted(len(one.rules), 'rule')}",
            soft_wrap=True,
        )
    show_refused(ruleset.refused)


def tests_of(entry: Entry) -> str:
    """``2+1``: two that fire and one that must not; - where there is none."""
    fires = sum(test.fires for test in entry.tests)
    return f"{fires}+{len(entry.tests) - fires}" if entry.tests else "-"


def as_plain(known: Catalogue, entry: Entry) -> dict[str, Any]:
    """A rule as plain data."""
    meta = entry.rule.meta
    return {
        "id": meta.key,
        "name": meta.name,
        "title": meta.title,
        "level": meta.level,
        "status": meta.status,
        "kind": entry.kind,
        "technique": meta.technique,
        "categories": list(entry.categories),
        "silent": entry.silent,
        "counted_by": list(entry.counted_by),
        "tests": [{"name": test.name, "fires": test.fires} for test in entry.tests],
        "suppressed_by": [one.key for one in entry.suppressions],
        "tags": list(meta.tags),
        "falsepositives": list(meta.falsepositives),
        "description": meta.description,
        "file": meta.file,
        "line": entry.line,
    }


def _suppression(known: Catalogue, one: Suppression) -> dict[str, Any]:
    return {
        "id": one.key,
        "title": one.title,
        "owner": one.owner,
        "expires": one.day,
        "expired": known.expired(one),
        "description": one.description,
        "rules": list(one.rules),
        "file": one.file,
    }


def show_tests(report: Rehearsal, *, as_json: bool) -> None:
    """A line for each rule and each test that failed, then what was not tested and why."""
    passed = len(report.results) - report.failed
    if as_json:
        plain_json(
            {
                "passed": passed,
                "failed": report.failed,
                "with_library": report.with_library,
                "rules": [asdict(rule) for rule in report.rules],
                "refused": list(map(str, report.refused)),
                "unread": list(map(str, report.unread)),
                "passed_over": report.passed,
            }
        )
        return
    made = table("", "!result", "rule", "said")
    for rule in report.rules:
        if rule.results:
            _add_tests(made, rule)
    if report.results:
        out().print(made)
    tested = counted(len(report.rules) - len(report.untested), "rule")
    out().print(f"\n{counted(passed, 'test')} passed, {report.failed:,} failed, of {tested}", soft_wrap=True)
    if report.untested:
        names = ", ".join(safe(rule.title) for rule in report.untested[:_NAMED])
        more = f" and {len(report.untested) - _NAMED:,} more" if len(report.untested) > _NAMED else ""
        out().print(f"{counted(len(report.untested), 'rule')} without tests: {names}{more}", soft_wrap=True)
    if report.passed:
        out().print(f"{counted(report.passed, 'file')} without a rule passed over")
    show_refused([*report.refused, *report.unread])


def _add_tests(made: Any, rule: RehearsedRule) -> None:
    failed = [item for item in rule.results if not item.passed]
    if not failed:
        made.add_row("[green]pass[/]", safe(rule.title), counted(len(rule.results), "test"))
    for item in failed:
        place = f"{rule.file}:{item.line}" if item.line else rule.file
        made.add_row("[red]fail[/]", safe(rule.title), safe(f"{item.name}: {item.problem} ({place})"))


def show_refused(errors: Sequence[UsageError]) -> None:
    """The first few by name on standard error; where there are many, how often each reason stands."""
    for error in errors[:_NAMED]:
        warn(f"refused: {error}")
    if len(errors) > _NAMED:
        warn(f"… and {len(errors) - _NAMED:,} more; --format json names them all. By reason:")
        for why, number in Counter(map(reason, errors)).most_common(_NAMED):
            warn(f"{number:>7,}  {why}")
