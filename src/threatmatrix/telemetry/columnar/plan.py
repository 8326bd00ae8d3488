"""What a reader's plan is: the keys it looks at, the columns it makes of them, and when it is certain."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["KEY", "KINDS", "Kind", "Plan", "Told"]

Kind = Literal["text", "integer", "number", "numbers"]
"""What the value of a key must be for a plan to be certain: a JSON string; an integer from 0; a finite number; an
array of finite numbers. ``null`` and no key at all are the same."""

KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}", re.ASCII)
"""Keys that may stand in a schema. Others are never put into SQL."""


CONCEALED = ("principal", "key_id", "tenant", "session", "user_agent", "endpoint", "object")
"""The columns in which secrets are looked for."""


@dataclass(frozen=True, slots=True)
class Told:
    """Columns that few distinct values tell: the reader itself is asked once for each.

    ``keys`` are SQL expressions; ``tell`` gets their values and returns those of ``columns``, or None where the lines
    with these values must go through the reader as a whole.
    """

    keys: tuple[str, ...]
    columns: tuple[str, ...]
    tell: Callable[[tuple[Any, ...]], tuple[Any, ...] | None]


@dataclass(frozen=True, slots=True)
class Plan:
    """A reader, in SQL.

    ``keys``: each key of a record that the reader looks at → what its value must be. ``columns``: column of an event →
    expression over the keys, each as a quoted identifier; a text has NULL for ``null`` and a missing key. ``certain``:
    conditions on them, NULL counting as false; where one fails the line goes through the reader. ``quoted``: numbers
    that may stand in quotes, ``""`` and ``"-"`` meaning none. ``never_null``: keys for which ``null`` is not as if the
    key were missing. ``conceals``: columns in which the reader puts names in the place of secrets
    (``readers.base.without_secrets``); lines in which it would are left to it. ``version`` changes with the meaning of
    the columns.
    """

    source: str
    version: int
    keys: Mapping[str, Kind]
    columns: Mapping[str, str]
    certain: tuple[str, ...]
    told: tuple[Told, ...] = ()
    quoted: frozenset[str] = field(default_factory=frozenset)
    never_null: frozenset[str] = field(default_factory=frozenset)
    conceals: tuple[str, ...] = CONCEALED


KINDS: Mapping[str, Kind] = {
    "VARCHAR": "text",
    "BLOB": "text",
    "BIGINT": "integer",
    "DOUBLE": "number",
    "DOUBLE[]": "numbers",
}
"""Type of an event's column → what the value of a key must be that fills it."""
