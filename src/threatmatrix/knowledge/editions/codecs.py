"""The forms of single values that ATLAS's formats share: text, lists of text, references, dates, UUIDs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from threatmatrix.knowledge.editions.keys import ABSENT, Key, Unfit, Values
from threatmatrix.knowledge.editions.versions import release_text
from threatmatrix.model.procedure import Reference

__all__ = [
    "STIX_TYPES",
    "attack_key",
    "case_date",
    "date_key",
    "identifier",
    "references",
    "text",
    "text_key",
    "texts",
    "texts_key",
    "upstream_stix_id",
    "upstream_uuid",
    "version",
    "word_key",
]

_NAMESPACE = uuid.UUID("61746c61-732e-6d69-7472-652e6f72672e")
STIX_TYPES = {"tactics": "x-mitre-tactic", "techniques": "attack-pattern", "mitigations": "course-of-action"}


def text(raw: Any) -> str:
    """Text; null counts as empty."""
    if raw is None:
        return ""
    if not isinstance(raw, str):
        raise Unfit("text belongs here")
    return raw


def identifier(raw: Any) -> str:
    """Text that is not empty: an id or a name."""
    value = text(raw)
    if not value.strip():
        raise Unfit("an id or name belongs here")
    return value


def texts(raw: Any) -> tuple[str, ...]:
    """A list of text; null counts as empty."""
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise Unfit("a list of texts belongs here")
    for index, item in enumerate(raw):
        if not isinstance(item, str):
            raise Unfit("text belongs here", (index,), tuple(text for text in raw if isinstance(text, str)))
    return tuple(raw)


def date(raw: Any) -> str:
    """A date as text. A bare year is a number in YAML."""
    return str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else text(raw)


def version(raw: Any) -> str:
    """A release, also where the file has it as a number."""
    return release_text(raw) if isinstance(raw, float) else date(raw)


def references(raw: Any) -> tuple[Reference, ...]:
    """A list of ``{title, url}``; either may be absent or null."""
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise Unfit("a list of references belongs here")
    made = []
    for index, item in enumerate(raw):
        if not isinstance(item, dict):
            raise Unfit("a reference (title, url) belongs here", (index,))
        made.append(Reference(text(item.get("title")), text(item.get("url"))))
    return tuple(made)


def text_key(name: str, field: str = "", **more: Any) -> Key:
    """A key with text, left out where there is none."""
    field = field or name
    return Key(name=name, field=field, decode=text, encode=lambda values: values[field] or ABSENT, **more)


def date_key(name: str, field: str) -> Key:
    """A key with a date, left out where there is none."""
    return Key(name=name, field=field, decode=date, encode=lambda values: values[field] or ABSENT)


def word_key(name: str, field: str, shown: Callable[[str], str] = str) -> Key:
    """A key with one of a few words, lower case in the field, and in the file as ``shown`` makes it."""

    def encode(values: Values) -> Any:
        return shown(values[field]) or ABSENT

    return Key(name=name, field=field, decode=lambda raw: text(raw).lower(), encode=encode)


def texts_key(name: str, field: str, *, always: bool = False) -> Key:
    """A key with a list of text, left out where it is empty unless ``always``."""

    def encode(values: Values) -> Any:
        return list(values[field]) if values[field] or always else ABSENT

    return Key(name=name, field=field, decode=texts, encode=encode, empty=())


def attack_key(name: str, kind: str) -> Key:
    """The reference to ATT&CK: ``{id, url}``, where the address follows from the id."""

    def decode(raw: Any) -> str:
        if raw is None:
            return ""
        if not isinstance(raw, dict) or not isinstance(raw.get("id"), str):
            raise Unfit("a mapping with id and url belongs here")
        return str(raw["id"])

    def encode(values: Values) -> Any:
        attack = values["attack"]
        page = attack.replace(".", "/")
        return {"id": attack, "url": f"https://attack.mitre.org/{kind}/{page}/"} if attack else ABSENT

    return Key(name=name, field="attack", decode=decode, encode=encode)


def case_date(day: str, grain: str, words: Mapping[int, str]) -> tuple[Key, Key]:
    """The two keys that state a case study's date: a full date, and how much of it is known.

    ``words``: length of the known part (4, 7 or 10 characters) → the format's word for it.
    """
    lengths = {word.upper(): length for length, word in words.items()}

    def known(stated: Any, word: Any) -> str:
        length = lengths.get(word.upper(), 10) if isinstance(word, str) else 10
        return date(stated)[:length]

    def encode_day(values: Values) -> Any:
        value = values["date"]
        extra = values.get("extra", {})
        for name in ("incident-date", "date"):
            stated = extra.get(name)
            if value and isinstance(stated, str) and len(stated) == 10 and stated.startswith(value):
                return stated
        return value + "-01-01"[len(value) - 4 :] if len(value) in (4, 7) else value or ABSENT

    def encode_grain(values: Values) -> Any:
        return words.get(len(values["date"]), words[10]) if values["date"] else ABSENT

    def day_says(raw: Any, values: Values) -> bool:
        try:
            return date(raw).startswith(values["date"])
        except Unfit:
            return not values["date"]

    def grain_says(raw: Any, values: Values) -> bool:
        return bool(known(encode_day(values) if values["date"] else "", raw) == values["date"])

    def refine(value: Any, raw: Mapping[str, Any], _: Values) -> Any:
        return known(value, raw.get(grain))

    return (
        Key(name=day, field="date", decode=date, encode=encode_day, fits=day_says, refine=refine),
        Key(name=grain, field="", decode=lambda raw: raw, encode=encode_grain, fits=grain_says),
    )


def upstream_uuid(identity: str) -> str:
    """The UUID that ATLAS gives the object of this id, in STIX and in format 6."""
    return str(uuid.uuid5(_NAMESPACE, identity))


def upstream_stix_id(kind: str, identity: str) -> str:
    """The id of ATLAS's own STIX for an object of ATLAS; empty for case studies, which its STIX does not have."""
    stix_type = STIX_TYPES.get(kind, "")
    return f"{stix_type}--{upstream_uuid(identity)}" if stix_type and identity.startswith("AML.") else ""
