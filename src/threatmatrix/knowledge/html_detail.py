"""One cell's details on the HTML page: description, ids, what the library has, the evidence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from threatmatrix.knowledge.view import MARKS, CellView, Figure
from threatmatrix.model.evidence import Evidence, Rate
from threatmatrix.model.matrix import ExternalId, Reference, Tactic

__all__ = ["detail", "e", "mark"]

_ROWS = (("before", "before"), ("after", "after"), ("adaptive", "adaptive attacker"), ("random", "random control"))
_RELATIONS = {
    "exact": "the same",
    "close": "nearly the same",
    "broader": "wider than this cell",
    "narrower": "narrower than this cell",
    "partial": "covers a part of it",
}


def e(text: object) -> str:
    """Text made safe inside HTML and inside a quoted attribute."""
    return escape(str(text), quote=True)


def mark(name: str, on: bool) -> str:
    """A mark as a small picture; whoever cannot see it reads the words that stand beside it."""
    state = "on" if on else "off"
    return (
        f'<span class="mark {state}" title="{e(name)}: {"yes" if on else "no evidence"}">'
        f'<svg aria-hidden="true" focusable="false"><use href="#i-{e(name)}"/></svg></span>'
    )


def detail(view: CellView, tactic: Tactic) -> str:
    """The article that a click on the cell opens."""
    technique = view.technique
    kind = "ML technique" if technique.kind == "ml" else "Enterprise technique"
    sub = " · sub-technique" if technique.parent else ""
    marks = {name: bool(getattr(view.marks, name)) for name in MARKS}
    state = "".join(f"<li>{mark(name, on)}{name}: {'yes' if on else 'no evidence'}</li>" for name, on in marks.items())
    shown = " has-evidence" if view.evidence else ""
    return (
        f'<article class="detail{shown}" id="d-{e(view.cell.tactic)}-{e(view.cell.technique)}">'
        f'<p class="where">{e(tactic.name)} · {kind}{sub}</p><h3 tabindex="-1">{e(technique.name)}</h3>'
        f"<p>{e(technique.description)}</p>"
        f'<ul class="state">{state}</ul>{_evidence(view)}{_holdings(view)}'
        f"{_ids('ATLAS', technique.atlas)}{_ids('ATT&CK', technique.attack)}"
        f"{_references(technique.references)}</article>"
    )


def _holdings(view: CellView) -> str:
    counted = (
        (view.procedures, "procedure"),
        (view.rules, "rule"),
        (view.monitors, "monitor"),
        (view.controls, "control"),
    )
    chips = "".join(
        f"<li>{count} {noun}{'' if count == 1 else 's'}</li>" if count else f'<li class="missing">no {noun}</li>'
        for count, noun in counted
    )
    chips += "<li>playbook</li>" if view.playbook else '<li class="missing">no playbook</li>'
    return f'<h4>In the library</h4><ul class="chips">{chips}</ul>'


def _ids(name: str, ids: Sequence[ExternalId]) -> str:
    if not ids:
        return f"<h4>{e(name)}</h4><p>No matching technique.</p>"
    items = "".join(
        f"<li><code>{e(item.id)}</code> {e(item.name)} <span>({e(_RELATIONS[item.relation])})</span></li>"
        for item in ids
    )
    return f'<h4>{e(name)}</h4><ul class="ids">{items}</ul>'


def _references(references: Sequence[Reference]) -> str:
    if not references:
        return ""
    items = "".join(f"<li>{_link(item)}</li>" for item in references)
    return f"<h4>References</h4><ul>{items}</ul>"


def _link(reference: Reference) -> str:
    """Only web addresses become links, whatever a library file says."""
    if not reference.url.startswith(("https://", "http://")):
        return e(reference.title)
    return f'<a href="{e(reference.url)}" rel="noopener noreferrer">{e(reference.title)}</a>'


def _evidence(view: CellView) -> str:
    if not view.evidence:
        return "<h4>Evidence</h4><p>None yet: nobody has run this technique against a system.</p>"
    figures = "".join(_figure(figure) for figure in view.figures)
    records = "".join(_record(item) for item in view.evidence)
    return f"<h4>Evidence</h4>{figures}{records}"


def _figure(figure: Figure) -> str:
    rows = ""
    for key, words in _ROWS:
        value: Rate | None = getattr(figure, key)
        if value is not None:
            rows += (
                f'<tr><th scope="row">{words}</th><td class="bar">{_bar(value, key)}</td>'
                f"<td>{_share(value)} ({value.successes}/{value.n})</td></tr>"
            )
    table = f"<table><tbody>{rows}</tbody></table>" if rows else ""
    notes = []
    if figure.before and figure.after:
        notes.append(f"Success {_share(figure.before)} → {_share(figure.after)}, 95 % intervals.")
    if figure.detected_after is not None:
        notes.append(f"Detected after {figure.detected_after} queries.")
    if figure.control:
        notes.append(f"In force afterwards: {figure.control}.")
    note = f'<p class="note">{e(" ".join(notes))}</p>' if notes else ""
    return f'<div class="figure"><p>{e(figure.label)}</p>{table}{note}</div>'


def _share(value: Rate) -> str:
    return f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"


def _bar(value: Rate, name: str) -> str:
    """A bar from 0 to 1 with the interval as a line: a picture of the words beside it."""
    return (
        '<svg viewBox="0 0 100 14" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="track" width="100" height="14"/>'
        f'<rect class="{name}" y="3" width="{value.value * 100:.1f}" height="8"/>'
        f'<line x1="{value.low * 100:.1f}" x2="{value.high * 100:.1f}" y1="7" y2="7"/></svg>'
    )


def _record(item: Evidence) -> str:
    moment = datetime.fromtimestamp(item.created / 1_000_000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = json.dumps(item.record, indent=1, sort_keys=True, ensure_ascii=False, default=str)
    case = f" · case {item.case}" if item.case else ""
    return (
        f'<details class="record"><summary>{e(moment)} · {e(item.system)}{e(case)} · seed {e(str(item.seed))}</summary>'
        f"<p>evidence {e(item.evidence_id)} · run {e(item.run_id)} · SHA-256 {e(item.digest or 'not sealed')}</p>"
        f"<pre>{e(text)}</pre></details>"
    )
