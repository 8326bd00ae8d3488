"""``systems.yaml``: what is defended, who owns it, and how its telemetry tells a system and a principal."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from threatmatrix.knowledge.check import check
from threatmatrix.knowledge.schemas_user import PrincipalItem, SystemItem, SystemsFile
from threatmatrix.knowledge.yamlfile import Document, Step, load_yaml
from threatmatrix.model.system import ModelEntry, PrincipalMapping, System, TelemetryEntry

__all__ = ["load_systems", "systems_template"]

_SECRET_HEADERS = {"authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key", "api-key"}
_MAPPING = "mapping"  # the one source that needs a file beside its path


def load_systems(path: Path) -> tuple[System, ...]:
    """The systems of a file, in its order. Raises InputError, FormatError.

    A system's name may stand only once; so may an endpoint or a host that no other key tells apart: an event must
    belong to one system.
    """
    document = load_yaml(path)
    _refuse_old_keys(document)
    content = check(document, SystemsFile, hint="`threatmatrix init` writes a commented example")
    _check_names(document, content)
    _check_endpoints(document, content)
    for position, system in enumerate(content.systems):
        where = ("systems", position)
        _check_values(document, system, where)
        _check_principal(document, system.principal, (*where, "principal"))
    return tuple(_system(item) for item in content.systems)


def _refuse_old_keys(document: Document) -> None:
    """``principal: {field: src_ip}`` was how it was written before there were several fields."""
    for position, entry in _listed(document.data, "systems"):
        principal = entry.get("principal")
        if isinstance(principal, dict) and "field" in principal:
            old = principal["field"]
            new = "[principal]" if old in ("principal", None) else f"[principal, {old}]"
            raise document.error(
                ("systems", position, "principal", "field"), "is called tell_by now", hint=f"Write tell_by: {new}"
            )


def _listed(data: Any, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    entries = data.get(key) if isinstance(data, dict) else None
    for position, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield position, entry


def _check_names(document: Document, content: SystemsFile) -> None:
    names: set[str] = set()
    for position, system in enumerate(content.systems):
        if system.name in names:
            raise document.error(("systems", position, "name"), f"the system {system.name} stands twice")
        names.add(system.name)
        models: set[str] = set()
        for number, model in enumerate(system.models):
            if model.name in models:
                where = ("systems", position, "models", number, "name")
                raise document.error(where, f"the model {model.name} stands twice")
            models.add(model.name)


def _check_endpoints(document: Document, content: SystemsFile) -> None:
    """A path may belong to two systems only where both have hosts to be told apart by, and no host to both."""
    owners: dict[str, tuple[str, bool]] = {}
    hosts: dict[str, str] = {}
    for position, system in enumerate(content.systems):
        for index, host in enumerate(system.hosts):
            owner = hosts.setdefault(host.lower(), system.name)
            if owner != system.name:
                where: tuple[Step, ...] = ("systems", position, "hosts", index)
                raise document.error(where, f"the host {host} already belongs to {owner}")
        for number, model in enumerate(system.models):
            for index, endpoint in enumerate(model.endpoints):
                owner, told = owners.setdefault(endpoint, (system.name, bool(system.hosts)))
                if owner != system.name and not (told and system.hosts):
                    where = ("systems", position, "models", number, "endpoints", index)
                    raise document.error(
                        where,
                        f"the endpoint {endpoint} already belongs to {owner}",
                        hint="Give both systems hosts to tell them apart, or make the paths differ",
                    )


def _check_values(document: Document, system: SystemItem, where: tuple[Step, ...]) -> None:
    for index, trait in enumerate(system.traits):
        if trait in system.traits[:index]:
            raise document.error((*where, "traits", index), f"{trait} stands twice")
    for number, model in enumerate(system.models):
        span = model.input_range
        if span is not None and not span[0] < span[1]:
            here = (*where, "models", number, "input_range")
            raise document.error(here, "the least number comes first, then a greater one", hint="Such as [0, 255]")
    for number, entry in enumerate(system.telemetry):
        here = (*where, "telemetry", number)
        if entry.source == _MAPPING and entry.mapping is None:
            raise document.error(
                (*here, "mapping"), "this key is missing: the source mapping needs the file that says what is where"
            )
        if entry.source != _MAPPING and entry.mapping is not None:
            raise document.error((*here, "mapping"), f"the source {entry.source} needs none; only mapping does")


def _check_principal(document: Document, item: PrincipalItem, where: tuple[Step, ...]) -> None:
    for index, field in enumerate(item.tell_by):
        if field in item.tell_by[:index]:
            raise document.error((*where, "tell_by", index), f"{field} stands twice")
    if item.header is not None and item.header.lower() in _SECRET_HEADERS:
        raise document.error(
            (*where, "header"),
            "this header holds a secret, which must not become a name",
            hint="Let the proxy set a header with the id of the key, such as x-consumer-id",
        )
    seen: dict[object, str] = {}
    for written in item.addresses:
        try:
            network = ip_network(written)
        except ValueError:
            raise document.error(
                (*where, "addresses", written),
                f"{written!r} is no network",
                hint="Write CIDR with no bits set after the prefix, such as 10.0.0.0/8 or 2001:db8::/32",
            ) from None
        if network in seen:
            raise document.error((*where, "addresses", written), f"is the same network as {seen[network]}")
        seen[network] = written


def _system(item: SystemItem) -> System:
    return System(
        name=item.name,
        owner=item.owner,
        criticality=item.criticality,
        hosts=tuple(host.lower() for host in item.hosts),
        traits=tuple(item.traits),
        models=tuple(
            ModelEntry(
                model.name,
                tuple(model.endpoints),
                None if model.input_range is None else (model.input_range[0], model.input_range[1]),
            )
            for model in item.models
        ),
        telemetry=tuple(TelemetryEntry(entry.source, entry.path, entry.mapping or "") for entry in item.telemetry),
        principal=PrincipalMapping(
            tell_by=tuple(item.principal.tell_by),
            header=(item.principal.header or "").lower(),
            names=tuple(item.principal.names.items()),
            addresses=tuple(item.principal.addresses.items()),
        ),
    )


def systems_template() -> str:
    """A commented systems.yaml that loads as it stands; ``threatmatrix init`` writes it."""
    return _TEMPLATE


_TEMPLATE = """\
# systems.yaml: the ML systems that you defend. One entry for each; docs/systems.md explains every key.
systems:
  - name: digits-product            # shown in findings, incidents and coverage
    owner: vision-team              # who is told, and who may withdraw a policy
    criticality: medium             # low | medium | high | critical

    # What it is like: `threatmatrix assess` leaves out the techniques that cannot concern it.
    #   predictive   answers with labels or scores      generative   answers with text or images
    #   agent        calls tools                        retrieval    reads documents
    #   trained      you train or fine-tune it          feedback     learns from its users
    #   third-party  weights, data or packages          edge         the model is shipped to devices
    #                from outside                       public       anybody may query it
    #   physical     inputs from cameras or sensors
    traits: [predictive, trained, public]

    # hosts: [models.example.org, "*.vision.svc.cluster.local"]   # names under which it is addressed

    models:                         # what it serves, and under which paths
      - name: digits                # the model's name as the telemetry gives it
        endpoints:                  # * stands for any characters of the path
          - /v2/models/digits/infer
          - /v2/models/digits/versions/*/infer
        # input_range: [0, 255]     # least and greatest number of an input; [0, 1] where it is left out

    # Where its logs are, and in which format (`threatmatrix telemetry sources` lists the formats). Records of
    # one request in two of them become one event.
    telemetry:
      - source: gateway
        path: logs/gateway.jsonl
      # - {source: nginx, path: /var/log/nginx/models.jsonl}
      # - {source: mapping, path: exports/*.csv, mapping: our-columns.yaml}

    principal:                      # how "who was it" is told from an event
      tell_by: [principal]          # the first that says something: principal, key_id, session, src_ip
      # header: x-consumer-id       # the header in which your proxy names the caller, where a log has headers
      # addresses: {10.0.0.0/8: office}   # network: the principal behind it, where nothing else tells
      names: {}                     # readable names, for instance {key_1f0c22d94b7a: partner-a}
"""
