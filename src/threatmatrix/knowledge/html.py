"""The matrix with its evidence as one HTML page that needs nothing else: no network, no server.

Style and script are in the page, allowed by their hashes in a strict Content-Security-Policy; text
that comes from the library or from evidence is escaped. Without scripts the details stand below the
matrix; on paper those with evidence do.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from threatmatrix.knowledge.html_detail import detail, e, mark
from threatmatrix.knowledge.view import MARKS, CellView, Column

__all__ = ["matrix_page"]

_PAGE = Path(__file__).resolve().parent / "page"
_ICONS = {
    "emulated": '<circle cx="12" cy="12" r="7"/><path d="M12 2v6M12 16v6M2 12h6M16 12h6"/>',
    "detected": '<path d="M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12z"/><circle cx="12" cy="12" r="3"/>',
    "responded": '<path d="M12 2l8 3v6c0 5-3.500 9-8 11-4.500-2-8-6-8-11V5z"/>',
    "remediated": '<path d="M4 13l5 5L20 6"/>',
}
_MEANINGS = {
    "emulated": "attacked on purpose",
    "detected": "seen in the telemetry",
    "responded": "a playbook acted",
    "remediated": "success fell, measured",
}


def matrix_page(
    columns: Sequence[Column], *, title: str = "Adversarial ML Threat Matrix", subtitle: str = "", generated: str = ""
) -> str:
    """The page as text.

    ``columns``: the tactics with their cells, from left to right (:func:`view.columns_of`).
    ``subtitle`` and ``generated`` stand below the title, the latter in the footer: when and by what.
    """
    style, script = _asset("style.css"), _asset("page.js")
    cells = [view for column in columns for view in column.cells]
    body = "\n".join(
        (
            _icons(),
            _header(title, subtitle, cells),
            "<main>",
            _legend(),
            f'<div class="columns of-{len(columns)}">',
            *(_column(column) for column in columns),
            "</div>",
            '<section class="details" id="details" aria-label="Details of a technique"><h2>Details</h2>',
            '<button type="button" class="close">Close</button>',
            *(detail(view, column.tactic) for column in columns for view in column.cells),
            "</section>",
            "</main>",
            f"<footer><p>{e(generated)}</p></footer>",
        )
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{e(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


@cache
def _asset(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    def source(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; style-src {source(style)}; script-src {source(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _icons() -> str:
    symbols = "".join(f'<symbol id="i-{name}" viewBox="0 0 24 24">{shape}</symbol>' for name, shape in _ICONS.items())
    return f'<svg class="icons" aria-hidden="true" focusable="false">{symbols}</svg>'


def _header(title: str, subtitle: str, cells: Sequence[CellView]) -> str:
    sums = "".join(
        f"<li>{mark(name, True)}<div><strong>{sum(getattr(view.marks, name) for view in cells)}"
        f" <small>of {len(cells)} cells</small></strong><span>{name}: {_MEANINGS[name]}</span></div></li>"
        for name in MARKS
    )
    return (
        f'<header><div class="top"><div><h1>{e(title)}</h1><p>{e(subtitle)}</p></div>'
        '<div class="tools" role="search"><div><label for="search">Search name, id or tactic '
        '<span id="found" role="status"></span></label>'
        '<input id="search" type="search" autocomplete="off" spellcheck="false"></div>'
        '<button type="button" id="theme">Light / dark</button><button type="button" id="print">Print</button>'
        f'</div></div><ul class="sums" aria-label="Evidence so far">{sums}</ul></header>'
    )


def _legend() -> str:
    return (
        '<ul class="legend" aria-label="Legend">'
        '<li><span class="swatch ml"></span>ML technique</li>'
        '<li><span class="swatch enterprise"></span>enterprise technique (from ATT&amp;CK)</li>'
        "<li>indented: sub-technique</li>"
        f"<li>{mark('emulated', True)}solid: there is evidence</li>"
        f"<li>{mark('emulated', False)}dashed: none yet</li></ul>"
    )


def _column(column: Column) -> str:
    tactic = column.tactic
    cells = "".join(_cell(view, column) for view in column.cells)
    inner = f"<ul>{cells}</ul>" if cells else '<p class="none">no technique</p>'
    ids = " · ".join(e(value) for value in (tactic.atlas, tactic.attack) if value)
    return (
        f'<section class="column" aria-labelledby="t-{e(tactic.slug)}">'
        f'<h2 id="t-{e(tactic.slug)}">{e(tactic.name)}<small>{ids}</small></h2>{inner}</section>'
    )


def _cell(view: CellView, column: Column) -> str:
    technique = view.technique
    earned = [name for name in MARKS if getattr(view.marks, name)]
    kind = "ML technique" if technique.kind == "ml" else "enterprise technique"
    level = f"sub-{kind}" if technique.parent and kind.startswith("ent") else kind
    spoken = f"{level}; evidence: {', '.join(earned) if earned else 'none yet'}"
    ids = [item.id for item in (*technique.atlas, *technique.attack)]
    text = " ".join((technique.name, technique.slug, column.tactic.name, kind, *ids, *earned)).lower()
    marks = "".join(mark(name, name in earned) for name in MARKS)
    proved = " proved" if earned else ""
    shown = e(technique.name).replace("/", "/<wbr>")
    return (
        f"<li{' class=sub' if technique.parent else ''}>"
        f'<a class="cell {technique.kind}{proved}" href="#{detail_id(view)}" data-text="{e(text)}">{shown}'
        f'<span class="sr">, {e(spoken)}</span><span class="marks" aria-hidden="true">{marks}</span></a></li>'
    )


def detail_id(view: CellView) -> str:
    """The id of a cell's details, safe in a URL: slugs hold nothing else."""
    return f"d-{e(view.cell.tactic)}-{e(view.cell.technique)}"
