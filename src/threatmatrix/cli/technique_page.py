"""One technique or one case study, on a terminal or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding

from threatmatrix.cli.printing import counted, out, plain_json, safe, table
from threatmatrix.knowledge.extra import items, joined, word, words
from threatmatrix.knowledge.lookup import other_ids

if TYPE_CHECKING:
    from threatmatrix.model.edition import Edition, EditionCase, EditionStep, EditionTechnique
    from threatmatrix.model.procedure import Reference

__all__ = ["case_as_json", "show_case", "show_technique", "technique_as_json"]

_GUIDANCE = (("detect", "To detect"), ("respond", "To respond"), ("remediate", "To remediate"))
_HOLDINGS = (("rules", "rule"), ("monitors", "monitor"), ("procedures", "procedure"), ("controls", "control"))


def show_technique(edition: Edition, technique: EditionTechnique) -> None:
    """Everything the matrix knows about a technique, from the top of the page."""
    console = out()
    extra = technique.extra
    tactics = {item.id: item.name for item in edition.tactics}
    console.print(f"[bold]{safe(technique.name)}[/]  {safe(technique.id)}")
    about = [", ".join(safe(tactics.get(item, item)) for item in technique.tactics)]
    about += [safe(word(extra, key)) for key in ("kind", "year") if word(extra, key)]
    about += [f"sub-technique of {safe(technique.parent)}"] if technique.parent else []
    about += [safe(technique.maturity)] if technique.maturity else []
    about += ["retired"] if technique.retired else []
    console.print(" · ".join(about), style="dim")
    _prose(console, "", technique.description)
    _prose(console, "What the adversary needs", extra.get("needs"))
    _traces(console, items(extra, "telemetry"))
    guidance = extra.get("guidance")
    for key, title in _GUIDANCE:
        _prose(console, title, guidance.get(key) if isinstance(guidance, dict) else None)
    _mitigations(console, edition, technique.id)
    _relations(console, edition, technique)
    _holdings(console, extra)
    _references(console, technique.references)


def _prose(console: Console, title: str, text: object) -> None:
    if not isinstance(text, str) or not text:
        return
    console.print()
    if title:
        console.print(title, style="bold")
    for paragraph in text.split("\n\n"):
        console.print(Padding(safe(" ".join(paragraph.split())), (0, 0, 0, 2 if title else 0)))


def _traces(console: Console, traces: Sequence[Mapping[str, Any]]) -> None:
    if not traces:
        return
    console.print()
    console.print("What it leaves in telemetry", style="bold")
    for trace in traces:
        fields = joined(trace, "fields")
        category = word(trace, "category")
        where = word(trace, "source") + (f" ({category})" if category else "")
        console.print(Padding(f"[cyan]{safe(where)}[/]" + (f"  {safe(fields)}" if fields else ""), (0, 0, 0, 2)))
        console.print(Padding(safe(" ".join(word(trace, "shows").split())), (0, 0, 0, 4)))


def _mitigations(console: Console, edition: Edition, technique: str) -> None:
    pairs = [(item, edge) for item in edition.mitigations for edge in item.mitigates if edge.technique == technique]
    if not pairs:
        return
    console.print()
    console.print("Mitigations", style="bold")
    for item, edge in pairs:
        console.print(Padding(f"[cyan]{safe(item.name)}[/]  {safe(item.id)}", (0, 0, 0, 2)))
        for label, text in (
            ("", edge.use),
            ("Cost: ", word(item.extra, "cost")),
            ("Defeated by: ", word(item.extra, "defeated_by")),
        ):
            if text:
                console.print(Padding(label + safe(" ".join(text.split())), (0, 0, 0, 4)))


def _relations(console: Console, edition: Edition, technique: EditionTechnique) -> None:
    lines = [
        ("Sub-techniques", [item.id for item in edition.techniques if item.parent == technique.id]),
        ("Leads to", words(technique.extra, "enables")),
        ("Reached from", _enabled_by(edition, technique)),
        ("Case studies", [c.id for c in edition.cases if any(step.technique == technique.id for step in c.steps)]),
        ("Also known as", [f"{other} ({relation})" for other, relation in other_ids(technique)]),
    ]
    shown = [(title, names) for title, names in lines if names]
    if shown:
        console.print()
    for title, names in shown:
        console.print(f"[bold]{title}[/]: {safe(', '.join(names))}")


def _enabled_by(edition: Edition, technique: EditionTechnique) -> list[str]:
    return [item.id for item in edition.techniques if technique.id in words(item.extra, "enables")]


def _holdings(console: Console, extra: Mapping[str, Any]) -> None:
    have = [counted(len(items(extra, key)), noun) for key, noun in _HOLDINGS if items(extra, key)]
    have += ["a playbook"] if extra.get("playbook") else []
    if have:
        console.print(f"[bold]In the library[/]: {', '.join(have)}")


def _references(console: Console, references: tuple[Reference, ...]) -> None:
    if not references:
        return
    console.print()
    console.print("References", style="bold")
    for item in references:
        console.print(Padding(safe(f"{item.title} {item.url}".strip()), (0, 0, 0, 2)))


def technique_as_json(edition: Edition, technique: EditionTechnique) -> None:
    """The technique with what the rest of the matrix says about it."""
    plain_json(
        asdict(technique)
        | {
            "matrix": edition.ref,
            "sub_techniques": [item.id for item in edition.techniques if item.parent == technique.id],
            "enabled_by": _enabled_by(edition, technique),
            "mitigations": [
                {"mitigation": item.id, "name": item.name, "use": edge.use}
                for item in edition.mitigations
                for edge in item.mitigates
                if edge.technique == technique.id
            ],
            "case_studies": [c.id for c in edition.cases if any(step.technique == technique.id for step in c.steps)],
        }
    )


def show_case(edition: Edition, case: EditionCase) -> None:
    """A case study: who, when and what, its steps in order, what was learned."""
    console = out()
    console.print(f"[bold]{safe(case.name)}[/]  {safe(case.id)}")
    about = [case.type, case.date, f"by {case.actor}" if case.actor else "", f"against {case.target}"]
    console.print(" · ".join(safe(item) for item in about if item and item != "against "), style="dim")
    _prose(console, "", case.description)
    console.print()
    tactics = {item.id: item.name for item in edition.tactics}
    names = {item.id: item.name for item in edition.techniques}
    made = table("Steps", ">", "!tactic", "technique", "what happened")
    for step in case.steps:
        hidden = "" if step.extra.get("visible", True) else " [dim](outside your telemetry)[/]"
        made.add_row(
            safe(step.id),
            safe(tactics.get(step.tactic, step.tactic)),
            safe(names.get(step.technique, step.technique)) + f"\n[dim]{_step_ids(step)}[/]",
            safe(" ".join(step.description.split())) + hidden,
        )
    console.print(made)
    for title, key in (("Learned", "learned"), ("Vulnerabilities", "vulnerabilities")):
        lines = words(case.extra, key)
        if lines:
            console.print()
            console.print(title, style="bold")
        for line in lines:
            console.print(Padding(safe(" ".join(line.split())), (0, 0, 0, 2)))
    _references(console, case.references)


def _step_ids(step: EditionStep) -> str:
    """The technique's id, and on a line each the ATLAS techniques that the step is there."""
    return "\n".join(map(safe, (step.technique, *words(step.extra, "atlas"))))


def case_as_json(case: EditionCase) -> None:
    """The case study as it is."""
    plain_json(asdict(case))
