"""An edition as Markdown to read, print or keep in a wiki: the matrix as a table, then every technique and case study.

Loses: rules, procedures, playbooks and controls of the library, vulnerabilities (a case study names those that it
rests on), dates of change and STIX ids. Emphasis and lists of imported descriptions become plain text, their links to
the web stay. Written for CommonMark with tables; nothing in it is HTML, whatever the edition's texts hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import zip_longest
from urllib.parse import quote

from threatmatrix.knowledge.extra import items, joined, word, words
from threatmatrix.knowledge.view_edition import Box, EditionView, edition_view, is_later, year_of
from threatmatrix.model.edition import Edition, EditionCase, EditionTechnique
from threatmatrix.model.procedure import Reference

__all__ = ["write"]

_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
_BLOCK = re.compile(r"^(\d{0,9})([#+=.)-])")  # what would begin a heading, a list or a rule
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LINK = re.compile(r"\[([^\[\]\n]{1,300})\]\(([^\s()]{1,500})\)")
_WEB = ("https://", "http://")


def write(edition: Edition) -> str:
    """The whole as text, ending in a newline."""
    matrix = edition_view(edition)
    parts = [f"# {_line(edition.name)} {_line(edition.version)}", *_paragraphs(matrix, edition.description)]
    parts += ["## The matrix", _table(matrix), "Indented with ↳: sub-techniques. *Italic*: from Enterprise ATT&CK."]
    parts += ["## Techniques"] if edition.techniques else []
    for technique in edition.techniques:
        parts += _technique(matrix, technique)
    parts += ["## Case studies"] if edition.cases else []
    for case in edition.cases:
        parts += _case(matrix, case)
    parts += ["## Mitigations"] if edition.mitigations else []
    for item in edition.mitigations:
        against = (f"- {_name(matrix, edge.technique)}{_after(edge.use)}" for edge in item.mitigates)
        facts = [("Costs", word(item.extra, "cost")), ("Defeated by", word(item.extra, "defeated_by"))]
        parts += [f"### {_line(item.name)}", *_paragraphs(matrix, item.description), *_facts(facts), _list(against)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(matrix: EditionView) -> str:
    """The columns side by side, as Markdown's tables go by rows."""
    columns = [[box for top in tops for box in top.all()] for _, tops in matrix.columns]
    if not columns:
        return ""
    head = "| " + " | ".join(_line(tactic.name) for tactic, _ in matrix.columns) + " |"
    rows = ["| " + " | ".join(_cell(matrix, box) for box in row) + " |" for row in zip_longest(*columns)]
    return "\n".join([head, "|" + " --- |" * len(columns), *rows])


def _cell(matrix: EditionView, box: Box | None) -> str:
    if box is None:
        return ""
    technique = box.technique
    name = _line(technique.name) + (f" ({year_of(technique)})" if is_later(technique) else "")
    if matrix.is_enterprise(technique):
        name = f"*{name}*"
    return f"↳ {name}" if technique.parent else name


def _technique(matrix: EditionView, technique: EditionTechnique) -> list[str]:
    extra = technique.extra
    tactics = ", ".join(matrix.tactics[name].name for name in technique.tactics if name in matrix.tactics)
    parent = matrix.techniques.get(technique.parent)
    facts = [("Id", technique.id), ("Tactics", tactics), ("Sub-technique of", parent.name if parent else "")]
    facts += [("Kind", word(extra, "kind")), ("Year", word(extra, "year")), ("Id of 2020", joined(extra, "legacy"))]
    facts += [("ATLAS", _ids(technique, "atlas")), ("ATT&CK", _ids(technique, "attack") or technique.attack)]
    facts += [("Maturity", technique.maturity)]
    parts = [f"### {_line(technique.name)}", *_facts(facts), *_paragraphs(matrix, technique.description)]
    parts += _part(matrix, "What the adversary needs", word(extra, "needs"))
    traces = [
        f"| {_line(word(item, 'source'))} | {_line(', '.join(words(item, 'fields')))} | {_line(word(item, 'shows'))} |"
        for item in items(extra, "telemetry")
    ]
    if traces:
        parts += ["#### What it leaves in telemetry"]
        parts += ["\n".join(["| Source | Fields | What it shows |", "| --- | --- | --- |", *traces])]
    guidance = extra.get("guidance")
    if isinstance(guidance, dict):
        for key in ("detect", "respond", "remediate"):
            parts += _part(matrix, key.capitalize(), word(guidance, key))
    links = (f"- {_line(item.name)}{_after(how)}" for item, how in matrix.mitigations_of.get(technique.id, ()))
    parts += _listed("Mitigations", links)
    parts += _listed("Case studies", (f"- {_line(case.name)}" for case in matrix.cases_of.get(technique.id, ())))
    parts += _listed("Makes possible", (f"- {_name(matrix, name)}" for name in words(extra, "enables")))
    return parts + _listed("References", map(_reference, technique.references))


