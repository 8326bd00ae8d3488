"""What a rule may name: the fields of a record with their SQL types, and the categories that records fall into.

The engine is not tied to one table: the conformance corpus and the benchmarks run rules over schemas of their own.
:data:`EVENTS` is the schema of :class:`~threatmatrix.model.event.Event`, and the default everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from threatmatrix.model.event import CATEGORIES, EVENT_COLUMNS

__all__ = ["EVENTS", "Schema"]

TEXT = "VARCHAR"
NUMBERS = ("BIGINT", "DOUBLE")


@dataclass(frozen=True, slots=True)
class Schema:
    """Fields and categories. ``time`` names the BIGINT column of µs since 1970 UTC, ``category`` the one of routing.

    ``keywords`` are the text fields that a value without a field searches (Sigma: the message of the record).
    """

    fields: Mapping[str, str]  # name → VARCHAR, BIGINT, DOUBLE, BLOB or DOUBLE[]
    categories: tuple[str, ...]
    keywords: tuple[str, ...]
    time: str = "time"
    category: str = "category"

    def kind(self, field: str) -> str:
        """The SQL type of a field; an unknown one counts as text: it is never compared, it has no visibility."""
        return self.fields.get(field, TEXT)

    def is_text(self, field: str) -> bool:
        return self.kind(field) == TEXT

    def is_number(self, field: str) -> bool:
        return self.kind(field) in NUMBERS


_NOT_SEARCHED = {
    # ours, not the record's: a keyword is looked for in what the source said
    *("event_id", "source", "category", "request_ref", "policy_ref", "trace_id"),
    *("input_fp", "vec_key", "input_fp_prev", "vec_key_prev"),
}

EVENTS = Schema(
    fields=EVENT_COLUMNS,
    categories=CATEGORIES,
    keywords=tuple(name for name, kind in EVENT_COLUMNS.items() if kind == TEXT and name not in _NOT_SEARCHED),
)
