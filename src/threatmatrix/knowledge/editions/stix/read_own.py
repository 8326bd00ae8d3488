"""Our own exports, read without loss: every field that an edition has, in its order."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

from threatmatrix.knowledge.editions.soundness import Problem, require
from threatmatrix.knowledge.editions.stix.bundle import Opened
from threatmatrix.knowledge.editions.stix.ids import EXTENSION, KILL_CHAINS, PLAYBOOK_EXTENSION
from threatmatrix.knowledge.editions.stix.item import Item, unpack
from threatmatrix.knowledge.editions.stix.references import checked, readings
from threatmatrix.knowledge.editions.stix.sheet import GENERATED
from threatmatrix.knowledge.yamlfile import dotted
from threatmatrix.model.edition import (
    Edition,
    EditionCase,
    EditionMitigation,
    EditionStep,
    EditionTactic,
    EditionTechnique,
    EditionVulnerability,
    Mitigates,
    Source,
)
from threatmatrix.model.errors import FormatError
from threatmatrix.model.procedure import Reference

__all__ = ["read_own"]

Entry = TypeVar("Entry")
_TEXTS = ("name", "created", "modified", "stix_id", "shortname", "cve")
_ALWAYS = {
    "x-mitre-matrix",
    "x-mitre-collection",
    "extension-definition",
    "identity",
    "marking-definition",
}
_OURS = {
    "x-mitre-tactic",
    "attack-pattern",
    "course-of-action",
    "campaign",
    "vulnerability",
    "indicator",
    "threat-actor",
    "report",
}


def read_own(opened: Opened, collection: Item) -> Edition:
    """Raises FormatError where the extension's content is not what docs/stix.md says."""
    about = _ours(collection)
    whole = about.child("collection")
    if whole is None:
        raise about.error("collection", "this key is missing")
    source = whole.text("source")
    if source not in get_args(Source):
        raise whole.error("source", f"{source!r} is no matrix", choices=get_args(Source))
    reader = _Reader(opened, KILL_CHAINS[source])  # type: ignore[index]
    tactics = reader.entries("x-mitre-tactic", reader.tactic)
    techniques = reader.entries("attack-pattern", reader.technique)
    mitigations = reader.entries("course-of-action", reader.mitigation)
    cases = reader.entries("campaign", reader.case)
    vulnerabilities = reader.entries("vulnerability", reader.vulnerability)
    reader.tell()
    texts = {key: whole.text(key, "") for key in ("name", "version", "format", "description", "created", "modified")}
    edition = Edition(
        source=source,  # type: ignore[arg-type]
        **texts,
        tactics=tactics,
        techniques=techniques,
        mitigations=mitigations,
        cases=cases,
        vulnerabilities=vulnerabilities,
        extra=unpack(about),
        notes=tuple(opened.notes),
    )
    require(edition, lambda problem: _unsound(opened.file, edition, problem))
    return edition


def _unsound(file: str, edition: Edition, problem: Problem) -> FormatError:
    entry = getattr(edition, problem.kind)[problem.index]
    key = dotted((problem.kind, entry.id, *problem.where))
    return FormatError(file, problem.what, key=key, choices=problem.choices)


