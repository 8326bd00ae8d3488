"""Conditions of the intermediate form → SQL, built as SQLGlot trees: no value or name is ever pasted into text.

What a leaf means stands in ``detect.sigma.ir``; how an engine spells it, in ``detect.sql.dialects``. Numbers compare as
numbers and text as text: a text column is compared with ``lt`` … as the number that it spells, and a whole number
takes part in text comparisons by its decimal digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from threatmatrix.detect.sigma.ir import And, Leaf, Node, Not, Or, Pattern, Wild
from threatmatrix.detect.sigma.schema import EVENTS, Schema
from threatmatrix.detect.sql.addresses import network_pattern
from threatmatrix.detect.sql.dialects import Dialect, call, dialect_named
from threatmatrix.model.errors import UnknownNameError

__all__ = ["Renderer", "column", "condition", "folded_fields", "folded_name", "folds", "joined"]

_FOLDED = "folded "  # prefix of a folded column; the space keeps it apart from every field name
_INT64 = 2**63
_ORDER: dict[str, Callable[..., exp.Expression]] = {"lt": exp.LT, "lte": exp.LTE, "gt": exp.GT, "gte": exp.GTE}
_UNFOLDED = frozenset({"present", "absent", "regex", "cidr", *_ORDER})


def condition(node: Node, schema: Schema = EVENTS, dialect: str = "duckdb") -> exp.Expression:
    """One condition over columns named as the fields of ``schema``: an SQLGlot expression that is never NULL.

    Raises UnknownNameError for a dialect, or a field, that there is not.
    """
    return Renderer(schema, dialect_named(dialect)).test(node)


def column(name: str) -> exp.Column:
    return exp.column(name, quoted=True)


def folded_name(name: str) -> str:
    """The column in which a scan keeps the folded text of the field ``name``."""
    return _FOLDED + name


def folds(leaf: Leaf, schema: Schema) -> bool:
    """Whether the leaf compares folded text of its field."""
    if leaf.cased or leaf.part is not None or not schema.is_text(leaf.field):
        return False
    if leaf.op in _UNFOLDED or leaf.op.startswith("same"):
        return False
    return isinstance(leaf.value, int | float) or leaf.value != ""


def folded_fields(leaf: Leaf, schema: Schema) -> tuple[str, ...]:
    """The fields whose folded text the leaf reads."""
    if leaf.op.startswith("same"):
        plain = leaf.cased or (leaf.op == "same" and any(schema.is_number(name) for name in leaf.fields))
        return () if plain else tuple(name for name in leaf.fields if schema.is_text(name))
    return (leaf.field,) if folds(leaf, schema) else ()


def joined(kind: Callable[..., exp.Expression], items: Sequence[exp.Expression]) -> exp.Expression:
    """A balanced tree of ``exp.And`` or ``exp.Or``: thousands of values must not nest thousands of levels deep."""
    if len(items) == 1:
        return items[0]
    half = len(items) // 2
    return exp.paren(kind(this=joined(kind, items[:half]), expression=joined(kind, items[half:])), copy=False)


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders conditions; with ``folded`` it reads folded text from the columns of :func:`folded_name`."""

    schema: Schema
    dialect: Dialect
    folded: bool = False

    def test(self, node: Node) -> exp.Expression:
        """True or false: NULL (a field that the event does not have) becomes false."""
        return exp.Coalesce(this=self.render(node), expressions=[exp.false()])

    def render(self, node: Node) -> exp.Expression:
        """True, or false or NULL where the condition is false."""
        if isinstance(node, Leaf):
            return self._leaf(node)
        if isinstance(node, Not):
            # Only a negation can turn NULL into a match, so only here must it become false.
            return exp.Not(this=self.test(node.item))
        if not node.items:
            return exp.true() if isinstance(node, And) else exp.false()
        if isinstance(node, And):
            return joined(exp.And, [self.render(item) for item in node.items])
        return joined(exp.Or, self._alternatives(node))

    def _alternatives(self, node: Or) -> list[exp.Expression]:
        """The items of an OR, where values that one column may equal become one IN: thousands of values stay quick."""
        alike: dict[tuple[str, bool, bool], list[Leaf]] = {}
        others: list[Node] = []
        for item in node.items:
            if isinstance(item, Leaf) and item.op == "equals" and item.part is None and isinstance(item.value, str):
                alike.setdefault((item.field, item.cased, folds(item, self.schema)), []).append(item)
            else:
                others.append(item)
        result = [self.render(item) for item in others]
        for same in alike.values():
            values = [self._value(leaf) for leaf in same]
            result.append(exp.In(this=self._text(same[0]), expressions=values) if values[1:] else self._leaf(same[0]))
        return result

    def _leaf(self, leaf: Leaf) -> exp.Expression:
        if leaf.field not in self.schema.fields:
            raise UnknownNameError("field", leaf.field, self.schema.fields)
        if leaf.op in {"present", "absent"}:
            null = exp.Is(this=column(leaf.field), expression=exp.Null())
            return null if leaf.op == "absent" else exp.Not(this=null)
        if leaf.op.startswith("same"):
            return self._same(leaf)
        if leaf.op in _ORDER or leaf.part is not None or self._equals_number(leaf):
            return self._number_leaf(leaf)
        return self._text_leaf(leaf)

    def _equals_number(self, leaf: Leaf) -> bool:
        return leaf.op == "equals" and isinstance(leaf.value, int | float) and self.schema.is_number(leaf.field)

    def _text_leaf(self, leaf: Leaf) -> exp.Expression:
        text, dialect = self._text(leaf), self.dialect
        if leaf.op == "equals":
            return exp.EQ(this=text, expression=self._value(leaf))
        if leaf.op == "regex":
            return dialect.search(text, exp.Literal.string(_text_of(leaf.value)))
        if leaf.op == "cidr":
            return dialect.fullmatch(text, exp.Literal.string(network_pattern(_text_of(leaf.value))))
        if leaf.op == "matches":
            return dialect.fullmatch(text, self._pattern(leaf))
        compare = {"contains": dialect.contains, "startswith": dialect.startswith, "endswith": dialect.endswith}
        return compare[leaf.op](text, self._value(leaf))

    def _text(self, leaf: Leaf) -> exp.Expression:
        """The text that is compared: folded, or a number's digits, where that is asked for."""
        if not self.schema.is_text(leaf.field):
            return self.dialect.text(column(leaf.field))
        return self._folded(leaf.field) if folds(leaf, self.schema) else column(leaf.field)

    def _folded(self, field: str) -> exp.Expression:
        return column(folded_name(field)) if self.folded else self.dialect.fold(column(field))

    def _value(self, leaf: Leaf) -> exp.Expression:
        return self._literal(_text_of(leaf.value), folds(leaf, self.schema))

    def _literal(self, text: str, fold: bool) -> exp.Expression:
        if fold and not text.isascii():
            return self.dialect.fold(exp.Literal.string(text))  # the engine's own idea of what folds to what
        return exp.Literal.string(text.lower() if fold else text)

    def _pattern(self, leaf: Leaf) -> exp.Expression:
        """RE2 of a value with wildcards; they stand for any characters, ends of lines among them."""
        fold, parts = folds(leaf, self.schema), _parts(leaf.value)
        pieces: list[exp.Expression] = [exp.Literal.string("(?s)")]
        for part in parts:
            if isinstance(part, Wild):
                pieces.append(exp.Literal.string(".*" if part is Wild.ANY else "."))
            else:
                pieces.append(self.dialect.escape(self._literal(part, fold)))
        return call("concat", *pieces)

    def _number_leaf(self, leaf: Leaf) -> exp.Expression:
        if not isinstance(leaf.value, int | float):
            raise TypeError(f"{leaf.op} compares with a number, not with {leaf.value!r}")
        if leaf.part is not None:
            whole: exp.Expression = self.dialect.part(self._time(leaf.field), leaf.part)
        elif self.schema.kind(leaf.field) == "BIGINT":
            whole = column(leaf.field)
        else:
            number = self._number(leaf.field)
            if not _finite(leaf.value):
                return _compared(leaf.op, number, exp.cast(exp.Literal.string(str(leaf.value)), "DOUBLE"))
            return _compared(leaf.op, number, exp.cast(_signed(repr(float(leaf.value))), "DOUBLE"))
        return _whole(leaf.op, whole, leaf.value)

    def _number(self, field: str) -> exp.Expression:
        return self.dialect.number(column(field)) if self.schema.is_text(field) else column(field)

    def _time(self, field: str) -> exp.Expression:
        if self.schema.kind(field) == "BIGINT":
            return column(field)
        raise TypeError(f"{field} is no time in µs: it has no hour and no day")

    def _same(self, leaf: Leaf) -> exp.Expression:
        other = _text_of(leaf.value)
        if other not in self.schema.fields:
            raise UnknownNameError("field", other, self.schema.fields)
        if leaf.op == "same" and (self.schema.is_number(leaf.field) or self.schema.is_number(other)):
            return exp.EQ(this=self._number(leaf.field), expression=self._number(other))
        sides = []
        for name in (leaf.field, other):
            text = self.schema.is_text(name)
            raw = column(name) if text else self.dialect.text(column(name))
            sides.append(self._folded(name) if text and not leaf.cased else raw)
        if leaf.op == "same":
            return exp.EQ(this=sides[0], expression=sides[1])
        dialect = self.dialect
        return {
            "same_contains": dialect.contains,
            "same_startswith": dialect.startswith,
            "same_endswith": dialect.endswith,
        }[leaf.op](*sides)


