"""A second reading of Sigma: does this detection, as YAML gives it, match this record?

Written from the Sigma specification (rules 2.0, modifiers 2.1), slow and simple, and without anything of the engine:
what both say about a rule and a record is what the specification says, or the same mistake made twice. It takes any
detection that the engine compiles and need not refuse what the engine refuses.
"""

from __future__ import annotations

import base64
import datetime
import fnmatch
import ipaddress
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["matches"]

Record = Mapping[str, Any]
SHAPES = {"contains": (True, True), "startswith": (False, True), "endswith": (True, False)}
PARTS = ("minute", "hour", "day", "week", "month", "year")
FLAGS = {"i": re.I, "ignorecase": re.I, "m": re.M, "multiline": re.M, "s": re.S, "dotall": re.S}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def matches(detection: Mapping[str, Any], record: Record, keywords: tuple[str, ...] = ()) -> bool:
    """``keywords``: the fields that values without a field search."""
    found = {
        name: search(definition, record, keywords) for name, definition in detection.items() if name != "condition"
    }
    conditions = detection["condition"]
    return any(holds(text, found) for text in (conditions if isinstance(conditions, list) else [conditions]))


# --- conditions: every operand becomes a letter, and the strongest operator is taken first ---------------------------


def holds(condition: str, found: Mapping[str, bool]) -> bool:
    words = re.findall(r"[\w*\-]+|[()]", condition)
    letters = ""
    while words:
        word = words.pop(0)
        if word in {"1", "any", "all"} and words[:1] == ["of"]:
            words.pop(0)
            pattern = words.pop(0)
            chosen = [
                value
                for name, value in found.items()
                if (pattern == "them" or fnmatch.fnmatchcase(name, pattern))
                and (pattern.startswith("_") or not name.startswith("_"))
            ]
            letters += "T" if (all(chosen) if word == "all" else any(chosen)) else "F"
        else:
            operator = {"and": "&", "or": "|", "not": "!", "(": "(", ")": ")"}.get(word)
            letters += operator or ("T" if found[word] else "F")
    simpler = ""
    while simpler != letters:
        simpler = letters
        for pattern, result in (
            (r"\(([TF])\)", r"\1"),
            (r"!T", "F"),
            (r"!F", "T"),
            (r"(?<![!])T&T", "T"),
            (r"F&[TF]|(?<![!])T&F", "F"),
        ):
            letters = re.sub(pattern, result, letters)
        if letters == simpler:
            letters = re.sub(r"(?<!&)(T\|[TF]|F\|T)(?!&)", "T", re.sub(r"(?<!&)F\|F(?!&)", "F", letters))
    assert letters in {"T", "F"}, (condition, letters)
    return letters == "T"


# --- searches ---------------------------------------------------------------------------------------------------------


def search(definition: Any, record: Record, keywords: tuple[str, ...]) -> bool:
    if isinstance(definition, dict):
        return all(item(key, value, record, keywords) for key, value in definition.items())
    if isinstance(definition, list) and any(isinstance(one, dict | list) for one in definition):
        return any(search(one, record, keywords) for one in definition)
    return item("", definition, record, keywords)


def item(key: str, raw: Any, record: Record, keywords: tuple[str, ...]) -> bool:
    field, *modifiers = key.split("|")
    values = raw if isinstance(raw, list) else [raw]
    join = all if "all" in modifiers else any
    if not field:
        shaped = modifiers if "re" in modifiers else [*(one for one in modifiers if one != "contains"), "contains"]
        return join(any(compare(record, name, one, shaped) for name in keywords) for one in values)
    matched: bool = join(compare(record, field, one, modifiers) for one in values)
    return not matched if "neq" in modifiers else matched


def compare(record: Record, field: str, raw: Any, modifiers: list[str]) -> bool:
    """One field against one value."""
    value = record.get(field)
    if raw is None:
        return value is None
    if "exists" in modifiers:
        return bool((value is not None) == raw)
    if value is None:
        return False
    if isinstance(raw, bool):
        raw = "true" if raw else "false"
    return first_that_applies(modifiers)(record, value, raw, modifiers)


Comparer = Callable[[Record, Any, Any, list[str]], bool]


def first_that_applies(modifiers: list[str]) -> Comparer:
    for names, comparer in (
        (PARTS, by_part),
        (("lt", "lte", "gt", "gte"), by_order),
        (("cidr",), by_network),
        (("re",), by_regex),
        (("fieldref",), by_field),
    ):
        if set(names) & set(modifiers):
            return comparer
    return by_text


def by_part(_: Record, value: Any, raw: Any, modifiers: list[str]) -> bool:
    moment = EPOCH + datetime.timedelta(microseconds=value)
    (part,) = set(PARTS) & set(modifiers)
    number = moment.isocalendar().week if part == "week" else getattr(moment, part)
    order = [name for name in modifiers if name in {"lt", "lte", "gt", "gte"}]
    return by_order({}, number, raw, order) if order else bool(number == raw)


