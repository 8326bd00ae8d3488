"""Text made safe for the page: nothing that a library, an import or evidence says becomes markup or a script."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from urllib.parse import quote

from threatmatrix.model.procedure import Reference

__all__ = ["anchor", "count", "e", "href", "link", "prose", "references", "section"]

# Control characters, lone surrogates and the characters that turn the direction of writing around: none belongs in a
# name or a sentence, and the last make a text look like another.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_WEB = ("https://", "http://")
# What stays of the HTML that ATLAS's descriptions carry: its text. Everything else is shown as it is written.
_TAG = re.compile(r"</?(?:span|sup|sub|br|b|i|u|em|strong|p|div|font)\b[^<>]{0,200}>", re.IGNORECASE)
_INLINE = re.compile(
    r"\[(?P<label>[^\[\]\n]{1,300})\]\((?P<url>[^\s()]{1,500})\)|\*\*(?P<bold>[^*\n]{1,300})\*\*|`(?P<code>[^`\n]{1,300})`"
)
_ITEM = re.compile(r"^\s*[-*] +")

Resolve = Callable[[str], str | None]
"""Gives the page's own address for one in the source (``/techniques/AML.T0043``), None where there is none."""


def e(text: object) -> str:
    """Text made safe inside HTML and inside a quoted attribute."""
    return escape(_UNPRINTABLE.sub("\ufffd", str(text)), quote=True)


def anchor(kind: str, name: str) -> str:
    """The ``id`` of a view, escaped: ``technique/online-evasion``."""
    return e(re.sub(r"\s", "_", f"{kind}/{name}"))


def href(kind: str, name: str) -> str:
    """The address of a view within the page, escaped: ``#technique/online-evasion``."""
    safe = _UNPRINTABLE.sub("\ufffd", re.sub(r"\s", "_", f"{kind}/{name}"))
    return "#" + quote(safe, safe="/")


def prose(text: str, *, markdown: bool = False, resolve: Resolve | None = None) -> str:
    """Paragraphs of a description. ``markdown``: with the links, lists and emphasis that ATLAS writes."""
    text = text.strip()
    if not text:
        return ""
    if not markdown:
        return "".join(f"<p>{e(part)}</p>" for part in re.split(r"\n\s*\n", text))
    text = _TAG.sub("", text)
    return "".join(_block(part, resolve) for part in re.split(r"\n\s*\n", text) if part.strip())


def _block(text: str, resolve: Resolve | None) -> str:
    lines = text.strip().split("\n")
    if not any(_ITEM.match(line) for line in lines):
        return f"<p>{_inline(text, resolve)}</p>"
    first = next(index for index, line in enumerate(lines) if _ITEM.match(line))
    entries: list[str] = []
    for line in lines[first:]:
        if _ITEM.match(line) or not entries:
            entries.append(_ITEM.sub("", line))
        else:
            entries[-1] += "\n" + line
    lead = f"<p>{_inline(chr(10).join(lines[:first]), resolve)}</p>" if first else ""
    return lead + "<ul>" + "".join(f"<li>{_inline(entry, resolve)}</li>" for entry in entries) + "</ul>"


def _inline(text: str, resolve: Resolve | None) -> str:
    pieces: list[str] = []
    at = 0
    for match in _INLINE.finditer(text):
        pieces += [e(text[at : match.start()]), _span(match, resolve)]
        at = match.end()
    return "".join(pieces) + e(text[at:])


def _span(match: re.Match[str], resolve: Resolve | None) -> str:
    if match["bold"]:
        return f"<strong>{e(match['bold'])}</strong>"
    if match["code"]:
        return f"<code>{e(match['code'])}</code>"
    own = resolve(match["url"]) if resolve else None
    if own:
        return f'<a href="{own}">{e(match["label"])}</a>'
    if match["url"].startswith(_WEB):
        return link(Reference(match["label"], match["url"]))
    return e(match["label"] if match["url"].startswith("/") else match[0])


def link(reference: Reference) -> str:
    """Only web addresses become links, whatever a file says."""
    title = reference.title or reference.url
    if not reference.url.startswith(_WEB):
        return e(title)
    return f'<a href="{e(reference.url)}" rel="noopener noreferrer">{e(title)}</a>'


def references(sources: Sequence[Reference], heading: str = "References") -> str:
    """The list of sources under its heading; nothing where there are none."""
    entries = "".join(f"<li>{link(item)}</li>" for item in sources)
    return section(heading, f'<ul class="sources">{entries}</ul>' if entries else "")


def section(heading: str, content: str, *, search: bool = False, kind: str = "") -> str:
    """A part of a view under its heading, left out where it has no content. ``search``: found by its text."""
    if not content:
        return ""
    attributes = (f' class="{kind}"' if kind else "") + (" data-s" if search else "")
    return f"<section{attributes}><h3>{e(heading)}</h3>{content}</section>"


def count(number: int, noun: str, nouns: str = "") -> str:
    """``1 rule``, ``3 rules``, ``2 case studies``."""
    return f"{number} {noun if number == 1 else nouns or noun + 's'}"
