"""Stable ids: the same evidence gives the same id, in every run and on every machine."""

from __future__ import annotations

import hashlib
import json

__all__ = ["stable_id"]


def stable_id(*parts: str | int | None) -> str:
    """32 hex digits over the parts; JSON keeps ("a", "bc") apart from ("ab", "c")."""
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()