@dataclass(slots=True)
class _Reader:
    opened: Opened
    chain: str
    names: dict[tuple[str, str], str] = field(default_factory=dict)  # type and STIX id → the entry's id
    phases: dict[str, str] = field(default_factory=dict)
    edges: dict[tuple[str, str], list[Item]] = field(default_factory=dict)  # relationship type, one end → edges

    def __post_init__(self) -> None:
        for kind in ("x-mitre-tactic", "attack-pattern", "course-of-action", "campaign", "vulnerability"):
            for item in filter(_is_entry, self.opened.of(kind)):
                self.names[kind, item.text("id")] = _ours(item).text("id")
        for item in filter(_is_entry, self.opened.of("x-mitre-tactic")):
            self.phases[item.text("x_mitre_shortname")] = _ours(item).text("id")
        for edge in filter(_has_ours, self.opened.relationships):
            for key in ("source_ref", "target_ref"):
                end = self.opened.end(edge, key).text("id")
                self.edges.setdefault((f"{edge.text('relationship_type')} {key}", end), []).append(edge)

    def entries(self, kind: str, make: Callable[[Item, Item], Entry]) -> tuple[Entry, ...]:
        """All of one type in the order of their positions. Raises FormatError where two have one id."""
        items = sorted(filter(_is_entry, self.opened.of(kind)), key=lambda item: _ours(item).number("position"))
        seen: dict[str, Item] = {}
        for item in items:
            other = seen.setdefault(self.names[kind, item.text("id")], item)
            if other is not item:
                raise _ours(item).error("id", f"{self.names[kind, item.text('id')]} is the id of {other.path} too")
        return tuple(make(item, _ours(item)) for item in items)

    def tactic(self, item: Item, ours: Item) -> EditionTactic:
        given: dict[str, Any] = {"shortname": item.text("x_mitre_shortname"), "attack": ours.text("attack_id", "")}
        return EditionTactic(**_common(item, ours, "shortname", **given))

    def technique(self, item: Item, ours: Item) -> EditionTechnique:
        heads = {self._name("attack-pattern", edge, "target_ref") for edge in self._edges("subtechnique-of", item)}
        if len(heads) > 1:
            raise item.error("id", f"has {len(heads)} parents: {', '.join(sorted(heads))}")
        return EditionTechnique(
            **_common(
                item,
                ours,
                "platforms",
                "retired",
                tactics=self._tactics(item),
                parent=next(iter(heads), ""),
                platforms=item.texts("x_mitre_platforms"),
                maturity=ours.text("maturity", ""),
                attack=ours.text("attack_id", ""),
                retired=item.flag("x_mitre_deprecated") or item.flag("revoked"),
                carried=self._carried(item),
            )
        )

    def mitigation(self, item: Item, ours: Item) -> EditionMitigation:
        edges = tuple(
            Mitigates(self._name("attack-pattern", edge, "target_ref"), edge.text("description", ""))
            for edge in self._edges("mitigates", item)
        )
        lifecycle, categories = ours.texts("lifecycle_phases"), ours.texts("categories")
        given: dict[str, Any] = {"mitigates": edges, "lifecycle": lifecycle, "categories": categories}
        return EditionMitigation(**_common(item, ours, attack=ours.text("attack_id", ""), **given))

    def case(self, item: Item, ours: Item) -> EditionCase:
        texts: dict[str, Any] = {key: ours.text(key, "") for key in ("date", "actor", "target", "reporter")}
        steps = tuple(_step(step) for step in ours.items("steps"))
        return EditionCase(**_common(item, ours, type=ours.text("case_type", ""), steps=steps, **texts))

    def vulnerability(self, item: Item, ours: Item) -> EditionVulnerability:
        edges = self._edges("targets", item, "target_ref")
        techniques = tuple(
            self._name("attack-pattern", edge, "source_ref")
            for edge in edges
            if edge.text("source_ref").startswith("attack-pattern--")
        )
        known = [ref.get("external_id", "") for ref in checked(item) if ref["source_name"] == "cve"]
        return EditionVulnerability(**_common(item, ours, "cve", cve=next(iter(known), ""), techniques=techniques))

    def tell(self) -> None:
        """A note for each type of object that somebody has added to the bundle."""
        for kind, items in sorted(self.opened.by_type.items()):
            ours = {*_ALWAYS, *_OURS}
            count = sum(not _has_ours(item) for item in items) if kind in _OURS else len(items) * (kind not in ours)
            if count:
                self.opened.note(kind, f"{count} objects: not of this export, not read")
        if count := sum(not _has_ours(edge) for edge in self.opened.relationships):
            self.opened.note("relationship", f"{count} objects: not of this export, not read")

    def _edges(self, kind: str, item: Item, key: str = "source_ref") -> list[Item]:
        found = self.edges.get((f"{kind} {key}", item.text("id")), [])
        return sorted(found, key=lambda edge: _ours(edge).number("position"))

    def _name(self, kind: str, edge: Item, key: str) -> str:
        try:
            return self.names[kind, edge.text(key)]
        except KeyError:
            raise edge.error(key, f"points to {edge.text(key)}, which is no {kind} of this edition") from None

    def _tactics(self, item: Item) -> tuple[str, ...]:
        tactics = []
        for phase in item.items("kill_chain_phases"):
            name = phase.text("phase_name")
            if phase.text("kill_chain_name") != self.chain:
                continue
            if name not in self.phases:
                problem = f"no tactic of this edition has the short name {name!r}"
                raise phase.error("phase_name", problem, choices=self.phases)
            tactics.append(self.phases[name])
        return tuple(tactics)

    def _carried(self, item: Item) -> dict[str, Any]:
        """What :mod:`stix_write_response` made objects of."""
        carried: dict[str, Any] = {}
        rules = [self.opened.end(edge, "source_ref") for edge in self._edges("indicates", item, "target_ref")]
        if rules:
            rules.sort(key=lambda rule: _ours(rule).number("position"))
            carried["rules"] = [{"file": _ours(rule).text("rule_file"), "text": rule.text("pattern")} for rule in rules]
        enabled = [edge for edge in self._edges("related-to", item) if _ours(edge).text("relation", "") == "enables"]
        if enabled:
            carried["enables"] = [self._name("attack-pattern", edge, "target_ref") for edge in enabled]
        for edge in self._edges("revoked-by", item):
            carried["revoked_by"] = self._name("attack-pattern", edge, "target_ref")
        for edge in self._edges("mitigates", item, "target_ref"):
            action = self.opened.end(edge, "source_ref")
            if PLAYBOOK_EXTENSION in (action.data.get("extensions") or {}):
                carried["playbook"] = _playbook(action)
        return carried


