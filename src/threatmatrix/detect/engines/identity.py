"""Stable ids: the same evidence gives the same id, in every run and on every machine."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from threatmatrix.detect.sigma.rules import Correlation, EventRule

__all__ = ["identity", "stable_id"]


def stable_id(*parts: str | int | None) -> str:
    """32 hex digits over the parts; JSON keeps ("a", "bc") apart from ("ab", "c")."""
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def identity(detector: str, *rules: EventRule | Correlation) -> str:
    """Names a detector together with all that its rules say, wherever their files lie.

    State is only taken over by a detector of the same identity: of a rule that was changed, nobody knows what it
    would have counted.
    """
    said = repr([replace(rule, meta=replace(rule.meta, file="")) for rule in rules])  # plain frozen dataclasses
    return f"{detector} {hashlib.blake2b(said.encode(), digest_size=16).hexdigest()}"
