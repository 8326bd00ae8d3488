"""What of Sigma is refused, by name, before pySigma sees the rule.

pySigma accepts more than this engine can run, and some versions change a rule's meaning without a word (1.5 drops a
selector that matches nothing, and reads ``notable`` as ``not able``). Everything that could make a rule mean less or
more than it says is refused here, with the file, the line and the construct.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from threatmatrix.detect.sigma.documents import Document
from threatmatrix.model.event import CATEGORIES

__all__ = ["MODIFIERS", "check_document", "check_event_rule"]

MODIFIERS = ("all", "cased", "contains", "endswith", "startswith")
TAXONOMIES = ("sigma", "threatmatrix")

MAX_CONDITION = 4096  # characters
MAX_NESTING = 32  # parentheses and nots in a condition
MAX_NAME = 128  # characters of a search identifier
MAX_STARS = 3  # wildcards of a selector: each multiplies the cost of matching it
MAX_LEAVES = 10_000  # comparisons of one condition, selectors written out

_WORDS = re.compile(r"[A-Za-z0-9_*\-]+|[()]|\S")
_NAME = re.compile(r"[A-Za-z0-9_\-]+")


def check_document(document: Document) -> None:
    """Refuse the kinds of document that are neither a rule nor a correlation."""
    raw = document.raw
    if "filter" in raw:
        raise document.refuse("Sigma filters are not supported", "filter")
    if "action" in raw:
        raise document.refuse("rule collections (action) are not supported", "action", hint="Write each rule out")
    taxonomy = raw.get("taxonomy", "sigma")
    if taxonomy not in TAXONOMIES:
        raise document.refuse(f"taxonomy {taxonomy!r} is not supported", "taxonomy", choices=TAXONOMIES)
    if raw.get("status") == "unsupported":
        raise document.refuse("the rule calls itself unsupported", "status")
    for key in ("title", "id", "name", "description", "level"):
        if key in raw and not isinstance(raw[key], str):
            raise document.refuse("must be text", key)


def check_event_rule(document: Document) -> None:
    """Refuse what a rule for single events may not use."""
    _check_logsource(document)
    detection = document.raw.get("detection")
    if not isinstance(detection, dict):
        raise document.refuse("a rule has a detection: a mapping of search identifiers and a condition", "detection")
    if "timeframe" in detection:
        raise document.refuse("timeframe is obsolete", "detection", "timeframe", hint="Write a correlation")
    sizes: dict[str, int] = {}
    for name, definition in detection.items():
        if name != "condition":
            if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
                raise document.refuse("a search identifier is letters, digits, _ and -", "detection", name)
            sizes[name] = sum(_check_definition(document, definition, ("detection", name)))
    _check_condition(document, detection.get("condition"), sizes)


def _check_logsource(document: Document) -> None:
    logsource = document.raw.get("logsource")
    if not isinstance(logsource, dict):
        raise document.refuse("a rule has a logsource with a category", "logsource", choices=CATEGORIES)
    for key in logsource:
        if key not in {"category", "definition"}:
            problem = f"logsource.{key} is not supported: events are told apart by category alone"
            raise document.refuse(problem, "logsource", key, choices=("category", "definition"))
    category = logsource.get("category")
    if category not in CATEGORIES:
        problem = f"there are no events of category {category!r}"
        raise document.refuse(problem, "logsource", "category", choices=CATEGORIES)


def _check_definition(document: Document, definition: Any, path: tuple[str | int, ...]) -> Iterator[int]:
    """Yield the number of values of each item; refuse what is no field with modifiers and values."""
    if isinstance(definition, dict) and definition:
        for key, value in definition.items():
            _check_key(document, key, path)
            yield _check_values(document, value, (*path, key))
    elif isinstance(definition, list) and definition and all(isinstance(item, dict) for item in definition):
        for index, item in enumerate(definition):
            yield from _check_definition(document, item, (*path, index))
    elif isinstance(definition, dict):
        raise document.refuse("the search identifier is empty", *path)
    else:
        raise document.refuse("keywords (values without a field) are not supported", *path, hint="Name a field")


def _check_key(document: Document, key: str, path: tuple[str | int, ...]) -> None:
    field, *modifiers = key.split("|")
    if not field:
        raise document.refuse("keywords (values without a field) are not supported", *path, key, hint="Name a field")
    for modifier in modifiers:
        if modifier not in MODIFIERS:
            raise document.refuse(f"modifier {modifier!r} is not supported", *path, key, choices=MODIFIERS)
    if len(set(modifiers)) != len(modifiers) or len(set(modifiers) - {"all", "cased"}) > 1:
        raise document.refuse("these modifiers contradict each other", *path, key)


def _check_values(document: Document, value: Any, path: tuple[str | int, ...]) -> int:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise document.refuse("an empty list of values is not supported", *path)
    for item in values:
        if item is None:
            raise document.refuse("null is not supported", *path)
        if isinstance(item, bool):
            raise document.refuse("true and false are not supported: no field holds them", *path, hint="Quote text")
        if not isinstance(item, str | int | float):
            raise document.refuse("a value is text or a number", *path)
    if "all" in str(path[-1]).split("|")[1:] and len(values) == 1:
        raise document.refuse("modifier 'all' needs a list of at least two values", *path)
    return len(values)


def _check_condition(document: Document, condition: Any, sizes: dict[str, int]) -> None:
    path = ("detection", "condition")
    if isinstance(condition, list):
        raise document.refuse("a list of conditions is not supported", *path, hint="Join them with or")
    if not isinstance(condition, str):
        raise document.refuse("a detection has a condition, as text", *path)
    if len(condition) > MAX_CONDITION:
        raise document.refuse(f"the condition is longer than {MAX_CONDITION} characters", *path)
    if "|" in condition:
        raise document.refuse("aggregation after | is obsolete", *path, hint="Write a correlation")
    words = _WORDS.findall(condition)
    if words.count("(") > MAX_NESTING or words.count("not") > MAX_NESTING:
        raise document.refuse(f"more than {MAX_NESTING} parentheses or nots", *path)
    if sum(_count_leaves(document, words, sizes)) > MAX_LEAVES:
        raise document.refuse(f"the condition writes out to more than {MAX_LEAVES} comparisons", *path)


def _count_leaves(document: Document, words: list[str], sizes: dict[str, int]) -> Iterator[int]:
    """Yield the comparisons behind each name in the condition; refuse names that stand for nothing."""
    for index, word in enumerate(words):
        after_of = index >= 2 and words[index - 1] == "of"
        before_of = words[index + 1 : index + 2] == ["of"]
        if word in {"(", ")", "and", "or", "not", "of"} or (before_of and word in {"1", "any", "all"}):
            continue
        if after_of:
            names = _selected(document, word, sizes)
        elif word in sizes:
            names = [word]
            if word.startswith(("and", "or", "not")):
                problem = f"search identifier {word!r} begins with an operator, which pySigma 1.5 reads as one"
                raise document.refuse(problem, "detection", word, hint="Rename it")
        else:
            problem = f"{word!r} is neither a search identifier nor an operator"
            raise document.refuse(problem, "detection", "condition", choices=sorted(sizes))
        yield sum(sizes[name] for name in names)


def _selected(document: Document, pattern: str, sizes: dict[str, int]) -> list[str]:
    if pattern.count("*") > MAX_STARS:
        raise document.refuse(f"more than {MAX_STARS} wildcards in {pattern!r}", "detection", "condition")
    if "-" in pattern:
        raise document.refuse(f"a selector cannot hold '-': {pattern!r}", "detection", "condition")
    names = [
        name
        for name in sizes
        if (pattern == "them" or fnmatchcase(name, pattern)) and (pattern[0] == "_" or name[0] != "_")
    ]
    if not names:
        raise document.refuse(f"selector {pattern!r} matches no search identifier", "detection", "condition")
    return names
