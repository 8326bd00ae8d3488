"""Searches → conditions of the intermediate form: each value becomes a comparison that the type of its field allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from threatmatrix.detect.sigma.documents import Document, Path
from threatmatrix.detect.sigma.ir import And, Leaf, Node, Not, Op, Or, Wild
from threatmatrix.detect.sigma.modifiers import regex_with_flags
from threatmatrix.detect.sigma.schema import NUMBERS, TEXT, Schema
from threatmatrix.detect.sigma.searches import Item, Search
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
from threatmatrix.model.errors import RuleError

__all__ = ["Comparisons"]

_INT64 = 2**63
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Builds conditions over the fields of ``schema``; refuses, by name, what a field cannot be compared with."""

    document: Document
    schema: Schema

    def node(self, search: Search) -> Node:
        """The condition that a search stands for. Raises RuleError."""
        if not isinstance(search, Item):
            return _joined([self.node(item) for item in search.items], search.every)
        if search.field is None:
            return self._keywords(search)
        matched = _joined([self._value(search, search.field, value) for value in search.values], search.every)
        return Not(matched) if search.negated else matched

    def _refuse(self, path: Path, problem: str, hint: str = "") -> RuleError:
        return self.document.refuse(problem, *path, hint=hint)

    def _value(self, item: Item, field: str, value: Value) -> Node:
        kind = self.schema.kind(field)
        if kind != TEXT and kind not in NUMBERS and not isinstance(value, Null | Exists):
            raise self._refuse(item.path, f"field {field!r} cannot be compared: it is no text and no number")
        if isinstance(value, AnyOf):
            return _joined([self._value(item, field, one) for one in value.values], every=False)
        builders: Mapping[type, Callable[..., Node]] = {
            Text: self._text,
            Number: self._number,
            Compare: self._compare,
            FieldRef: self._field,
            Null: self._presence,
            Exists: self._presence,
        }
        return builders.get(type(value), self._text_only)(item, field, value)

    def _presence(self, _: Item, field: str, value: Null | Exists) -> Node:
        return Leaf(field, "present" if isinstance(value, Exists) and value.present else "absent")

    def _text_only(self, item: Item, field: str, value: Value) -> Node:
        if not self.schema.is_text(field):
            what = {Truth: "a truth value", Regex: "a regular expression", Network: "a network"}[type(value)]
            raise self._refuse(item.path, f"field {field!r} is a number: {what} needs text")
        if isinstance(value, Truth):
            return Leaf(field, "equals", "true" if value.true else "false")
        if isinstance(value, Regex):
            return Leaf(field, "regex", regex_with_flags(value), cased=True)
        assert isinstance(value, Network)
        return Leaf(field, "cidr", value.cidr)

    def _text(self, item: Item, field: str, value: Text) -> Node:
        op, written = _split(self._resolved(item, value))
        kind = self.schema.kind(field)
        if kind == TEXT or op == "present":
            return Leaf(field, op, written, cased=value.cased and op != "present")
        if kind == "BIGINT" and op != "equals":
            return Leaf(field, op, written, cased=True)  # digits have no case
        if kind == "BIGINT" and isinstance(written, str) and _is_whole(written):
            return Leaf(field, "equals", int(written))
        problem = f"field {field!r} is a number: {written!r} is text"
        raise self._refuse(item.path, problem, "Write the number without quotes")

    def _resolved(self, item: Item, value: Text) -> Sequence[str | Wild]:
        if value.placeholders:
            name = value.placeholders[0]
            hint = f"A pipeline with value_placeholders gives its values, under vars: {name}"
            raise self._refuse(item.path, f"nothing says what the placeholder %{name}% stands for", hint)
        return [piece for piece in value.pieces if not isinstance(piece, Placeholder)]

    def _number(self, item: Item, field: str, value: Number) -> Node:
        number, kind = value.number, self.schema.kind(field)
        if kind == TEXT:
            if not value.spelt:
                problem = f"field {field!r} is text: YAML has already rounded {number}"
                raise self._refuse(item.path, problem, "Put the value in quotes")
            return Leaf(field, "equals", value.spelt)
        if abs(number) >= _INT64:
            raise self._refuse(item.path, f"{number} is out of range for field {field!r}")
        if kind == "BIGINT" and number != int(number):
            raise self._refuse(item.path, f"field {field!r} holds whole numbers: it never equals {number}")
        return Leaf(field, "equals", int(number) if kind == "BIGINT" else float(number))

    def _compare(self, item: Item, field: str, value: Compare) -> Node:
        if value.part is not None and field != self.schema.time:
            problem = f"field {field!r} is no time: {value.part!r} can be taken of {self.schema.time!r} alone"
            raise self._refuse(item.path, problem)
        return Leaf(field, value.op, value.number, part=value.part)

    def _field(self, item: Item, field: str, value: FieldRef) -> Node:
        for name in (field, value.field):
            kind = self.schema.kind(name)
            if kind not in {TEXT, *NUMBERS} or (value.op != "same" and kind == "DOUBLE"):
                raise self._refuse(item.path, f"field {name!r} cannot be compared in this way with another field")
        return Leaf(field, value.op, value.field, cased=value.cased)

    def _keywords(self, item: Item) -> Node:
        if not self.schema.keywords:
            raise self._refuse(item.path, "keywords (values without a field) search no field here", "Name a field")
        return _joined([self._keyword(item, value) for value in item.values], item.every)

    def _keyword(self, item: Item, value: Value) -> Node:
        if isinstance(value, AnyOf):
            return _joined([self._keyword(item, one) for one in value.values], every=False)
        if isinstance(value, Number) and value.spelt:
            value = Text((value.spelt,))
        if isinstance(value, Text):
            if not any(isinstance(piece, str) for piece in value.pieces):
                raise self._refuse(item.path, "a keyword without any text is in every record")
            value = Text((Wild.ANY, *value.pieces, Wild.ANY), value.cased)
        elif not isinstance(value, Regex):
            raise self._refuse(item.path, "a keyword is text or a whole number", "Put the value in quotes")
        return Or(tuple(self._value(item, field, value) for field in self.schema.keywords))


def _joined(items: list[Node], every: bool) -> Node:
    if len(items) == 1:
        return items[0]
    return And(tuple(items)) if every else Or(tuple(items))


def _is_whole(text: str) -> bool:
    """Whether it is written just as a whole number of 64 bits is."""
    return bool(_WHOLE.fullmatch(text)) and abs(int(text)) < _INT64


def _split(pieces: Sequence[str | Wild]) -> tuple[Op, str | tuple[str | Wild, ...]]:
    """The comparison that a value with wildcards stands for, and what is left of the value."""
    parts = tuple(_collapsed(pieces))
    leading, trailing = parts[:1] == (Wild.ANY,), parts[-1:] == (Wild.ANY,)
    inner = parts[leading : len(parts) - trailing] if len(parts) > 1 else parts[: 1 - leading]
    if not inner:
        return ("present", "") if leading else ("equals", "")
    if len(inner) > 1 or isinstance(inner[0], Wild):
        return "matches", parts
    op: Op = "contains" if leading and trailing else "endswith" if leading else "startswith" if trailing else "equals"
    return op, str(inner[0])


def _collapsed(pieces: Sequence[str | Wild]) -> Iterator[str | Wild]:
    """Without a ``*`` after a ``*``."""
    before: str | Wild | None = None
    for piece in pieces:
        if piece is not Wild.ANY or before is not Wild.ANY:
            yield piece
        before = piece