def _ids(technique: EditionTechnique, key: str) -> str:
    return ", ".join(
        f"{word(item, 'id')} {word(item, 'name')} ({word(item, 'relation')})" for item in items(technique.extra, key)
    )


def _case(matrix: EditionView, case: EditionCase) -> list[str]:
    facts = [("Id", case.id), ("Kind", case.type), ("When", case.date), ("Who", case.actor), ("Target", case.target)]
    facts += [("ATLAS", word(case.extra, "atlas"))]
    steps = []
    for place, step in enumerate(case.steps, 1):
        tactic = matrix.tactics.get(step.tactic)
        where = _line(tactic.name if tactic else step.tactic)
        steps.append(f"{place}. **{_name(matrix, step.technique)}** ({where}){_after(step.description)}")
    parts = [f"### {_line(case.name)}", *_facts(facts), *_paragraphs(matrix, case.description), _list(steps)]
    parts += _listed("What was learned", (f"- {_line(text)}" for text in words(case.extra, "learned")))
    weak = (matrix.vulnerabilities.get(name) for name in words(case.extra, "vulnerabilities"))
    parts += _listed("Vulnerabilities", (f"- {_line(item.name)}{_after(item.cve)}" for item in weak if item))
    return parts + _listed("Sources", map(_reference, case.references))


def _name(matrix: EditionView, name: str) -> str:
    technique = matrix.techniques.get(name)
    return _line(technique.name) if technique else _line(name)


def _facts(facts: Iterable[tuple[str, str]]) -> list[str]:
    return [_list(f"- {label}: {_line(value)}" for label, value in facts if value)]


def _part(matrix: EditionView, heading: str, text: str) -> list[str]:
    return [f"#### {heading}", *_paragraphs(matrix, text)] if text.strip() else []


def _listed(heading: str, lines: Iterable[str]) -> list[str]:
    text = _list(lines)
    return [f"#### {heading}", text] if text else []


def _list(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _after(text: str) -> str:
    return f": {_line(text)}" if text.strip() else ""


def _reference(item: Reference) -> str:
    title = item.title or item.url
    return f"- [{_line(title)}]({_address(item.url)})" if item.url.startswith(_WEB) else f"- {_line(title)}"


def _address(url: str) -> str:
    """An address that ends where it should: nothing in it closes the link, a cell or a tag."""
    return quote(_UNPRINTABLE.sub("", url), safe="/:?#@!$&;=+,%~.-_")


def _paragraphs(matrix: EditionView, text: str) -> list[str]:
    parts = [part for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]
    return [_line(part) if matrix.ours else _linked(part) for part in parts]


def _linked(text: str) -> str:
    """A paragraph of an import: its links to the web stay links."""
    pieces, at = [], 0
    for match in _LINK.finditer(text):
        title, url = match[1], match[2]
        shown = f"[{_line(title)}]({_address(url)})" if url.startswith(_WEB) else _line(title)
        pieces += [_escaped(text[at : match.start()]), shown]
        at = match.end()
    return _flat("".join([*pieces, _escaped(text[at:])]))


def _line(text: str) -> str:
    """Text on one line in which no character means anything to Markdown or HTML."""
    return _flat(_escaped(text))


def _flat(text: str) -> str:
    return _BLOCK.sub(r"\1\\\2", " ".join(text.split()))


def _escaped(text: str) -> str:
    plain = _UNPRINTABLE.sub("", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", plain)