def _common(
    item: Item, ours: Item, *special: str, carried: Mapping[str, Any] | None = None, **given: Any
) -> dict[str, Any]:
    """The fields that every entry has, and ``given``; what ``source`` says of them holds."""
    extra = unpack(ours)
    custom = {key: item.plain(key) for key in item.data if key.startswith("x_mitre_") and key not in GENERATED}
    if custom:
        left = extra.get("stix", {})
        extra["stix"] = {**(left if isinstance(left, dict) else {}), **custom}
    fields: dict[str, Any] = {
        "id": ours.text("id"),
        "name": item.text("name"),
        "description": item.text("description", ""),
        "created": item.text("created"),
        "modified": item.text("modified"),
        "references": readings(checked(item)),
        "stix_id": item.text("id"),
        "extra": extra | dict(carried or {}),
        **given,
    }
    return fields | _source(ours, special)


def _source(ours: Item, special: tuple[str, ...]) -> dict[str, Any]:
    source = ours.child("source")
    if source is None:
        return {}
    fields: dict[str, Any] = {key: source.text(key) for key in _TEXTS if key in source.data}
    if "references" in source.data:
        fields["references"] = tuple(
            Reference(ref.text("title"), ref.text("url")) for ref in source.items("references")
        )
    if "platforms" in source.data and "platforms" in special:
        fields["platforms"] = source.texts("platforms")
    if "retired" in source.data and "retired" in special:
        fields["retired"] = source.flag("retired")
    return {key: value for key, value in fields.items() if key not in ("shortname", "cve") or key in special}


def _step(step: Item) -> EditionStep:
    return EditionStep(
        id=step.text("id"),
        technique=step.text("technique"),
        tactic=step.text("tactic", ""),
        description=step.text("description", ""),
        leads_to=step.texts("leads_to"),
        extra=unpack(step),
    )


def _playbook(action: Item) -> dict[str, Any]:
    extensions = action.child("extensions")
    extension = extensions.child(PLAYBOOK_EXTENSION) if extensions else None
    if extension is None:
        raise action.error("extensions", "the playbook extension is missing")
    try:
        content = json.loads(base64.b64decode(extension.text("playbook_bin"), validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise extension.error("playbook_bin", "not a playbook as JSON in base64") from error
    if not isinstance(content, dict):
        raise extension.error("playbook_bin", "not a playbook: a mapping belongs here")
    return content


def _has_ours(item: Item) -> bool:
    extensions = item.data.get("extensions")
    return isinstance(extensions, dict) and EXTENSION in extensions


def _is_entry(item: Item) -> bool:
    return _has_ours(item) and "id" in _ours(item).data


def _ours(item: Item) -> Item:
    extensions = item.child("extensions")
    ours = extensions.child(EXTENSION) if extensions else None
    if ours is None:
        raise item.error("extensions", f"the extension {EXTENSION} is missing")
    return ours
