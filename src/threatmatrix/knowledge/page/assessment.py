"""An assessment as one HTML page without a script: the matrix coloured by what can be seen, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from threatmatrix.knowledge.page.shell import document
from threatmatrix.knowledge.page.text import anchor, e, href
from threatmatrix.model.assessment import SIGHTS, Assessment, Gain, Lack, Sight, SightStatus
from threatmatrix.model.matrix import Tactic

__all__ = ["MEANING", "assessment_page"]

MEANING: Mapping[SightStatus, str] = {
    "detected": "a rule or monitor runs on it",
    "visible": "the records arrive, no detector reads them",
    "partial": "the records arrive without some fields",
    "blind": "no source that would show it is fed",
    "outside": "only records that no reader knows would show it",
}
"""What each status says, in a few words."""


def assessment_page(assessments: Sequence[Assessment], tactics: Sequence[Tactic], *, generated: str = "") -> str:
    """The page as text; one part for each system. Names come from systems.yaml and the library and are escaped."""
    title = "Assessment: " + ", ".join(item.system.name for item in assessments)
    style = (Path(__file__).resolve().parent / "assessment.css").read_text(encoding="utf-8")
    parts = "\n".join(_system(item, tactics) for item in assessments)
    body = f"<main><h1>{e(title)}</h1>\n{parts}\n</main>\n<footer><p>{e(generated)}</p></footer>"
    return document(title, body, style)


def _system(item: Assessment, tactics: Sequence[Tactic]) -> str:
    system = item.system
    basis = "what arrived in the lake" if item.basis == "lake" else "what its declared sources could give"
    about = f"{system.owner} · criticality {system.criticality} · {', '.join(system.traits) or 'no traits given'}"
    sums = "".join(
        f'<li class="{status}"><strong>{item.count(status)}</strong>{status}: {e(MEANING[status])}</li>'
        for status in SIGHTS
    )
    return (
        f'<section aria-labelledby="{anchor("system", system.name)}"><h2 id="{anchor("system", system.name)}">'
        f'{e(system.name)}</h2><p class="soft">{e(about)}. Judged by {basis}. {len(item.sights)} techniques apply, '
        f'{len(item.not_applicable)} do not.</p><ul class="sums">{sums}</ul>{_notes(item.notes)}'
        f"{_gains(system.name, item.gains, _names(item))}<h3>The matrix</h3>{_matrix(item, tactics)}"
        f"<h3>Technique by technique</h3>{_table(item)}</section>"
    )


def _names(item: Assessment) -> dict[str, str]:
    return {sight.technique.slug: sight.technique.name for sight in item.sights}


def _notes(notes: Iterable[str]) -> str:
    lines = "".join(f"<li>{e(note)}</li>" for note in notes)
    return f"<ul>{lines}</ul>" if lines else ""


def _gains(name: str, gains: Sequence[Gain], names: Mapping[str, str]) -> str:
    if not gains:
        return "<h3>What to switch on next</h3><p>No further source would show more of these techniques.</p>"
    rows = "".join(
        f"<tr><td>{place}</td><td><code>{e(' or '.join(gain.sources))}</code><br>{e(gain.how)}</td>"
        + "".join(
            f"<td>{_listed(names[s] for s in slugs)}</td>" for slugs in (gain.detected, gain.visible, gain.partial)
        )
        + "</tr>"
        for place, gain in enumerate(gains, 1)
    )
    head = ("place", "source", "then detected", "then visible", "then in part")
    return f"<h3>What to switch on next</h3>{_scrolled(f'What to switch on next, {name}', head, rows)}"


def _matrix(item: Assessment, tactics: Sequence[Tactic]) -> str:
    columns = []
    for tactic in tactics:
        cells = "".join(
            f'<a class="{sight.status}" href="{_row(item, sight, link=True)}">{e(sight.technique.name)}'
            f"<small>{sight.status}</small></a>"
            for sight in item.sights
            if tactic.slug in sight.technique.tactics
        )
        columns.append(f'<div class="column"><h4>{e(tactic.name)}</h4>{cells}</div>')
    return f'<div class="columns">{"".join(columns)}</div>'


def _row(item: Assessment, sight: Sight, *, link: bool) -> str:
    return (href if link else anchor)(f"{item.system.name}/technique", sight.technique.slug)


def _table(item: Assessment) -> str:
    head = ("technique", "status", "seen by", "lacks", "elsewhere")
    rows = "".join(
        f'<tr id="{_row(item, sight, link=False)}"><td>{e(sight.technique.name)}</td>'
        f'<td><span class="pill {sight.status}">{sight.status}</span></td>'
        f"<td>{_listed((*sight.detectors, *sight.traces))}</td><td>{_listed(map(_lack, sight.lacks))}</td>"
        f"<td>{_listed(sight.elsewhere)}</td></tr>"
        for sight in item.sights
    )
    return _scrolled(f"Technique by technique, {item.system.name}", head, rows)


def _scrolled(name: str, head: Iterable[str], rows: str) -> str:
    """A table that scrolls by itself where it is too wide, also by keyboard; ``rows`` is markup."""
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{e(name)}"><table><thead><tr>{titles}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _lack(lack: Lack) -> str:
    of = f" ({lack.category})" if lack.category else ""
    return f"{lack.what}{of}: {', '.join(lack.missing) or 'no such events'}"


def _listed(texts: Iterable[str]) -> str:
    items = "".join(f"<li>{e(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""
