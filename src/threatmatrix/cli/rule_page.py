"""One rule, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from threatmatrix.cli.printing import out, plain_json, safe, severity
from threatmatrix.cli.rules_tables import as_plain
from threatmatrix.detect.sigma.levels import severity_of
from threatmatrix.detect.sigma.rules import Correlation
from threatmatrix.detect.sigma.sense import in_words

if TYPE_CHECKING:
    from threatmatrix.workflows.rules import Catalogue, Entry

__all__ = ["show_rule"]


def show_rule(known: Catalogue, entry: Entry, *, sql: bool, as_json: bool) -> None:
    """What a rule finds and needs, how it decides, and what hangs on it."""
    statements = {}
    if sql:
        from threatmatrix.workflows.rule_sql import rule_sql

        statements = rule_sql(known.ruleset, entry.rule)
    if as_json:
        plain = as_plain(known, entry) | {
            "finds": _finds(known, entry),
            "suppressions": [{"title": one.title, "expires": one.day} for one in entry.suppressions],
        }
        plain_json(plain | ({"sql": statements} if sql else {}))
        return
    console = out()
    for line in _page(known, entry):
        console.print(line, soft_wrap=True)
    for name, statement in statements.items():
        console.print(f"\n[bold]SQL, {safe(name)}[/]")
        console.print(safe_block(statement), soft_wrap=True)


def safe_block(text: str) -> str:
    """Text of several lines, each made safe by itself."""
    return "\n".join(map(safe, text.splitlines()))


def _page(known: Catalogue, entry: Entry) -> Iterator[str]:
    meta = entry.rule.meta
    yield f"[bold]{safe(meta.title)}[/]"
    named = f", name {safe(meta.name)}" if meta.name else ""
    level = severity(severity_of(meta.level))
    yield f"{level}, {safe(meta.status or 'no status')}, {entry.kind}, id {safe(meta.key)}{named}"
    yield f"[dim]{safe(meta.file)}:{entry.line}[/]"
    technique = known.library.techniques.get(meta.technique)
    if technique:
        ids = ", ".join(item.id for item in (*technique.atlas, *technique.attack))
        yield f"Technique: {safe(technique.name)} ({technique.slug}{', ' + ids if ids else ''})"
    yield f"\n{safe(' '.join(meta.description.split()))}"
    if entry.silent:
        yield f"\nIt makes no findings of its own: {', '.join(map(safe, entry.counted_by))} counts it."
    yield "\n[bold]Finds[/]"
    yield from map(safe, _finds(known, entry))
    yield "\n[bold]Needs[/]"
    yield from map(safe, _needs(known, entry))
    for title, lines in (
        ("Tests", [f"{'fires' if test.fires else 'does not fire'}: {test.name}" for test in entry.tests]),
        ("Suppressions", _suppressions(known, entry)),
        ("Not an attack", list(meta.falsepositives)),
        ("Look at", [", ".join(meta.fields)] if meta.fields else []),
        ("Tags", [_tag(known, tag) for tag in meta.tags]),
    ):
        if lines:
            yield f"\n[bold]{title}[/]"
            yield from (f"- {safe(line)}" for line in lines)


def _finds(known: Catalogue, entry: Entry) -> list[str]:
    rule = entry.rule
    if not isinstance(rule, Correlation):
        lines = in_words(rule.written or rule.condition)
        return [f"an event of category {rule.category} where", *(f"  {line}" for line in lines)]
    per = f", for each {' and '.join(rule.group_by)}" if rule.group_by else ""
    head = f"{rule.asks}{per}; {'in this order' if rule.kind == 'temporal_ordered' else 'of'}"
    steps = known.steps(entry)
    lines = [head]
    for number, step in enumerate(steps, 1):
        lines.append(f"  {number}. {step.rule.meta.title} ({step.kind})")
        lines += [f"       {line}" for line in _finds(known, step)]
    return lines


def _needs(known: Catalogue, entry: Entry) -> list[str]:
    rule = entry.rule
    if not isinstance(rule, Correlation):
        return [f"- events of category {rule.category} with {', '.join(sorted(rule.needs))}"]
    aliases = {alias for alias, _ in rule.aliases}
    own = [name for name in (*rule.group_by, *rule.field) if name not in aliases]
    lines = [line for step in known.steps(entry) for line in _needs(known, step)]
    return [*dict.fromkeys(lines), *([f"- in all of them {', '.join(own)}"] if own else [])]


def _suppressions(known: Catalogue, entry: Entry) -> list[str]:
    said = []
    for one in entry.suppressions:
        until = f"ended on {one.day}" if known.expired(one) else f"until {one.day}"
        said.append(f"{one.title}, {one.owner}, {until}: {one.description}")
    return said


def _tag(known: Catalogue, tag: str) -> str:
    """A tag with the technique of ours, or the page of the matrix, that it names."""
    namespace, _, rest = tag.partition(".")
    if namespace == "threatmatrix" and rest in known.library.techniques:
        return f"{tag}: threatmatrix technique {rest}"
    if namespace == "atlas" and rest.startswith(("aml-t", "aml.t")):
        return f"{tag}: https://atlas.mitre.org/techniques/AML.{rest[4:].upper()}"
    if namespace == "attack" and rest[:1] == "t" and rest[1:5].isdigit():
        return f"{tag}: https://attack.mitre.org/techniques/{rest.upper().replace('.', '/')}/"
    return tag
