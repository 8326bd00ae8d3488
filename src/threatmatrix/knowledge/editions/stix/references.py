"""External references (STIX 2.1 §3.6): an object's own id, and what there is to read about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from threatmatrix.knowledge.editions.stix.ids import KILL_CHAINS
from threatmatrix.knowledge.editions.stix.item import Item
from threatmatrix.model.edition import Source
from threatmatrix.model.procedure import Reference

__all__ = ["checked", "cve_reference", "is_url", "own_reference", "publishable", "readings", "reference", "well_known"]

_PAGES = {
    ("atlas", "x-mitre-tactic"): "https://atlas.mitre.org/tactics/{}",
    ("atlas", "attack-pattern"): "https://atlas.mitre.org/techniques/{}",
    ("atlas", "course-of-action"): "https://atlas.mitre.org/mitigations/{}",
    ("atlas", "campaign"): "https://atlas.mitre.org/studies/{}",
    ("attack", "x-mitre-tactic"): "https://attack.mitre.org/tactics/{}",
    ("attack", "attack-pattern"): "https://attack.mitre.org/techniques/{}",
    ("attack", "course-of-action"): "https://attack.mitre.org/mitigations/{}",
}
_URL = re.compile(r"https?://[A-Za-z0-9]([A-Za-z0-9._~:/?#@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*\Z")
_CVE = re.compile(r"CVE-[0-9]{4}-(0[0-9]{3}|[1-9][0-9]{3,})\Z", re.ASCII)
_RESERVED_NAMES = ("cve", "capec")  # names under which only such an id may stand
_RESERVED_IDS = re.compile(r"CVE-[0-9]{4}-[0-9]{4}|CAPEC-[0-9]", re.ASCII)
_KEYS = ("source_name", "description", "url", "external_id")


def checked(item: Item) -> list[dict[str, str]]:
    """The external references of a stranger's object, their texts alone. Raises FormatError."""
    found = []
    for ref in item.items("external_references"):
        ref.text("source_name")
        found.append({key: ref.text(key) for key in ref.data if key in _KEYS})
    return found


def is_url(text: str) -> bool:
    """Whether every reader takes it as an address of the web (RFC 3986, http and https, plain ASCII)."""
    return bool(_URL.match(text))


def own_reference(source: Source, kind: str, entry_id: str) -> dict[str, Any]:
    """The id of an entry in its own matrix, with its page where the publisher has one."""
    own = {"source_name": KILL_CHAINS[source]}
    path = entry_id.replace(".", "/") if source == "attack" else entry_id
    if is_url(url := _PAGES.get((source, kind), "").format(path)):
        own["url"] = url
    return own | {"external_id": f"id:{entry_id}" if _RESERVED_IDS.match(entry_id) else entry_id}


def well_known(entry_id: str) -> dict[str, Any]:
    """The id of another matrix's technique that an entry is mapped to."""
    source: Source = "atlas" if entry_id.startswith("AML.") else "attack"
    return own_reference(source, "attack-pattern", entry_id)


def cve_reference(cve: str) -> list[dict[str, Any]]:
    """The reference under which tools look a vulnerability up; none where the text is no CVE id."""
    return [{"source_name": "cve", "external_id": cve}] if _CVE.match(cve) else []


def reference(item: Reference) -> dict[str, Any]:
    """A reading: the title names the source, the address stands in ``url`` where it is one."""
    title = item.title if item.title and item.title not in _RESERVED_NAMES else "reference"
    if is_url(item.url):
        return {"source_name": title, "url": item.url}
    return {"source_name": title, "description": item.url or title}


def readings(references: Iterable[Mapping[str, Any]]) -> tuple[Reference, ...]:
    """The references that are no ids. ATT&CK names the source in short and describes it in full: full goes first."""
    return tuple(
        Reference(item.get("description") or item["source_name"], item.get("url", ""))
        for item in references
        if "external_id" not in item
    )


def publishable(references: object, own: Mapping[str, Any]) -> bool:
    """Whether references that another publisher wrote can be written again as they are, after the id ``own``."""
    if not isinstance(references, list) or not references or not all(isinstance(item, dict) for item in references):
        return False
    if references[0].get("external_id") != own["external_id"]:
        return False
    return all(
        item.keys() <= set(_KEYS)
        and all(isinstance(value, str) and value for value in item.values())
        and len(item) > 1
        and item.get("source_name", "cve") not in _RESERVED_NAMES
        and not _RESERVED_IDS.match(item.get("external_id", ""))
        and is_url(item.get("url", "https://x"))
        for item in references
    )
