"""The frame of every page: one file that needs nothing else and, by its policy, may load nothing else."""

from __future__ import annotations

import base64
import hashlib

from threatmatrix.knowledge.page.text import e

__all__ = ["document"]


def document(title: str, body: str, style: str, script: str = "") -> str:
    """A whole HTML page. Style and script are allowed by their hashes in a strict Content-Security-Policy.

    ``body`` is markup and must be escaped already; ``title`` is text.
    """
    scripts = f"script-src {_source(script)}; " if script else ""
    policy = f"default-src 'none'; style-src {_source(style)}; {scripts}base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{e(title)}</title>\n<style>{style}</style>\n"
        + (f"<script>{script}</script>\n" if script else "")
        + f"</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _source(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
