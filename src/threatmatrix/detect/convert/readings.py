"""Where pySigma reads a rule otherwise than the Sigma specification, and than our own reader.

The backends are given what pySigma has read. Its version 1.5 does not raise on everything that it misreads: it reads
``notable`` as ``not able``, drops a selector that matches nothing, cuts Base64 of text that is not ASCII by its
characters, loses one of two modifiers (``hour|gte``, ``fieldref|cased``). A list of such constructs would be out of
date with its next version, so both readings of a rule are laid side by side and have to be equal, part by part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from types import MappingProxyType
from typing import Any

from sigma.conditions import ConditionAND, ConditionNOT, ConditionOR
from sigma.rule import SigmaRule
from sigma.rule.detection import SigmaDetection
from sigma.types import Placeholder as TheirPlaceholder
from sigma.types import (
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SpecialChars,
)

from threatmatrix.detect.sigma.conditions import Branch, Tree, parse_condition
from threatmatrix.detect.sigma.documents import Document
from threatmatrix.detect.sigma.ir import Wild
from threatmatrix.detect.sigma.searches import Item, Search, SearchReader
from threatmatrix.detect.sigma.values import (
    AnyOf,
    Compare,
    Exists,
    FieldRef,
    Network,
    Null,
    Number,
    Placeholder,
    Regex,
    Text,
    Truth,
    Value,
)

__all__ = ["misread"]

Shape = Any
"""A reading as nested tuples: equal where the readings are. ``("and", shape, …)``, ``("text", cased, piece, …)`` …"""

_WILD = {SpecialChars.WILDCARD_MULTI: Wild.ANY, SpecialChars.WILDCARD_SINGLE: Wild.ONE}


def misread(document: Document, rule: SigmaRule) -> Iterator[str]:
    """Each part of a rule that pySigma has read into ``rule`` otherwise, named; nothing where both agree.

    ``document`` has passed our own reader. Raises what pySigma raises of a condition.
    """
    detection: Mapping[str, Any] = document.raw["detection"]
    names = [name for name in detection if name != "condition"]
    reader = SearchReader(document)
    for name in names:
        ours = _search(reader.read(detection[name], ("detection", name)))
        theirs = _detection(rule.detection.detections[name])
        if ours != theirs:
            yield f"pySigma reads {_where(detection[name], name, ours, theirs)} otherwise than Sigma means it"
    if _tree(parse_condition(document, detection["condition"], names)) != _condition(document, names):
        yield "pySigma reads the condition otherwise than Sigma means it: rename its search identifiers"


def _where(definition: Any, name: str, ours: Shape, theirs: Shape) -> str:
    """The key that differs, where the search is a mapping of several."""
    if isinstance(definition, dict) and len(definition) == 1:
        return f"{name}.{next(iter(definition))}"
    if isinstance(definition, dict) and len(ours) == len(theirs) == 1 + len(definition):
        keys = (key for key, one, other in zip(definition, ours[1:], theirs[1:], strict=True) if one != other)
        return f"{name}.{next(keys)}"
    return name


def _joined(op: str, shapes: Iterable[Shape]) -> Shape:
    """``and`` or ``or`` of these, flat: ``a and (b and c)`` is ``a and b and c``."""
    flat: list[Shape] = []
    for shape in shapes:
        flat += shape[1:] if shape[0] == op else (shape,)
    return flat[0] if len(flat) == 1 else (op, *flat)


# --- ours -----------------------------------------------------------------------------------------------------------


def _tree(tree: Tree) -> Shape:
    if not isinstance(tree, Branch):
        return ("name", tree)
    items = [_tree(item) for item in tree.items]
    return ("not", items[0]) if tree.op == "not" else _joined(tree.op, items)


def _search(search: Search) -> Shape:
    if not isinstance(search, Item):
        return _joined("and" if search.every else "or", map(_search, search.items))
    values = [("is", search.field, _value(value)) for value in search.values]
    joined = _joined("and" if search.every else "or", values)
    return ("not", joined) if search.negated else joined


def _value(value: Value) -> Shape:
    builder = _OURS.get(type(value))
    return builder(value) if builder else ("unknown", value)


def _expanded(value: AnyOf) -> Shape:
    networks = [one.cidr for one in value.values if isinstance(one, Network)]
    return ("network", networks[0]) if networks else _any_of(map(_value, value.values))


_OURS: Mapping[type, Callable[[Any], Shape]] = MappingProxyType(
    {
        AnyOf: _expanded,
        Text: lambda one: ("text", one.cased, *_pieces(one.pieces)),
        Number: lambda one: ("number", one.spelt or repr(one.number)),
        Truth: lambda one: ("truth", one.true),
        Null: lambda one: ("null",),
        Exists: lambda one: ("exists", one.present),
        Regex: lambda one: ("regex", one.text, one.flags),
        Network: lambda one: ("network", one.cidr),
        Compare: lambda one: ("compare", one.op, one.number, one.part),
        FieldRef: lambda one: ("field", one.field, one.op, one.cased),
    }
)


def _any_of(shapes: Iterable[Shape]) -> Shape:
    """Of one value: the order of what it writes out to says nothing."""
    different = frozenset(shapes)
    return next(iter(different)) if len(different) == 1 else ("any", different)


def _pieces(pieces: Sequence[Any]) -> Iterator[Shape]:
    """With neighbouring texts made one, without a ``*`` after a ``*``."""
    before: Shape = ""
    for piece in map(_piece, pieces):
        if isinstance(piece, str) and isinstance(before, str):
            before += piece
        elif piece != "" and not (piece is Wild.ANY and before is Wild.ANY):
            if before != "":
                yield before
            before = piece
    if before != "":
        yield before


def _piece(piece: Any) -> Shape:
    if isinstance(piece, Placeholder | TheirPlaceholder):
        return ("placeholder", piece.name)
    return _WILD[piece] if isinstance(piece, SpecialChars) else piece


# --- pySigma's ------------------------------------------------------------------------------------------------------


def _condition(document: Document, names: Sequence[str]) -> Shape:
    """The condition over searches that say nothing but their own name."""
    detection = {**{name: {name: "x"} for name in names}, "condition": document.raw["detection"]["condition"]}
    rule = SigmaRule.from_dict({"title": "x", "logsource": {"category": "x"}, "detection": detection})
    return _joined("or", [_parsed(one.parsed) for one in rule.detection.parsed_condition])


def _parsed(tree: Any) -> Shape:
    if isinstance(tree, ConditionNOT):
        return ("not", _parsed(tree.args[0]))
    if isinstance(tree, ConditionAND | ConditionOR):
        return _joined("and" if isinstance(tree, ConditionAND) else "or", map(_parsed, tree.args))
    return ("name", getattr(tree, "field", None))


def _detection(detection: Any) -> Shape:
    if isinstance(detection, SigmaDetection):
        every = detection.item_linking is ConditionAND
        return _joined("and" if every else "or", map(_detection, detection.detection_items))
    every = detection.value_linking is ConditionAND
    values = [("is", detection.field, _their_value(value)) for value in detection.value]
    joined = _joined("and" if every else "or", values)
    return ("not", joined) if detection.negated else joined


def _their_value(value: Any) -> Shape:
    builder = _THEIRS.get(type(value))
    return builder(value) if builder else ("not known", type(value).__name__)


def _compared(value: SigmaCompareExpression) -> Shape:
    part = getattr(value.number, "timestamp_part", None)
    return ("compare", value.op.name.lower(), value.number.number, part and part.name.lower())


def _regex(value: SigmaRegularExpression) -> Shape:
    return ("regex", str(value.regexp), "".join(sorted(value.sigma_to_re_flag[flag] for flag in value.flags)))


def _reference(value: SigmaFieldReference) -> Shape:
    op = {(True, True): "same_contains", (True, False): "same_startswith", (False, True): "same_endswith"}
    return ("field", value.field, op.get((value.starts_with, value.ends_with), "same"), False)


_THEIRS: Mapping[type, Callable[[Any], Shape]] = MappingProxyType(
    {
        SigmaExpansion: lambda one: _any_of(map(_their_value, one.values)),
        SigmaString: lambda one: ("text", False, *_pieces(one.s)),
        SigmaCasedString: lambda one: ("text", True, *_pieces(one.s)),
        SigmaTimestampPart: lambda one: ("compare", "equals", one.number, one.timestamp_part.name.lower()),
        SigmaNumber: lambda one: ("number", repr(one.number)),
        SigmaBool: lambda one: ("truth", one.boolean),
        SigmaNull: lambda one: ("null",),
        SigmaExists: lambda one: ("exists", one.exists),
        SigmaRegularExpression: _regex,
        SigmaCIDRExpression: lambda one: ("network", str(ip_network(one.cidr))),
        SigmaCompareExpression: _compared,
        SigmaFieldReference: _reference,
    }
)
