"""The text of a condition → a tree over search identifiers.

Own words instead of pySigma's: 1.5 drops a selector that matches nothing, and reads ``notable`` as ``not able``.
Source: Sigma rules specification 2.0, "Condition"; weakest to strongest: or, and, not, ``x of``, parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from threatmatrix.detect.sigma.documents import Document
from threatmatrix.model.errors import RuleError

__all__ = ["Branch", "Tree", "names_in", "parse_condition"]

MAX_CONDITION = 4096  # characters
MAX_CONDITIONS = 32  # in a list
MAX_NESTING = 32  # parentheses and nots in a condition
MAX_NAME = 128  # characters of a search identifier
MAX_STARS = 3  # wildcards of a selector: each multiplies the cost of matching it

_WORDS = re.compile(r"[A-Za-z0-9_*\-]+|[()]|\S")
_NAME = re.compile(r"[A-Za-z0-9_\-]+")
_OPERATORS = frozenset({"and", "or", "not", "of", "(", ")"})
_QUANTIFIERS = {"1": "or", "any": "or", "all": "and"}
_PATH = ("detection", "condition")


@dataclass(frozen=True, slots=True)
class Branch:
    """``and``, ``or``, ``not`` (of one item) over search identifiers."""

    op: Literal["and", "or", "not"]
    items: tuple[Tree, ...]


Tree = str | Branch


def names_in(tree: Tree) -> Iterator[str]:
    """The search identifiers, once for each time that they stand there."""
    if isinstance(tree, str):
        yield tree
    else:
        for item in tree.items:
            yield from names_in(item)


def parse_condition(document: Document, condition: Any, names: Collection[str]) -> Tree:
    """The condition, a text or a list of texts (any of which may hold). Raises RuleError."""
    for name in names:
        if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
            raise document.refuse("a search identifier is letters, digits, _ and -", "detection", name)
        if name in _OPERATORS or name == "them":
            raise document.refuse(f"a search identifier cannot be called {name!r}", "detection", name)
    if not isinstance(condition, list):
        return _Parser(document, condition, names, _PATH).tree()
    if not 1 <= len(condition) <= MAX_CONDITIONS:
        raise document.refuse(f"a list of conditions holds 1 to {MAX_CONDITIONS} of them", *_PATH)
    trees = [_Parser(document, text, names, (*_PATH, at)).tree() for at, text in enumerate(condition)]
    return Branch("or", tuple(trees)) if trees[1:] else trees[0]


class _Parser:
    """Recursive descent; its depth is bounded by MAX_NESTING."""

    def __init__(self, document: Document, text: Any, names: Collection[str], path: tuple[str | int, ...]) -> None:
        self._document, self._names, self._path = document, names, path
        if not isinstance(text, str):
            raise self._refuse("a detection has a condition, as text")
        if len(text) > MAX_CONDITION:
            raise self._refuse(f"the condition is longer than {MAX_CONDITION} characters")
        if "|" in text:
            raise self._refuse("aggregation after | is obsolete", hint="Write a correlation")
        self._words = _WORDS.findall(text)
        self._at = 0
        if self._words.count("(") > MAX_NESTING or self._words.count("not") > MAX_NESTING:
            raise self._refuse(f"more than {MAX_NESTING} parentheses or nots")

    def tree(self) -> Tree:
        tree = self._chain("or")
        if self._next() is not None:
            raise self._refuse(f"{self._next()!r} is not expected here, after {' '.join(self._words[: self._at])!r}")
        return tree

    def _refuse(self, problem: str, **more: Any) -> RuleError:
        return self._document.refuse(problem, *self._path, **more)

    def _next(self) -> str | None:
        return self._words[self._at] if self._at < len(self._words) else None

    def _chain(self, op: Literal["and", "or"]) -> Tree:
        items = []
        while True:
            items.append(self._chain("and") if op == "or" else self._negation())
            if self._next() != op:
                return Branch(op, tuple(items)) if items[1:] else items[0]
            self._at += 1

    def _negation(self) -> Tree:
        if self._next() == "not":
            self._at += 1
            return Branch("not", (self._negation(),))
        return self._operand()

    def _operand(self) -> Tree:
        word = self._next()
        if word is None:
            raise self._refuse("the condition ends where a search identifier should stand")
        self._at += 1
        if word == "(":
            tree = self._chain("or")
            if self._next() != ")":
                raise self._refuse("a parenthesis is not closed")
            self._at += 1
            return tree
        if self._next() == "of" and word in _QUANTIFIERS:
            self._at += 1
            return self._selected("and" if word == "all" else "or")
        if word not in self._names:
            problem = f"{word!r} is neither a search identifier nor an operator"
            raise self._refuse(problem, choices=sorted(self._names))
        return word

    def _selected(self, op: Literal["and", "or"]) -> Tree:
        pattern = self._next()
        if pattern is None or pattern in _OPERATORS:
            raise self._refuse("'of' is followed by a pattern of search identifiers, or by 'them'")
        self._at += 1
        if pattern.count("*") > MAX_STARS:
            raise self._refuse(f"more than {MAX_STARS} wildcards in {pattern!r}")
        names = tuple(
            name
            for name in self._names
            if (pattern == "them" or fnmatchcase(name, pattern)) and (pattern[0] == "_" or name[0] != "_")
        )
        if not names:
            raise self._refuse(f"selector {pattern!r} matches no search identifier", choices=sorted(self._names))
        return Branch(op, names) if names[1:] else names[0]
