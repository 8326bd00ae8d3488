"""Conditions over rules: ``a and (b or c) and not d``, as correlations of the temporal kinds may have them.

Parsed here and not by pySigma, so that every version of it gives the same tree (``not`` binds closest, then ``and``,
then ``or``) and rules may be named by id as well. Operators are written small, as in the conditions of rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from threatmatrix.detect.sigma.rules import ABSENCE, Expression, RuleName

__all__ = ["MAX_CLAUSES", "Clause", "ExpressionError", "clauses", "named_in", "parse", "renamed"]

MAX_TEXT = 4096  # characters
MAX_DEPTH = 32  # parentheses and nots within each other
MAX_CLAUSES = 64

_WORDS = re.compile(r"\s*([\w.\-]+|[()]|\S)")
_NAME = re.compile(r"[\w.\-]+")
_OPERATORS = frozenset({"and", "or", "not"})
Tree = Expression | RuleName


class ExpressionError(ValueError):
    """What is wrong with an expression, in words."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One way to make an expression true: these rules occur, and those do not. ``steps`` stand in order of naming."""

    steps: tuple[str, ...]
    without: frozenset[str]


def parse(text: str) -> Tree:
    """Raises ExpressionError."""
    if len(text) > MAX_TEXT:
        raise ExpressionError(f"the condition is longer than {MAX_TEXT} characters")
    return _Parser(_WORDS.findall(text)).whole()


def named_in(tree: Tree) -> tuple[str, ...]:
    """The rules of an expression, each once, in the order of their first naming."""
    return (tree.key,) if isinstance(tree, RuleName) else tuple(dict.fromkeys(tree.names()))


def renamed(tree: Tree, keys: dict[str, str]) -> Tree:
    """The same expression over other names."""
    if isinstance(tree, RuleName):
        return RuleName(keys[tree.key])
    return replace(tree, items=tuple(renamed(item, keys) for item in tree.items))


def clauses(tree: Tree) -> tuple[Clause, ...]:
    """The ways in which an expression can be true, without those that contradict themselves.

    Raises ExpressionError where there are more than :data:`MAX_CLAUSES`.
    """
    order = {name: place for place, name in enumerate(named_in(tree))}
    found: dict[Clause, None] = {}
    for wanted, unwanted in _ways(tree, wanted=True):
        if not wanted & unwanted:
            found[Clause(tuple(sorted(wanted, key=order.__getitem__)), unwanted)] = None
    return tuple(found)


_Way = tuple[frozenset[str], frozenset[str]]


def _ways(tree: Tree, *, wanted: bool) -> list[_Way]:
    if isinstance(tree, RuleName):
        here, nothing = frozenset({tree.key}), frozenset[str]()
        return [(here, nothing) if wanted else (nothing, here)]
    if tree.op == ABSENCE:
        return _ways(tree.items[0], wanted=not wanted)
    parts = [_ways(item, wanted=wanted) for item in tree.items]
    if (tree.op == "or") == wanted:
        return _few([way for part in parts for way in part])
    ways: list[_Way] = [(frozenset(), frozenset())]
    for part in parts:
        ways = _few([(yes | more, no | fewer) for (yes, no), (more, fewer) in product(ways, part)])
    return ways


def _few(ways: list[_Way]) -> list[_Way]:
    different = list(dict.fromkeys(ways))
    if len(different) > MAX_CLAUSES:
        raise ExpressionError(f"the condition can be met in more than {MAX_CLAUSES} ways: split it into correlations")
    return different


class _Parser:
    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._at = 0
        self._depth = 0

    def whole(self) -> Tree:
        tree = self._joined("or")
        if self._at < len(self._words):
            raise ExpressionError(f"{self._next()!r} stands where 'and' or 'or' should")
        return tree

    def _joined(self, op: str) -> Tree:
        items = list(self._items(op))
        if len(items) == 1:
            return items[0]
        return Expression("or" if op == "or" else "and", tuple(items))

    def _items(self, op: str) -> Iterator[Tree]:
        while True:
            yield self._joined("and") if op == "or" else self._single()
            if self._next() != op:
                return
            self._at += 1

    def _single(self) -> Tree:
        word = self._next()
        self._at += 1
        if word in {"not", "("}:
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise ExpressionError(f"more than {MAX_DEPTH} parentheses and nots within each other")
            tree = Expression("not", (self._single(),)) if word == "not" else self._within()
            self._depth -= 1
            return tree
        if not _NAME.fullmatch(word) or word in _OPERATORS:
            raise ExpressionError(f"{word!r} stands where a rule should" if word else "a rule is missing at the end")
        return RuleName(word)

    def _within(self) -> Tree:
        tree = self._joined("or")
        if self._next() != ")":
            raise ExpressionError("a parenthesis is not closed")
        self._at += 1
        return tree

    def _next(self) -> str:
        return self._words[self._at] if self._at < len(self._words) else ""
