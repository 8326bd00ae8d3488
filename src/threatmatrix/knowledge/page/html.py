"""A matrix as one HTML page that needs nothing else: no network, no server.

Style and script are in the page, allowed by their hashes in a strict Content-Security-Policy; text that comes
from the library, an import or evidence is escaped. A view (the matrix, a technique, a case study …) has its own
address after the ``#``. Without scripts all views stand one below the other and the links still lead to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from threatmatrix.knowledge.editions.from_library import edition_of
from threatmatrix.knowledge.library import Library
from threatmatrix.knowledge.page.case import case_view, lists, mitigation_view, vulnerability_view
from threatmatrix.knowledge.page.evidence import icons
from threatmatrix.knowledge.page.matrix import matrix_view
from threatmatrix.knowledge.page.shell import document
from threatmatrix.knowledge.page.technique import tactic_view, technique_view
from threatmatrix.knowledge.page.text import e
from threatmatrix.knowledge.view import Column, Marks
from threatmatrix.knowledge.view_edition import EditionView, edition_view
from threatmatrix.model.edition import Edition

__all__ = ["edition_page", "matrix_page"]

_PAGE = Path(__file__).resolve().parent
TITLE = "Adversarial ML Threat Matrix"


def matrix_page(
    columns: Sequence[Column],
    *,
    library: Library,
    title: str = TITLE,
    subtitle: str = "",
    generated: str = "",
) -> str:
    """Our matrix with its evidence, as text.

    ``columns``: the tactics with their cells, from left to right (:func:`view.columns_of`). ``library``: where they,
    the case studies, mitigations and vulnerabilities come from.
    ``subtitle`` stands above the matrix, ``generated`` in the footer: when and by what.
    """
    views = [view for column in columns for view in column.cells]
    return _page(edition_view(edition_of(library), views=views), title, subtitle, generated)


def edition_page(
    edition: Edition,
    *,
    title: str = "",
    subtitle: str = "",
    generated: str = "",
    marks: Mapping[str, Marks] | None = None,
) -> str:
    """Any edition as text: an imported release of ATLAS or ATT&CK, or our own without evidence.

    ``marks``: what has evidence, by technique id of this edition (carried over by the crosswalk); without it no
    marks are drawn. ``title`` is the edition's name and version where it is empty.
    """
    return _page(edition_view(edition, marks=marks), title or _title(edition), subtitle, generated)


def _title(edition: Edition) -> str:
    """``Adversarial ML Threat Matrix, 2020 edition``; a release of somebody else's by its number."""
    if edition.source == "threatmatrix":
        return f"{edition.name}, {edition.version} edition"
    return f"{edition.name} {edition.version}"


def _page(matrix: EditionView, title: str, subtitle: str, generated: str) -> str:
    style, script = _asset("style.css"), _asset("page.js")
    edition = matrix.edition
    body = "\n".join(
        (
            icons(),
            '<a class="skip" href="#matrix">Skip to the matrix</a>',
            _header(matrix, title),
            "<main>",
            '<section class="results" id="results" aria-label="What the search found" hidden></section>',
            matrix_view(matrix, subtitle),
            lists(matrix),
            *(tactic_view(matrix, tactic) for tactic in edition.tactics),
            *(technique_view(matrix, technique) for technique in edition.techniques),
            *(case_view(matrix, case) for case in edition.cases),
            *(mitigation_view(matrix, item) for item in edition.mitigations),
            *(vulnerability_view(matrix, item) for item in edition.vulnerabilities),
            "</main>",
            f"<footer>{_footer(matrix, generated)}</footer>",
        )
    )
    return document(title, body, style, script)


@cache
def _asset(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8")


def _header(matrix: EditionView, title: str) -> str:
    edition = matrix.edition
    parts = [("matrix", "Matrix", 0), ("cases", "Case studies", len(edition.cases))]
    parts += [("mitigations", "Mitigations", len(edition.mitigations))]
    parts += [("vulnerabilities", "Vulnerabilities", len(edition.vulnerabilities))]
    links = "".join(
        f'<li><a href="#{name}">{label}{f" <span>{number}</span>" if number else ""}</a></li>'
        for name, label, number in parts
        if number or name == "matrix"
    )
    return (
        f'<header><div class="top"><h1><a href="#matrix">{e(title)}</a></h1>'
        f'<nav aria-label="Parts of the page"><ul>{links}</ul></nav>'
        '<div class="tools" role="search"><label class="sr" for="search">Search techniques, case studies, '
        "mitigations and vulnerabilities</label>"
        '<input id="search" type="search" autocomplete="off" spellcheck="false" aria-describedby="found" '
        'placeholder="Search ( / )"><span id="found" class="sr" role="status"></span>'
        '<button type="button" id="theme" aria-label="Light or dark" title="Light or dark">◐</button>'
        '<button type="button" id="print">Print</button>'
        '<button type="button" id="print-all">Print all</button></div></div></header>'
    )


def _footer(matrix: EditionView, generated: str) -> str:
    edition = matrix.edition
    source = "" if matrix.ours else f"{edition.name} {edition.version}"
    keys = (
        "Keys: <kbd>/</kbd> search, arrows walk the cells, <kbd>Enter</kbd> opens, <kbd>Space</kbd> folds "
        "sub-techniques, <kbd>Esc</kbd> goes back."
    )
    lines = " · ".join(e(text) for text in (source, generated) if text)
    return f'<p class="script-only">{keys}</p><p>{lines}</p>'
