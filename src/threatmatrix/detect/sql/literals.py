"""Necessary literals: texts of which a record must hold at least one for a condition to match.

They are what makes a scan cheap: one pass of an automaton over a column looks for those of hundreds of rules at once,
and only a record that holds one is compared with the rules it belongs to. They are looked for in *folded* text, and
are ASCII: the engine folds no ASCII letter to anything but its lower case, whatever else it makes of other letters.
Where nothing is known to be necessary, nothing is claimed; the rule is then always evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from threatmatrix.detect.sigma.ir import And, Leaf, Node, Not
from threatmatrix.detect.sigma.schema import Schema

__all__ = ["SHORTEST", "Atom", "choices", "regex_literal"]

SHORTEST = 3  # characters; what is shorter stands in nearly every text
_LONGEST = 16  # more of a literal tells little more, and costs states of the automaton
_MOST = 600  # alternatives of one condition
_ASCII = re.compile(r"[\x01-\x7f]+")
_COMPARISONS = frozenset({"equals", "contains", "startswith", "endswith", "matches", "regex"})
_FLAGS = re.compile(r"\(\?[a-zA-Z]+(?:-[a-zA-Z]+)?\)")
_ESCAPED_CLASS = frozenset("sSdDwWbBAzntrfva")


@dataclass(frozen=True, slots=True, order=True)
class Atom:
    """``text`` must stand in the folded text of ``field``."""

    field: str
    text: str


def choices(node: Node, schema: Schema) -> Iterator[frozenset[Atom]]:
    """Sets of atoms; whatever matches ``node`` has at least one atom of *each* of the sets."""
    if isinstance(node, Leaf):
        text = _literal(node) if schema.is_text(node.field) and node.part is None else ""
        if len(text) >= SHORTEST:
            yield frozenset({Atom(node.field, text)})
    elif isinstance(node, And):
        for item in node.items:
            yield from choices(item, schema)
    elif not isinstance(node, Not):
        alternatives = [list(choices(item, schema)) for item in node.items]
        if alternatives and all(alternatives):
            # Any set of each will do; the one with the longest text of each is likely to be the rarest.
            union = frozenset().union(*(max(sets, key=_rarity) for sets in alternatives))
            if len(union) <= _MOST:
                yield union


def _rarity(atoms: frozenset[Atom]) -> tuple[int, int]:
    return min(len(atom.text) for atom in atoms), -len(atoms)


def _literal(leaf: Leaf) -> str:
    """The longest text that must stand in the folded text of the leaf's field; empty where none is known."""
    if leaf.op not in _COMPARISONS:
        return ""
    if leaf.op == "regex":
        return regex_literal(str(leaf.value))[:_LONGEST]
    parts = leaf.value if isinstance(leaf.value, tuple) else (str(leaf.value),)
    return _longest(part for part in parts if isinstance(part, str))[:_LONGEST]


def _longest(texts: Iterator[str]) -> str:
    runs = [run.lower() for text in texts for run in _ASCII.findall(text)]
    return max(runs, key=len, default="")


def regex_literal(pattern: str) -> str:
    """The longest run of literal characters at the top level of an RE2 pattern, folded; empty where in doubt."""
    folded = any("i" in flags.group().split("-")[0] for flags in re.finditer(r"\(\?[a-zA-Z-]*", pattern))
    pattern = _FLAGS.sub("", pattern) if _FLAGS.match(pattern) else pattern
    runs, run = [""], ""
    for char, certain in _top_level(pattern):
        # Without case RE2 takes the long s for an s, which the engine does not fold to one.
        if certain and char.isascii() and not (folded and char in "sS"):
            run += char.lower()
        else:
            runs.append(run)
            run = ""
        if char == "|" and not certain:
            return ""
    return max(*runs, run, key=len)


def _top_level(pattern: str) -> Iterator[tuple[str, bool]]:
    """Characters that every match holds, with True; anything else once, with False; "|", False for what is unknown."""
    at = 0
    while at < len(pattern):
        end, certain = _token(pattern, at)
        if end < 0:
            yield "|", False
            return
        token, at = pattern[at:end], end
        if at < len(pattern) and pattern[at] in "*?+{":
            quantifier, certain = pattern[at], certain and pattern[at] == "+"
            at = pattern.find("}", at) + 1 if quantifier == "{" else at + 1
            if at == 0:
                yield "|", False
                return
            yield token[-1], certain
            yield "", False  # what follows a repeated character does not stand right behind its first
            continue
        yield token[-1], certain


def _token(pattern: str, at: int) -> tuple[int, bool]:
    """Where the token at ``at`` ends, and whether it is a literal character; end -1 where that is not known."""
    char = pattern[at]
    if char == "\\":
        following = pattern[at + 1 : at + 2]
        if following in _ESCAPED_CLASS:
            return at + 2, False
        return (at + 2, True) if following and not following.isalnum() and following.isascii() else (-1, False)
    if char == "(":
        return _closed(pattern, at), False
    if char == "[":
        return _class_end(pattern, at), False
    if char in "|)":
        return -1, False
    return at + 1, char not in ".^$*?+{}"


def _class_end(pattern: str, at: int) -> int:
    at += 2 if pattern[at + 1 : at + 2] == "^" else 1
    at += pattern[at : at + 1] == "]"
    while at < len(pattern) and pattern[at] != "]":
        if pattern[at] == "[":
            return -1  # [:alpha:] and its like
        at += 2 if pattern[at] == "\\" else 1
    return at + 1 if at < len(pattern) else -1


def _closed(pattern: str, at: int) -> int:
    """Behind the parenthesis that closes the one at ``at``; flags for all that follows are not understood."""
    depth = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "[":
            at = _class_end(pattern, at)
            if at < 0:
                return -1
            continue
        if char == "\\" and pattern[at + 1 : at + 2] in {"Q", ""}:
            return -1
        depth += (char == "(") - (char == ")")
        at += 2 if char == "\\" else 1
        if depth == 0:
            return at
    return -1