def by_order(_: Record, value: Any, raw: Any, modifiers: list[str]) -> bool:
    if isinstance(value, str):
        if not NUMBER.fullmatch(value):
            return False
        value = float(value)
    return bool(
        ("lt" in modifiers and value < raw)
        or ("lte" in modifiers and value <= raw)
        or ("gt" in modifiers and value > raw)
        or ("gte" in modifiers and value >= raw)
    )


def by_network(_: Record, value: Any, raw: Any, modifiers: list[str]) -> bool:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    network = ipaddress.ip_network(raw)
    mapped = getattr(address, "ipv4_mapped", None)
    return address in network or (mapped is not None and mapped in network)


def by_regex(_: Record, value: Any, raw: Any, modifiers: list[str]) -> bool:
    flags = sum({FLAGS[name] for name in modifiers if name in FLAGS})
    # ``$`` of RE2 is the very end, where Python also takes a line break before it.
    pattern = raw if flags & re.M else re.sub(r"(?<!\\)\$", r"\\Z", str(raw))
    return re.search(pattern, value, flags) is not None


def by_field(record: Record, value: Any, raw: Any, modifiers: list[str]) -> bool:
    other = record.get(raw)
    if other is None:
        return False
    shapes = set(modifiers) & SHAPES.keys()
    if not shapes and not (isinstance(value, str) and isinstance(other, str)):
        sides = [float(one) for one in (value, other) if not isinstance(one, str) or NUMBER.fullmatch(one)]
        return len(sides) == 2 and sides[0] == sides[1]
    mine, theirs = (str(one) if "cased" in modifiers else fold(str(one)) for one in (value, other))
    if "contains" in shapes:
        return theirs in mine
    if "startswith" in shapes:
        return mine.startswith(theirs)
    return mine.endswith(theirs) if "endswith" in shapes else mine == theirs


def by_text(_: Record, value: Any, raw: Any, modifiers: list[str]) -> bool:
    if isinstance(value, float):
        return bool(value == raw) if isinstance(raw, int | float) else raw == "*"
    text = str(value)
    patterns = written_out(str(raw), modifiers)
    return any(re.fullmatch(pattern, text if "cased" in modifiers else fold(text), re.S) for pattern in patterns)


# --- text values: tokens are single characters and the wildcards ------------------------------------------------------

ANY: Any = object()
ONE: Any = object()


def fold(text: str) -> str:
    return "".join(char.lower()[0] for char in text)


def tokens(written: str) -> list[Any]:
    result: list[Any] = []
    chars = list(written)
    while chars:
        char = chars.pop(0)
        if char == "\\" and chars and chars[0] in "*?\\":
            result.append(chars.pop(0))
        else:
            result.append({"*": ANY, "?": ONE}.get(char, char))
    return result


def written_out(written: str, modifiers: list[str]) -> Iterator[str]:
    """Every regular expression that the value stands for."""
    alternatives = [tokens(written)]
    if "windash" in modifiers:
        alternatives = list(dashes(alternatives[0]))
    for alternative in alternatives:
        for value in encoded(alternative, modifiers):
            shape = next((SHAPES[name] for name in modifiers if name in SHAPES), (False, False))
            pieces = [ANY] * shape[0] + value + [ANY] * shape[1]
            yield "".join(
                ".*"
                if piece is ANY
                else "."
                if piece is ONE
                else re.escape(piece if "cased" in modifiers else fold(piece))
                for piece in pieces
            )


def dashes(value: list[Any]) -> Iterator[list[Any]]:
    """A dash that begins a word: no word character before it, and one after it."""

    def is_word(at: int) -> bool:
        return 0 <= at < len(value) and isinstance(value[at], str) and (value[at].isalnum() or value[at] == "_")

    choices = [
        "-/–—―" if char in list("-/–—―") and is_word(at + 1) and not is_word(at - 1) else [char]
        for at, char in enumerate(value)
    ]
    for choice in itertools.product(*choices):
        yield list(choice)


def encoded(value: list[Any], modifiers: list[str]) -> Iterator[list[Any]]:
    if not {"base64", "base64offset"} & set(modifiers):
        yield value
        return
    codec = next((one for one in modifiers if one in {"wide", "utf16", "utf16le", "utf16be"}), "utf8")
    codecs = {"utf8": "utf-8", "utf16be": "utf-16-be"}
    data = "".join(value).encode(codecs.get(codec, "utf-16-le"))
    data = (b"\xff\xfe" if codec == "utf16" else b"") + data
    if "base64" in modifiers:
        yield list(base64.b64encode(data).decode())
        return
    for offset in range(3):
        # What stays the same whatever stands before and after is what the value alone decides.
        fills = (0x00, 0xFF, 0x5A)
        variants = [base64.b64encode(bytes([fill]) * offset + data + bytes([fill]) * 3).decode() for fill in fills]
        yield [chars[0] for chars in zip(*variants, strict=True) if len(set(chars)) == 1 and "=" not in chars]
