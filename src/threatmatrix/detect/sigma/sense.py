"""What a condition comes to: said in words, and whether it can be true, or false, at all.

Both are for people who write rules; no engine reads them. The check is cheap and never wrong, but not complete: it
finds ``status: 200 and status: 404``, not every contradiction that there is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from threatmatrix.detect.sigma.ir import And, Leaf, Node, Not, Or, Wild

__all__ = ["constant", "holds_of_nothing", "in_words"]

_WORDS = {
    "equals": "is",
    "contains": "contains",
    "startswith": "starts with",
    "endswith": "ends with",
    "matches": "matches",
    "regex": "matches the regular expression",
    "cidr": "lies in the network",
    "lt": "is less than",
    "lte": "is at most",
    "gt": "is more than",
    "gte": "is at least",
    "present": "has a value",
    "absent": "has no value",
    "same": "equals the field",
    "same_contains": "contains the text of",
    "same_startswith": "starts with the text of",
    "same_endswith": "ends with the text of",
}
_LISTED = 12  # values of one field that are written out


def constant(node: Node) -> bool | None:
    """True or False where the condition is that of every event; None where it depends on the event, or may."""
    if isinstance(node, Leaf):
        return None
    if isinstance(node, Not):
        inner = constant(node.item)
        return None if inner is None else not inner
    sign = isinstance(node, Or)  # the value that one item alone decides
    items = list(_flat(node, type(node)))
    inner_values = [constant(item) for item in items]
    if sign in inner_values or _complementary(items):
        return sign
    if not sign and _contradictory(items):
        return False
    return not sign if all(value is (not sign) for value in inner_values) else None


def holds_of_nothing(node: Node) -> bool:
    """Whether the condition is true of an event that matches nothing that it compares."""
    if isinstance(node, Leaf):
        return False
    if isinstance(node, Not):
        return not holds_of_nothing(node.item)
    return (all if isinstance(node, And) else any)(holds_of_nothing(item) for item in node.items)


def _flat(node: Node, kind: type[And] | type[Or] | type[Node]) -> Iterator[Node]:
    """The items of a node, those of the same kind below it written out."""
    if isinstance(node, And | Or) and isinstance(node, kind):
        for item in node.items:
            yield from _flat(item, kind)
    else:
        yield node


def _complementary(items: Sequence[Node]) -> bool:
    """Whether an item stands beside its own negation."""
    positive = {item for item in items if not isinstance(item, Not)}
    return any(isinstance(item, Not) and item.item in positive for item in items)


def _contradictory(items: Sequence[Node]) -> bool:
    """Whether one field would have to equal two values, lie in an empty range, or be there and absent."""
    by_field: defaultdict[tuple[str, str | None], list[Leaf]] = defaultdict(list)
    for item in items:
        if isinstance(item, Leaf):
            by_field[item.field, item.part].append(item)
    return any(_impossible(leaves) for leaves in by_field.values())


def _impossible(leaves: Sequence[Leaf]) -> bool:
    values = {_folded(leaf) for leaf in leaves if leaf.op == "equals"}
    if len(values) > 1 or (len({leaf.op for leaf in leaves}) > 1 and any(leaf.op == "absent" for leaf in leaves)):
        return True
    numbers = [(leaf.op, leaf.value) for leaf in leaves if isinstance(leaf.value, int | float)]
    numbers += [(op, number) for op, number in numbers if op == "equals" for op in ("gte", "lte")]
    low = max((value for op, value in numbers if op in {"gt", "gte"}), default=None)
    high = min((value for op, value in numbers if op in {"lt", "lte"}), default=None)
    if low is None or high is None:
        return False
    strict = ("gt", low) in numbers or ("lt", high) in numbers
    return low > high or (low == high and strict)


def _folded(leaf: Leaf) -> object:
    """Equal wherever one value of the field may equal both: without case, and digits as the number that they spell."""
    try:
        return float(leaf.value) if isinstance(leaf.value, str | int | float) else leaf.value
    except ValueError:
        return str(leaf.value).lower()


def in_words(node: Node) -> list[str]:
    """The condition as lines, indented by two blanks for each level."""
    if isinstance(node, Leaf):
        return [_leaf_in_words(node)]
    if isinstance(node, Not):
        below = in_words(node.item)
        return [f"not: {below[0]}", *below[1:]]
    items = list(_flat(node, type(node)))
    if not items:
        return ["always" if isinstance(node, And) else "never"]
    each = list(_alternatives(items)) if isinstance(node, Or) else [in_words(item) for item in items]
    if len(each) == 1:
        return each[0]
    return ["all of" if isinstance(node, And) else "any of", *(f"  {line}" for lines in each for line in lines)]


def _alternatives(items: Sequence[Node]) -> Iterator[list[str]]:
    """``user_agent starts with "a" or "b"``: what differs in the value alone is one line."""
    alike: dict[object, list[Leaf]] = {}
    for item in items:
        if isinstance(item, Leaf):
            alike.setdefault((item.field, item.op, item.cased, item.part), []).append(item)
    for leaves in alike.values():
        values = dict.fromkeys(_value(leaf) for leaf in leaves[:_LISTED])
        more = f" or {len(leaves) - _LISTED:,} more" if len(leaves) > _LISTED else ""
        valued = leaves[0].op not in {"present", "absent"}
        yield [_said(leaves[0], " or ".join(values) + more if valued else "")]
    yield from (in_words(item) for item in items if not isinstance(item, Leaf))


def _leaf_in_words(leaf: Leaf) -> str:
    return _said(leaf, "" if leaf.op in {"present", "absent"} else _value(leaf))


def _said(leaf: Leaf, value: str) -> str:
    field = f"{leaf.part} of {leaf.field}" if leaf.part else leaf.field
    case = ", in this case" if leaf.cased and leaf.op not in {"regex", "present", "absent"} else ""
    return f"{field} {_WORDS[leaf.op]} {value}".rstrip() + case


def _value(leaf: Leaf) -> str:
    value = leaf.value
    if isinstance(value, tuple):
        value = "".join(str(part.value) if isinstance(part, Wild) else part for part in value)
    return f'"{value}"' if isinstance(value, str) and not leaf.op.startswith("same") else str(value)
