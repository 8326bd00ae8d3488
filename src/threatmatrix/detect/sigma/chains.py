"""Which modifiers there are, and which may stand together in which order.

Source: Sigma modifiers appendix 2.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import get_args

from threatmatrix.detect.sigma.ir import Part
from threatmatrix.detect.sigma.values import Shape

__all__ = ["BASE64", "COMPARE", "FLAGS", "LOGIC", "MODIFIERS", "PARTS", "SHAPES", "UTF16", "Unfit", "check_chain"]

SHAPES: frozenset[str] = frozenset(get_args(Shape))
PARTS: frozenset[str] = frozenset(get_args(Part))
COMPARE = frozenset({"lt", "lte", "gt", "gte"})
FLAGS = {"i": "i", "ignorecase": "i", "m": "m", "multiline": "m", "s": "s", "dotall": "s"}
UTF16 = {"utf16le": "utf-16-le", "wide": "utf-16-le", "utf16be": "utf-16-be", "utf16": "utf-16-le"}
BASE64 = frozenset({"base64", "base64offset"})
_ENCODING = BASE64 | UTF16.keys()
LOGIC = frozenset({"all", "neq"})

MODIFIERS: tuple[str, ...] = tuple(
    sorted(
        {*SHAPES, *PARTS, *COMPARE, *FLAGS, *_ENCODING, *LOGIC}
        | {"cased", "cidr", "exists", "expand", "fieldref", "re", "windash"}
    )
)

# A modifier that says what kind of value this is → those that may stand beside it.
_KINDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "re": LOGIC | FLAGS.keys(),
        "cidr": LOGIC,
        "exists": frozenset(),
        "fieldref": LOGIC | SHAPES | {"cased"},
        **dict.fromkeys(COMPARE, PARTS | {"all"}),
        **dict.fromkeys(PARTS, LOGIC | COMPARE),
        "": LOGIC | SHAPES | _ENCODING | {"cased", "windash", "expand"},
    }
)
_ONE_OF: tuple[Iterable[str], ...] = (SHAPES, PARTS, COMPARE, UTF16, BASE64)
_KEYWORD = frozenset({"all", "cased", "contains", "expand", "re", "windash", *FLAGS, *_ENCODING})

# Each of these stands before those that follow: a wildcard cannot be encoded, nor a dash that is encoded be changed.
_ORDER: tuple[Iterable[str], ...] = ({"expand", "windash"}, UTF16, BASE64, SHAPES)


class Unfit(ValueError):
    """A value or a chain of modifiers that means nothing; its text says why."""


def check_chain(modifiers: tuple[str, ...], *, keyword: bool = False) -> None:
    """Raises Unfit for modifiers that are unknown, contradict each other, or stand in an order without meaning."""
    unknown = [name for name in modifiers if name not in MODIFIERS]
    if unknown:
        raise Unfit(f"modifier {unknown[0]!r} is not supported")
    present = set(modifiers)
    for name in modifiers:
        if modifiers.count(name) > 1:
            raise Unfit(f"modifier {name!r} stands twice")
    kinds = [name for name in modifiers if name in _KINDS] or [""]
    for kind in kinds:
        for name in modifiers:
            if name not in {kind, *_KINDS[kind]}:
                stranger = "needs 're' before it" if name in FLAGS else f"contradicts {kind!r}"
                raise Unfit(f"modifier {name!r} {stranger}: these modifiers contradict each other")
    for alternatives in _ONE_OF:
        if len(present.intersection(alternatives)) > 1:
            raise Unfit(f"{' and '.join(sorted(present.intersection(alternatives)))} contradict each other")
    if keyword and not present <= _KEYWORD:
        raise Unfit(f"modifier {min(present - _KEYWORD)!r} needs a field")
    _check_order(modifiers)


def _check_order(modifiers: tuple[str, ...]) -> None:
    places = {name: place for place, names in enumerate(_ORDER) for name in names}
    if not _ENCODING.isdisjoint(modifiers):
        staged = [name for name in modifiers if name in places]
        for before, after in pairwise(staged):
            if places[before] > places[after]:
                raise Unfit(f"modifier {after!r} must stand before {before!r}")
        if BASE64.isdisjoint(modifiers):
            name = next(name for name in modifiers if name in UTF16)
            raise Unfit(f"{name!r} needs base64 or base64offset after it: no field of text holds its bytes as they are")
    for first in ("re", "cidr", *PARTS):
        followers = (
            [name for name in modifiers[: modifiers.index(first)] if name not in LOGIC] if first in modifiers else []
        )
        if followers:
            raise Unfit(f"modifier {first!r} must stand before {followers[0]!r}")
