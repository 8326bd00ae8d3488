"""What a condition needs of the telemetry: whether it can still come true where fields are never filled."""

from __future__ import annotations

from collections.abc import Collection

from threatmatrix.detect.sigma.ir import And, Leaf, Node, Not, Or

__all__ = ["lacking", "without_unknown"]

_NEVER: Node = Or(())
_NOTHING: frozenset[str] = frozenset()


def lacking(node: Node, seen_fields: Collection[str]) -> frozenset[str]:
    """The fewest fields whose absence keeps the condition from ever being true; empty: it can see.

    A comparison needs its fields, ``and`` what each of its items needs, ``or`` what the nearest of them needs, and
    ``not`` needs nothing. A field that no event can have is never among ``seen_fields``.
    """
    if isinstance(node, Leaf):
        return frozenset(node.fields).difference(seen_fields)
    if isinstance(node, Not):
        return _NOTHING
    each = [lacking(item, seen_fields) for item in node.items]
    if isinstance(node, And):
        return _NOTHING.union(*each)
    return min(each, key=lambda missing: (len(missing), sorted(missing)), default=_NOTHING)


def without_unknown(node: Node, fields: Collection[str]) -> Node:
    """The condition over ``fields`` alone: a comparison with any other field is false, for no event has it."""
    if isinstance(node, Leaf):
        if all(name in fields for name in node.fields):
            return node
        return And(()) if node.op == "absent" else _NEVER
    if isinstance(node, Not):
        return Not(without_unknown(node.item, fields))
    items = tuple(without_unknown(item, fields) for item in node.items)
    return And(items) if isinstance(node, And) else Or(items)
