"""Stable ids: the same evidence gives the same id, in every run and on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from threatmatrix.detect.sigma.rules import Correlation, EventRule

__all__ = ["episode_id", "identity", "stable_id"]


def stable_id(*parts: str | int | None) -> str:
    """32 hex digits over the parts; JSON keeps ("a", "bc") apart from ("ab", "c")."""
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def episode_id(detector: str, group: Sequence[Any], started: int) -> str:
    """The id of a correlation's finding, from a stream and from a table at rest alike.

    ``group``: the values of ``group_by``. ``started``: the time of the oldest occurrence that it needed when it first
    fired, which stands for the first event: of several at the same time, which is first depends on portions.
    """
    return stable_id(detector, *group, started)


def identity(detector: str, *rules: EventRule | Correlation) -> str:
    """Names a detector together with all that its rules say, wherever their files lie.

    State is only taken over by a detector of the same identity: of a rule that was changed, nobody knows what it
    would have counted.
    """
    said = repr([replace(rule, meta=replace(rule.meta, file="")) for rule in rules])  # plain frozen dataclasses
    return f"{detector} {hashlib.blake2b(said.encode(), digest_size=16).hexdigest()}"
