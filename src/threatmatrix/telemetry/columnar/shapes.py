"""Shapes of lines: the keys of an object in their order, and the JSON type of each value.

A log has few of them. Which are certain is decided here, once for each; DuckDB then only compares. The keys are there
because DuckDB takes the first of two equal keys and Python the last, the types because DuckDB turns "12" into 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from threatmatrix.telemetry.columnar.plan import KEY, Kind, Plan

__all__ = ["MOST_KEYS", "Shape", "Shapes"]

MOST_KEYS = 256
_MOST_SHAPES = 256
_MOST_EXTRA = 32
_MOST_REFUSED = 4096
_TYPES: dict[Kind, frozenset[str]] = {
    "text": frozenset({"VARCHAR", "NULL"}),
    "integer": frozenset({"UBIGINT", "NULL"}),
    "number": frozenset({"UBIGINT", "BIGINT", "DOUBLE", "NULL"}),
    "numbers": frozenset({"ARRAY", "NULL"}),
}
_FLAT = frozenset({"VARCHAR", "UBIGINT", "BIGINT", "DOUBLE", "BOOLEAN", "NULL"})


@dataclass(frozen=True, slots=True)
class Shape:
    """The keys of a line and the types of their values, as json_keys() and json_type('$.*') give them."""

    keys: tuple[str, ...]
    types: tuple[str, ...]


@dataclass(slots=True)
class Shapes:
    """The shapes that a plan is certain of, by the set of keys whose numbers stand in quotes.

    ``extra`` are keys that the plan does not know with numbers that are no integers: NaN is refused in Python whatever
    key it stands under, so their values must be looked at.
    """

    plan: Plan
    certain: dict[frozenset[str], list[Shape]] = field(default_factory=dict)
    extra: list[str] = field(default_factory=list)
    _refused: set[Shape] = field(default_factory=set)
    _count: int = 0

    def learn(self, keys: Sequence[str], types: Sequence[str]) -> frozenset[str] | None:
        """Decide about a shape; returns the variant that its lines belong to, None where the reader must read them."""
        shape = Shape(tuple(keys), tuple(types))
        if shape in self._refused:
            return None
        for variant, known in self.certain.items():
            if shape in known:
                return variant
        found = self._judge(shape) if self._count < _MOST_SHAPES else None
        if found is None:
            if len(self._refused) < _MOST_REFUSED:
                self._refused.add(shape)
            return None
        variant, extra = found
        self.extra += [key for key in extra if key not in self.extra]
        self.certain.setdefault(variant, []).append(shape)
        self._count += 1
        return variant

    def _judge(self, shape: Shape) -> tuple[frozenset[str], list[str]] | None:
        if len(shape.keys) != len(shape.types) or not shape.keys or len(shape.keys) > MOST_KEYS:
            return None
        folded = {key.lower() for key in shape.keys}
        if len(folded) != len(shape.keys):
            return None  # a key twice; DuckDB's names have no case
        known = {key.lower(): key for key in self.plan.keys}
        variant, extra = set(), []
        for key, kind in zip(shape.keys, shape.types, strict=True):
            if known.get(key.lower(), key) != key:
                return None
            if key in self.plan.keys:
                if key in self.plan.quoted and kind == "VARCHAR":
                    variant.add(key)
                elif kind not in _TYPES[self.plan.keys[key]] or (kind == "NULL" and key in self.plan.never_null):
                    return None
            elif kind == "DOUBLE":
                extra.append(key)
            elif kind not in _FLAT:
                return None  # something nested, in which anything may stand
        return (frozenset(variant), extra) if self._fits(extra) else None

    def _fits(self, extra: list[str]) -> bool:
        wanted = {*self.extra, *extra}
        names = {key.lower() for key in wanted} | {key.lower() for key in self.plan.keys}
        unlike = len(names) == len(wanted) + len(self.plan.keys)
        return unlike and len(wanted) <= _MOST_EXTRA and all(KEY.fullmatch(key) for key in extra)