def _text_of(value: object) -> str:
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(f"{value!r} is no text")


def _parts(value: object) -> Pattern:
    return value if isinstance(value, tuple) else (_text_of(value),)


def _finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)


def _signed(number: str) -> exp.Expression:
    if number.startswith("-"):
        return exp.paren(exp.Neg(this=exp.Literal.number(number[1:])))
    return exp.Literal.number(number)


def _compared(op: str, left: exp.Expression, right: exp.Expression) -> exp.Expression:
    if op == "equals":
        return exp.EQ(this=left, expression=right)
    compared = _ORDER[op](this=left, expression=right)
    if op in {"gt", "gte"}:
        # Engines hold NaN to be greater than every number; it is none.
        return exp.And(this=compared, expression=exp.LTE(this=left.copy(), expression=_infinity()))
    return compared


def _infinity() -> exp.Expression:
    return exp.cast(exp.Literal.string("inf"), "DOUBLE")


def _whole(op: str, left: exp.Expression, value: float) -> exp.Expression:
    """A whole number beside any number: bounds become whole, so that no engine casts a column to compare it."""
    present = exp.Not(this=exp.Is(this=left.copy(), expression=exp.Null()))
    if op == "equals":
        fits = _finite(value) and value == math.floor(value) and -_INT64 <= value < _INT64
        return exp.EQ(this=left, expression=_signed(str(int(value)))) if fits else exp.false()
    below = op in {"lt", "lte"}
    if not _finite(value) or not -_INT64 < value < _INT64:
        return present if (value > 0) == below and not math.isnan(value) else exp.false()
    bound = math.ceil(value) if op in {"lt", "gte"} else math.floor(value)
    return _ORDER[op](this=left, expression=_signed(str(bound)))
